#include "proxy/lanes.h"

#include <algorithm>
#include <chrono>

#include "core/digest.h"
#include "core/limits.h"
#include "proxy/circuit.h"

namespace ccrules::proxy {
namespace {

constexpr std::int64_t kSeatMs = std::chrono::milliseconds(limits::kLaneSeatTime).count();
constexpr std::int64_t kLongestRest = 10;  ///< What a provider asks for counts up to so many times circuit.open_for.

std::uint64_t seat_of(const config::Provider& provider, std::string_view session) {
  return digest::hash64(session, digest::hash64(provider.id));
}

}  // namespace

const Lanes::State& Lanes::of(const config::Lane& lane) const {
  static const State kUnused;
  const auto found = states_.find(lane.id);
  return found == states_.end() ? kUnused : found->second;
}

bool Lanes::is_free(const config::Provider& provider, std::size_t lane, const std::vector<std::size_t>& tried,
                    std::int64_t now_ms) const {
  return of(provider.lanes[lane]).rests_until_ms <= now_ms && std::find(tried.begin(), tried.end(), lane) == tried.end();
}

std::optional<std::size_t> Lanes::least_busy(const config::Provider& provider, const std::vector<std::size_t>& tried,
                                             std::int64_t now_ms) const {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < provider.lanes.size(); ++i) {
    if (!is_free(provider, i, tried, now_ms)) continue;
    const auto rank = [&](std::size_t lane) {
      const State& state = of(provider.lanes[lane]);
      return std::pair(state.under_way, state.last_taken);
    };
    if (!best || rank(i) < rank(*best)) best = i;
  }
  return best;
}

std::optional<std::size_t> Lanes::take(const config::Provider& provider, std::string_view session,
                                       const std::vector<std::size_t>& tried, std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  Seat* seat = nullptr;
  std::optional<std::size_t> chosen;
  if (!session.empty()) {
    if (seats_.size() >= limits::kLaneSeats) forget_seats(now_ms);
    seat = &seats_[seat_of(provider, session)];
    const bool warm = seat->last_ms + kSeatMs > now_ms;
    for (std::size_t i = 0; warm && i < provider.lanes.size(); ++i) {
      if (provider.lanes[i].id == seat->lane && is_free(provider, i, tried, now_ms)) chosen = i;
    }
  }
  if (!chosen) chosen = least_busy(provider, tried, now_ms);
  if (!chosen) return std::nullopt;
  const config::Lane& lane = provider.lanes[*chosen];
  State& state = states_[lane.id];
  ++state.under_way;
  state.last_taken = ++taken_;
  if (seat != nullptr) *seat = {lane.id, now_ms};
  return chosen;
}

void Lanes::forget_seats(std::int64_t now_ms) {
  std::erase_if(seats_, [now_ms](const auto& entry) { return entry.second.last_ms + kSeatMs <= now_ms; });
  if (seats_.size() >= limits::kLaneSeats) seats_.clear();  // a flood: everybody sits down anew
}

void Lanes::give_back(const config::Lane& lane) {
  const std::lock_guard lock(mutex_);
  const auto found = states_.find(lane.id);
  if (found != states_.end() && found->second.under_way > 0) --found->second.under_way;
}

void Lanes::answered(const config::Lane& lane) {
  const std::lock_guard lock(mutex_);
  states_[lane.id].failures = 0;
}

void Lanes::rest(const config::Lane& lane, std::int64_t time_ms, std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  State& state = states_[lane.id];
  state.rests_until_ms = std::max(state.rests_until_ms, now_ms + time_ms);
}

void Lanes::failed(const config::Lane& lane, const config::Circuit& rules, std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  State& state = states_[lane.id];
  ++state.failures;
  if (rules.failures <= 0 || state.failures < rules.failures) return;
  state.rests_until_ms = std::max(state.rests_until_ms, now_ms + std::int64_t{rules.open_for.count()});
}

bool Lanes::has_free(const config::Provider& provider, const std::vector<std::size_t>& tried, std::int64_t now_ms) const {
  const std::lock_guard lock(mutex_);
  return least_busy(provider, tried, now_ms).has_value();
}

std::int64_t Lanes::wait_ms(const config::Provider& provider, std::int64_t now_ms) const {
  const std::lock_guard lock(mutex_);
  std::optional<std::int64_t> until_ms;
  for (const config::Lane& lane : provider.lanes) until_ms = std::min(until_ms.value_or(INT64_MAX), of(lane).rests_until_ms);
  return std::max<std::int64_t>(until_ms.value_or(now_ms) - now_ms, 0);
}

std::int64_t Lanes::under_way(const config::Lane& lane) const {
  const std::lock_guard lock(mutex_);
  return of(lane).under_way;
}

Lanes::Seen Lanes::seen(const config::Lane& lane, std::int64_t now_ms) const {
  const std::lock_guard lock(mutex_);
  const State& state = of(lane);
  return {state.under_way, std::max<std::int64_t>(state.rests_until_ms - now_ms, 0), state.failures};
}

std::optional<LaneLease> LaneChoice::next(std::int64_t now_ms) {
  const std::optional<std::size_t> lane = lanes_.take(provider_, session_, tried_, now_ms);
  if (!lane) return std::nullopt;
  tried_.push_back(*lane);
  return LaneLease(lanes_, provider_.lanes[*lane]);
}

bool note_lane_failure(Lanes& lanes, const config::Lane& lane, const config::Snapshot& config, const Error& error, int answered,
                       std::int64_t now_ms) {
  constexpr int kUnauthorized = 401;
  constexpr int kPaymentRequired = 402;
  const bool our_key = !lane.api_key.empty();
  const std::int64_t longest_ms = config.circuit.open_for.count() * kLongestRest;
  switch (error.code) {
    case ErrorCode::kUpstreamRateLimited:
      if (!our_key) return false;
      lanes.rest(lane, error.retry_after_ms > 0 ? std::min(error.retry_after_ms, longest_ms) : config.retry.at_most.count(), now_ms);
      return true;
    case ErrorCode::kUpstreamAuth:
      if (our_key && answered == kUnauthorized) lanes.rest(lane, longest_ms, now_ms);
      return our_key;
    case ErrorCode::kUpstreamRefused:
      if (!our_key || error.http_status != kPaymentRequired) return false;
      lanes.rest(lane, longest_ms, now_ms);
      return true;
    default: break;
  }
  if (!speaks_against_provider(error)) return false;
  if (error.retry_after_ms > 0) lanes.rest(lane, std::min(error.retry_after_ms, longest_ms), now_ms);
  lanes.failed(lane, config.circuit, now_ms);
  return true;
}

Error lanes_rest(const std::string& provider, std::int64_t wait_ms) {
  constexpr std::int64_t kSecondMs = 1000;
  constexpr int kTooManyRequests = 429;
  Error error;
  error.code = ErrorCode::kUpstreamRateLimited;
  error.origin = Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = kTooManyRequests;
  error.provider = provider;
  error.retry_after_ms = std::max(wait_ms, kSecondMs);
  error.message = "every key and address of provider '" + provider + "' has reached its limit, was refused or fails; the first may be " +
                  "asked again in " + std::to_string((error.retry_after_ms + kSecondMs - 1) / kSecondMs) +
                  " seconds; configure a fallback or one more key";
  return error;
}

}  // namespace ccrules::proxy
