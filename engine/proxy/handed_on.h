#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "async/task.h"
#include "config/snapshot.h"
#include "core/result.h"
#include "http/message.h"
#include "http/server.h"
#include "proxy/attempts.h"
#include "proxy/worker.h"

/// Calls about batches and files that go to Anthropic as they come.
namespace ccrules::proxy {

/// Anthropic's own servers take batches and files; others of its dialect only when their switch says so.
bool takes_batches(const config::Provider& provider);
/// Who answers about what was not made here; null: nobody.
const config::Provider* batch_provider(const config::Snapshot& config);
/// This proxy's address as the client wrote it.
std::string own_address(const http::RequestHead& head, const config::Snapshot& config);

/// One call that is handed on as it is.
struct Handed {
  const config::Provider* provider = nullptr;
  std::string_view body;
  std::string path;  ///< below the base URL
  std::optional<std::string> query;  ///< in place of the client's
};

/// Sends it; the reply's head has arrived.
Task<Result<std::unique_ptr<http::ReplyStream>>> hand_on(Worker& worker, const http::Exchange& exchange, const Handed& handed,
                                                         const config::Snapshot& config, AttemptClock& clock);
/// The provider's addresses of results, as this proxy's own, in a body that shows no key.
std::string with_own_address(std::string body, const config::Provider& provider, const std::string& address);

/// Ledger rows of the answers in a file of results, at a batch's half price.
class ResultRows {
 public:
  ResultRows(Worker& worker, const config::Snapshot& config, const config::Provider& provider, std::string key)
      : worker_(worker), config_(config), provider_(provider), key_(std::move(key)) {}

  void take(std::string_view bytes);
  void finish();

 private:
  void take_line(std::string_view line);

  Worker& worker_;
  const config::Snapshot& config_;
  const config::Provider& provider_;
  std::string key_;
  std::string rest_;
};

/// The provider's answer as it comes. Small JSON is read whole, so that its addresses can be made ours.
/// @param rows takes note of what goes by; null: nothing is noted
Task<Result<void>> pass_on(Worker& worker, http::Exchange& exchange, const Handed& handed, const config::Snapshot& config,
                           ResultRows* rows);

}  // namespace ccrules::proxy
