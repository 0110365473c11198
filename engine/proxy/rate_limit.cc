#include "proxy/rate_limit.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "core/utc.h"
#include "async/loop.h"
#include "core/digest.h"
#include "ledger/spend_sum.h"
#include "proxy/visit.h"
#include "proxy/worker.h"

namespace ccrules::proxy {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMostStates = 20000;   ///< Sessions, users ... whose limits are kept.
constexpr std::size_t kMostWaiting = 1000;   ///< Requests that wait for one limit.
constexpr milliseconds kLookAgain{50};       ///< Who waits for others to end looks so often.

/// Those of a limit, at the beginning of RateRule::bucket.
using Numbers = std::array<std::int64_t, 4>;

std::int64_t per_us(const RateRule& rule) { return std::max<std::int64_t>(rule.per.count(), 1) * 1000; }

/// How long it takes until so much has flowed out of a bucket of `most`.
std::int64_t share_us(const RateRule& rule, std::int64_t amount, std::int64_t most) {
  return static_cast<std::int64_t>(static_cast<double>(per_us(rule)) * static_cast<double>(amount) / static_cast<double>(most));
}

/// Until `amount` more fits into the bucket; not positive: it does now. More than all of it fits when the bucket is empty.
std::int64_t wait_us(const RateRule& rule, std::int64_t empty_us, std::int64_t amount, std::int64_t most, std::int64_t now_us) {
  return std::max(empty_us, now_us) + share_us(rule, std::min(amount, most), most) - per_us(rule) - now_us;
}

/// Until one request of `tokens` fits into both buckets of a rule; not positive: it does now.
std::int64_t room_us(const RateRule& rule, std::int64_t requests_us, std::int64_t tokens_us, std::int64_t tokens, std::int64_t now_us) {
  std::int64_t us = 0;
  if (rule.requests > 0) us = std::max(us, wait_us(rule, requests_us, 1, rule.requests, now_us));
  if (rule.tokens > 0) us = std::max(us, wait_us(rule, tokens_us, tokens, rule.tokens, now_us));
  return us;
}

std::int64_t left_of(const RateRule& rule, std::int64_t empty_us, std::int64_t most, std::int64_t now_us) {
  const std::int64_t room_us = std::max<std::int64_t>(per_us(rule) - std::max<std::int64_t>(empty_us - now_us, 0), 0);
  return static_cast<std::int64_t>(static_cast<double>(most) * static_cast<double>(room_us) / static_cast<double>(per_us(rule)));
}

Error rate_error() {
  Error error;
  error.code = ErrorCode::kDenied;
  error.origin = Origin::kClient;
  error.http_status = 429;
  error.type = "rate_limit_error";
  return error;
}

/// Whether it lets nothing pass, ever: one of its numbers is 0.
bool is_closed(const RateRule& rule) {
  return rule.requests == 0 || rule.tokens == 0 || rule.concurrent == 0;
}

/// Waiting would not help, so no time is named at which to come again.
Error allows_none(const RateRule& rule) {
  const char* what = rule.requests == 0 ? "requests" : rule.tokens == 0 ? "tokens" : "concurrent";
  Error error = rate_error();
  error.should_retry_false = true;
  error.message = "the rate limit of " + rule.whose() + " allows nothing (`" + what + "` is 0); raise `rate_limits` in ccrules.json";
  return error;
}

Error refusal(const RateRule& rule, const RateLimits::Refusal& refused, const RateLimits::Left& left, std::int64_t wall_us,
              http::Headers& headers) {
  constexpr std::int64_t kSecondMs = 1000;
  Error error = rate_error();
  error.retry_after_ms = std::max(refused.wait_ms, kSecondMs);
  const std::string seconds = std::to_string((error.retry_after_ms + kSecondMs - 1) / kSecondMs);
  if (refused.concurrent) {
    error.message = "more than " + std::to_string(rule.concurrent) + " requests of " + rule.whose() +
                    " are under way; try again when one has ended, or raise `rate_limits` in ccrules.json";
  } else {
    error.message = "the rate limit of " + rule.whose() + " is reached; there is room again in " + seconds +
                    " seconds, or raise `rate_limits` in ccrules.json";
  }
  const std::string reset = rfc3339(wall_us + left.full_ms * 1000);
  const auto tell = [&](const char* what, std::int64_t limit, std::int64_t rest) {
    if (limit < 0) return;
    const std::string anthropic = std::string("anthropic-ratelimit-") + what;
    headers.add(anthropic + "-limit", std::to_string(limit));
    headers.add(anthropic + "-remaining", std::to_string(rest));
    headers.add(anthropic + "-reset", reset);
    headers.add(std::string("x-ratelimit-limit-") + what, std::to_string(limit));
    headers.add(std::string("x-ratelimit-remaining-") + what, std::to_string(rest));
    headers.add(std::string("x-ratelimit-reset-") + what, seconds + "s");
  };
  tell("requests", rule.requests, left.requests);
  tell("tokens", rule.tokens, left.tokens);
  return error;
}

}  // namespace

RateRule::RateRule(const config::RateLimit& limit, std::string_view key)
    : requests(limit.requests),
      tokens(limit.tokens),
      concurrent(limit.concurrent),
      per(limit.per),
      wait(limit.wait),
      fair(limit.fair) {
  // The same limit after a reload is the same bucket; one that was changed begins anew.
  const Numbers numbers = {requests, tokens, concurrent, std::int64_t{per.count()}};
  std::array<char, sizeof(Numbers)> bytes;
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  bucket.reserve(bytes.size() + limit.by.size() + 1 + key.size());
  bucket.append(bytes.data(), bytes.size()).append(limit.by).append(1, '\n').append(key);
}

std::string RateRule::whose() const {
  const std::string_view name = std::string_view(bucket).substr(sizeof(Numbers));
  const std::size_t by_bytes = name.find('\n');
  if (by_bytes == 0) return "all requests together";
  return std::string(name.substr(0, by_bytes)) + " '" + std::string(name.substr(by_bytes + 1)) + "'";
}

std::vector<RateRule> rates_for(const config::Snapshot& config, const ledger::Record& row) {
  std::vector<RateRule> rules;
  rules.reserve(config.rate_limits.size());
  for (const config::RateLimit& limit : config.rate_limits) {
    if (limit.by.empty()) rules.emplace_back(limit, std::string_view());
  }
  ledger::each_scope(row, [&](std::size_t scope, std::string_view key) {
    for (const config::RateLimit& limit : config.rate_limits) {
      if (limit.by == ledger::kScopes[scope] && ledger::takes_in(limit.by, limit.key, key)) rules.emplace_back(limit, key);
    }
  });
  return rules;
}

RateLimits::State& RateLimits::of(const RateRule& rule, std::int64_t now_us) {
  const auto found = states_.find(rule.bucket);
  if (found != states_.end()) return found->second;
  if (states_.size() >= kMostStates) forget_idle(now_us);
  return states_.emplace(rule.bucket, State()).first->second;
}

void RateLimits::forget_idle(std::int64_t now_us) {
  const auto idle = [now_us](const auto& entry) {
    const State& state = entry.second;
    return state.running == 0 && state.waiting.empty() && state.requests_us <= now_us && state.tokens_us <= now_us;
  };
  std::erase_if(states_, idle);
  if (states_.size() < kMostStates) return;
  // A flood of new names that are all in use: those that nothing is under way for begin anew.
  std::erase_if(states_, [](const auto& entry) { return entry.second.running == 0 && entry.second.waiting.empty(); });
}

std::optional<RateLimits::Refusal> RateLimits::take_in_turn(const std::vector<RateRule>& rules,
                                                            std::int64_t tokens, std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const auto found = states_.find(rules[i].bucket);
    if (found != states_.end() && !found->second.waiting.empty()) return Refusal{i, 0, false};
  }
  return take_now(rules, tokens, now_ms);
}

std::optional<RateLimits::Refusal> RateLimits::take(const std::vector<RateRule>& rules, std::int64_t tokens, std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  return take_now(rules, tokens, now_ms);
}

std::optional<RateLimits::Refusal> RateLimits::take_now(const std::vector<RateRule>& rules,
                                                        std::int64_t tokens, std::int64_t now_ms) {
  const std::int64_t now_us = now_ms * 1000;
  std::optional<Refusal> refusal;
  const auto refuse = [&](std::size_t rule, std::int64_t us, bool concurrent) {
    Refusal mine{rule, (us + 999) / 1000, concurrent};
    if (!refusal || mine.wait_ms > refusal->wait_ms) refusal = mine;
  };
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const RateRule& rule = rules[i];
    const State& state = of(rule, now_us);
    if (rule.concurrent >= 0 && state.running >= rule.concurrent) refuse(i, 0, true);
    const std::int64_t us = room_us(rule, state.requests_us, state.tokens_us, tokens, now_us);
    if (us > 0) refuse(i, us, false);
  }
  if (refusal) return refusal;
  for (const RateRule& rule : rules) {
    State& state = of(rule, now_us);
    ++state.running;
    if (rule.requests > 0) state.requests_us = std::max(state.requests_us, now_us) + share_us(rule, 1, rule.requests);
    if (rule.tokens > 0) state.tokens_us = std::max(state.tokens_us, now_us) + share_us(rule, tokens, rule.tokens);
  }
  return std::nullopt;
}

void RateLimits::end(const std::vector<RateRule>& rules, std::int64_t tokens, std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  const std::int64_t now_us = now_ms * 1000;
  for (const RateRule& rule : rules) {
    State& state = of(rule, now_us);
    state.running = std::max<std::int64_t>(state.running - 1, 0);
    if (rule.tokens <= 0) continue;
    const std::int64_t us = share_us(rule, std::abs(tokens), rule.tokens);
    state.tokens_us = tokens < 0 ? state.tokens_us - us : std::max(state.tokens_us, now_us) + us;
  }
}

std::optional<std::uint64_t> RateLimits::queue(const RateRule& rule, std::string_view session) {
  const std::lock_guard lock(mutex_);
  State& state = of(rule, 0);
  if (state.waiting.size() >= kMostWaiting) return std::nullopt;
  Waiter waiter{next_ticket_++, digest::hash64(session), state.waiting.empty() ? 0 : state.waiting.front().turn};
  auto place = state.waiting.end();
  if (rule.fair) {
    for (const Waiter& other : state.waiting) {
      if (other.session == waiter.session) waiter.turn = other.turn + 1;
    }
    place = std::find_if(state.waiting.begin(), state.waiting.end(), [&waiter](const Waiter& other) { return other.turn > waiter.turn; });
  }
  state.waiting.insert(place, waiter);
  return waiter.ticket;
}

bool RateLimits::is_first(const RateRule& rule, std::uint64_t ticket) const {
  const std::lock_guard lock(mutex_);
  const auto found = states_.find(rule.bucket);
  return found == states_.end() || found->second.waiting.empty() || found->second.waiting.front().ticket == ticket;
}

void RateLimits::leave_queue(const RateRule& rule, std::uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  const auto found = states_.find(rule.bucket);
  if (found == states_.end()) return;
  std::erase_if(found->second.waiting, [ticket](const Waiter& waiter) { return waiter.ticket == ticket; });
}

RateLimits::Left RateLimits::left(const RateRule& rule, std::int64_t now_ms) const {
  const std::lock_guard lock(mutex_);
  const auto found = states_.find(rule.bucket);
  const State state = found == states_.end() ? State() : found->second;
  const std::int64_t now_us = now_ms * 1000;
  Left left;
  if (rule.requests >= 0) left.requests = left_of(rule, state.requests_us, rule.requests, now_us);
  if (rule.tokens >= 0) left.tokens = left_of(rule, state.tokens_us, rule.tokens, now_us);
  left.full_ms = std::max<std::int64_t>(std::max(state.requests_us, state.tokens_us) - now_us, 0) / 1000;
  return left;
}

std::int64_t RateLimits::room_ms(const RateRule& rule, std::int64_t tokens, std::int64_t now_ms) const {
  const std::lock_guard lock(mutex_);
  const auto found = states_.find(rule.bucket);
  const State state = found == states_.end() ? State() : found->second;
  return std::max<std::int64_t>(room_us(rule, state.requests_us, state.tokens_us, tokens, now_ms * 1000) + 999, 0) / 1000;
}

std::size_t RateLimits::states() const {
  const std::lock_guard lock(mutex_);
  return states_.size();
}

RateLease& RateLease::operator=(RateLease&& other) noexcept {
  end(tokens_, last_ms_);
  limits_ = std::exchange(other.limits_, nullptr);
  rules_ = std::move(other.rules_);
  tokens_ = other.tokens_;
  last_ms_ = other.last_ms_;
  return *this;
}

void RateLease::end(std::int64_t used_tokens, std::int64_t now_ms) noexcept {
  if (limits_ != nullptr) limits_->end(rules_, used_tokens - tokens_, now_ms);
  limits_ = nullptr;
}

namespace {

/// A place in a queue, left at the end of its life.
class Ticket {
 public:
  Ticket(RateLimits& limits, RateRule rule, std::uint64_t number) : limits_(limits), rule_(std::move(rule)), number_(number) {}
  ~Ticket() { limits_.leave_queue(rule_, number_); }
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;
  [[nodiscard]] bool is_first() const { return limits_.is_first(rule_, number_); }

 private:
  RateLimits& limits_;
  RateRule rule_;
  std::uint64_t number_;
};

}  // namespace

Task<Result<void>> pass_rate_limits(Worker& worker, Visit& visit, StopToken stop) {
  const config::Snapshot& config = *visit.policy->config;
  if (config.rate_limits.empty()) co_return Result<void>();
  std::vector<RateRule> rules = rates_for(config, visit.row);
  if (rules.empty()) co_return Result<void>();
  const auto closed = std::find_if(rules.begin(), rules.end(), is_closed);
  if (closed != rules.end()) co_return allows_none(*closed);
  RateLimits& limits = worker.tallies.limits;
  const std::int64_t tokens = visit.estimated_input_tokens;
  const std::int64_t began_ms = worker.loop.now_ms();
  std::unique_ptr<Ticket> ticket;
  std::size_t waits_for = 0;
  for (;;) {
    const std::int64_t now_ms = worker.loop.now_ms();
    std::optional<RateLimits::Refusal> refused;
    if (!ticket) {
      refused = limits.take_in_turn(rules, tokens, now_ms);
    } else if (ticket->is_first()) {
      refused = limits.take(rules, tokens, now_ms);
    } else {
      refused = RateLimits::Refusal{waits_for, 0, false};
    }
    if (!refused) break;
    const RateRule& rule = rules[refused->rule];
    const std::int64_t patience_ms = began_ms + rule.wait.count() - now_ms;
    const std::int64_t pause_ms = std::max<std::int64_t>(refused->wait_ms, kLookAgain.count());
    const bool hopeless = pause_ms > patience_ms;
    if (!hopeless && !ticket) {
      if (const auto number = limits.queue(rule, visit.row.session)) {
        ticket = std::make_unique<Ticket>(limits, rule, *number);
        waits_for = refused->rule;
      }
    }
    // Who waited behind others in vain is told when there is room, not when to look again.
    if (refused->wait_ms == 0 && !refused->concurrent) refused->wait_ms = limits.room_ms(rule, tokens, now_ms);
    if (hopeless || !ticket) co_return refusal(rule, *refused, limits.left(rule, now_ms), visit.row.at_us, visit.more_headers);
    CCR_CO_CHECK(co_await sleep_for(worker.loop, milliseconds(pause_ms), stop));
  }
  visit.rate_lease = RateLease(limits, std::move(rules), tokens);
  co_return Result<void>();
}

std::optional<RateLease> take_beside(Worker& worker, const Visit& visit) {
  std::vector<RateRule> rules = visit.rate_lease.rules();
  if (rules.empty()) return RateLease();
  RateLimits& limits = worker.tallies.limits;
  if (limits.take_in_turn(rules, visit.estimated_input_tokens, worker.loop.now_ms())) return std::nullopt;
  return RateLease(limits, std::move(rules), visit.estimated_input_tokens);
}

}  // namespace ccrules::proxy
