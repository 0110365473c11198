#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "core/result.h"

namespace ccrules::proxy {

/// Whether a failed attempt speaks against the provider: it could not be reached, broke off, was too slow or overloaded; not
/// that it disliked the request.
[[nodiscard]] bool speaks_against_provider(const Error& error) noexcept;

/// How providers have answered lately, for rules. Any thread.
class ProviderHealth {
 public:
  void answered(const std::string& provider);
  void failed(const std::string& provider, std::int64_t wall_us);
  /// "ok", "down" after limits::kHealthFailures failures in a row, "trial" when that is limits::kHealthDownTime ago: who asks now
  /// may try. Providers that nobody has asked are "ok".
  [[nodiscard]] std::string_view state(std::string_view provider, std::int64_t wall_us) const;

 private:
  struct State {
    int failures = 0;  ///< in a row
    std::int64_t down_us = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::string, State, std::less<>> states_;  ///< as many as are configured
};

}  // namespace ccrules::proxy
