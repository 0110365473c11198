#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/snapshot.h"
#include "core/result.h"
#include "http/message.h"
#include "ledger/batches.h"
#include "proxy/worker.h"

/// A new batch as it comes: its requests, and where they would go. docs/batches.md.
namespace ccrules::proxy {

/// What a client sends, checked. Error: the client's mistake.
/// @param body with json::kPadding spare bytes behind it
Result<std::vector<ledger::BatchItem>> read_items(std::string_view body);

/// Looks at each request as the rules will: where it would go, and what would go there.
class BatchSorting {
 public:
  BatchSorting(Worker& worker, const Policy& policy, const http::RequestHead& head);

  /// Error: a request that no provider could answer.
  Result<void> look_at(ledger::BatchItem& item, std::size_t number);

  /// The provider that takes all of them as one batch; null: they are sent one by one.
  [[nodiscard]] const config::Provider* provider() const { return together_ ? provider_ : nullptr; }

  /// Why they cannot be sent one by one; empty when they can.
  [[nodiscard]] const std::string& keyless() const { return keyless_; }

  /// That batch, for the provider.
  [[nodiscard]] std::string body(const std::vector<ledger::BatchItem>& items) const;

  /// What limits single requests can only be kept when they are sent one by one.
  void one_by_one() { together_ = false; }

 private:
  Worker& worker_;
  const Policy& policy_;
  const http::RequestHead& head_;
  bool together_ = true;
  bool asks_for_keys_ = false;  ///< some provider is asked with the client's credential
  std::string keyless_;
  const config::Provider* provider_ = nullptr;
  std::vector<std::string> params_;
};

}  // namespace ccrules::proxy
