#include "proxy/provider_health.h"

#include <chrono>

#include "core/limits.h"

namespace ccrules::proxy {

bool speaks_against_provider(const Error& error) noexcept {
  if (error.origin != Origin::kUpstream) return false;
  switch (error.code) {
    case ErrorCode::kConnectFailed:
    case ErrorCode::kConnectionLost:
    case ErrorCode::kUpstreamTimeout:
    case ErrorCode::kUpstreamProtocol:
      return true;
    default:
      constexpr int kServerFault = 500;
      return error.http_status >= kServerFault;
  }
}

void ProviderHealth::answered(const std::string& provider) {
  const std::lock_guard lock(mutex_);
  const auto found = states_.find(provider);
  if (found != states_.end()) found->second.failures = 0;
}

void ProviderHealth::failed(const std::string& provider, std::int64_t wall_us) {
  const std::lock_guard lock(mutex_);
  State& state = states_[provider];
  if (++state.failures >= limits::kHealthFailures) state.down_us = wall_us;
}

std::string_view ProviderHealth::state(std::string_view provider, std::int64_t wall_us) const {
  constexpr std::int64_t kDownUs = std::chrono::microseconds(limits::kHealthDownTime).count();
  const std::lock_guard lock(mutex_);
  const auto found = states_.find(provider);
  if (found == states_.end() || found->second.failures < limits::kHealthFailures) return "ok";
  return wall_us - found->second.down_us < kDownUs ? "down" : "trial";
}

}  // namespace ccrules::proxy
