#include "proxy/circuit.h"

#include <algorithm>

namespace ccrules::proxy {
namespace {

constexpr std::int64_t kLongestRest = 10;  ///< What a provider asks for counts up to so many times circuit.open_for.

}  // namespace

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

Circuits::State& Circuits::of(std::string_view provider) {
  const auto found = states_.find(provider);
  return found != states_.end() ? found->second : states_[std::string(provider)];
}

Circuits::Admission Circuits::admit(std::string_view provider, std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  const auto found = states_.find(provider);
  Admission admission;
  if (found == states_.end() || !found->second.open) return admission;
  State& state = found->second;
  admission.pass = Pass::kClosed;
  admission.wait_ms = std::max<std::int64_t>(state.until_ms - now_ms, 0);
  if (admission.wait_ms > 0 || state.trying) return admission;
  state.trying = true;
  admission.pass = Pass::kTrial;
  return admission;
}

void Circuits::answered(std::string_view provider, Pass pass, std::int64_t now_ms, std::int64_t wall_us, std::int64_t took_ms) {
  const std::lock_guard lock(mutex_);
  State& state = of(provider);
  state.seen.last_us = wall_us;
  state.seen.took_ms = took_ms;
  if (pass == Pass::kTrial) state.trying = false;
  // Requests from before the circuit opened say nothing about now; the one on trial does.
  if (state.open && pass != Pass::kTrial && now_ms < state.until_ms) return;
  state.seen.failures = 0;
  state.open = false;
}

void Circuits::failed(std::string_view provider, Pass pass, const config::Circuit& rules, std::int64_t retry_after_ms,
                      std::int64_t now_ms, std::int64_t wall_us) {
  const std::lock_guard lock(mutex_);
  State& state = of(provider);
  state.seen.last_us = wall_us;
  if (pass == Pass::kTrial) state.trying = false;
  if (rules.failures <= 0) {
    state.open = false;  // from before a reload
    return;
  }
  ++state.seen.failures;
  const bool enough = state.seen.failures >= rules.failures || pass == Pass::kTrial;
  if (!enough && retry_after_ms <= 0) return;
  std::int64_t rest_ms = enough ? rules.open_for.count() : 0;
  if (retry_after_ms > 0) rest_ms = std::max(rest_ms, std::min(retry_after_ms, rules.open_for.count() * kLongestRest));
  const bool newly = !state.open;
  state.open = true;
  state.until_ms = newly ? now_ms + rest_ms : std::max(state.until_ms, now_ms + rest_ms);
  if (newly || pass == Pass::kTrial) ++state.seen.opened;
}

void Circuits::broke(std::string_view provider, const config::Circuit& rules, std::int64_t now_ms, std::int64_t wall_us) {
  const std::lock_guard lock(mutex_);
  State& state = of(provider);
  state.seen.last_us = wall_us;
  if (rules.failures <= 0 || state.open || ++state.seen.breaks < rules.failures) return;
  state.seen.breaks = 0;
  state.seen.failures = rules.failures;
  state.open = true;
  state.until_ms = now_ms + rules.open_for.count();
  ++state.seen.opened;
}

void Circuits::finished(std::string_view provider) {
  const std::lock_guard lock(mutex_);
  if (const auto found = states_.find(provider); found != states_.end()) found->second.seen.breaks = 0;
}

void Circuits::set_free() {
  const std::lock_guard lock(mutex_);
  for (auto& [provider, state] : states_) state.open = state.trying = false;
}

void Circuits::left(std::string_view provider, Pass pass) {
  if (pass != Pass::kTrial) return;
  const std::lock_guard lock(mutex_);
  of(provider).trying = false;
}

std::string_view Circuits::state(std::string_view provider, std::int64_t now_ms) const {
  const std::lock_guard lock(mutex_);
  const auto found = states_.find(provider);
  if (found == states_.end() || !found->second.open) return "ok";
  return now_ms < found->second.until_ms ? "down" : "trial";
}

std::optional<Circuits::Seen> Circuits::seen(std::string_view provider) const {
  const std::lock_guard lock(mutex_);
  const auto found = states_.find(provider);
  return found == states_.end() ? std::nullopt : std::optional(found->second.seen);
}

Error circuit_open(const std::string& provider, std::int64_t wait_ms) {
  Error error;
  error.code = ErrorCode::kUpstreamOverloaded;
  error.origin = Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = 503;
  error.provider = provider;
  error.retry_after_ms = std::max<std::int64_t>(wait_ms, 1000);
  error.message = "provider '" + provider + "' has failed too often lately and is left alone for " +
                  std::to_string((error.retry_after_ms + 999) / 1000) +
                  " more seconds; configure a fallback, or see `circuit` in ccrules.json";
  return error;
}

}  // namespace ccrules::proxy
