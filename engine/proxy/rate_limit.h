#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "async/stop.h"
#include "async/task.h"
#include "config/snapshot.h"
#include "core/result.h"
#include "http/message.h"
#include "ledger/record.h"

/// `rate_limits` of the configuration.
namespace ccrules::proxy {

struct Worker;
class Visit;

/// One limit as it applies to one request: what config::RateLimit says, and whose it is.
struct RateRule {
  RateRule(const config::RateLimit& limit, std::string_view key);
  /// "session 's-1'", "all requests together".
  [[nodiscard]] std::string whose() const;
  std::string bucket;  ///< what tells its state from others
  // Numbers as in config::RateLimit: negative is no limit, and 0 lets nothing pass, ever.
  std::int64_t requests;
  std::int64_t tokens;
  std::int64_t concurrent;
  std::chrono::milliseconds per;
  std::chrono::milliseconds wait;  ///< for room
  bool fair;                       ///< among those who wait, sessions take turns
};
/// The limits that a request falls under.
std::vector<RateRule> rates_for(const config::Snapshot& config, const ledger::Record& row);

/// What is left of all limits. Requests and tokens fill a bucket that empties evenly: `requests` at once, then one every
/// `per` / `requests`. Times are of a loop's monotonic clock. Bounded memory; any thread.
class RateLimits {
 public:
  struct Refusal {
    std::size_t rule = 0;      ///< index of the limit in the way
    std::int64_t wait_ms = 0;  ///< when there may be room; of `concurrent`: nobody knows
    bool concurrent = false;
  };
  /// Takes one request of `tokens` from all rules or from none of them.
  std::optional<Refusal> take(const std::vector<RateRule>& rules, std::int64_t tokens, std::int64_t now_ms);
  /// The same for one that has not waited yet: refused, too, by the first rule that others wait for.
  std::optional<Refusal> take_in_turn(const std::vector<RateRule>& rules, std::int64_t tokens,
                                      std::int64_t now_ms);
  /// The request is over; `tokens` more than were taken (negative: fewer) were used.
  void end(const std::vector<RateRule>& rules, std::int64_t tokens, std::int64_t now_ms);

  /// A place among those who wait for a rule, at the end or, with `fair`, so that sessions take turns; nothing when too many wait.
  std::optional<std::uint64_t> queue(const RateRule& rule, std::string_view session);
  [[nodiscard]] bool is_first(const RateRule& rule, std::uint64_t ticket) const;
  void leave_queue(const RateRule& rule, std::uint64_t ticket);

  /// Requests and tokens that could be taken at once; -1: any number.
  struct Left {
    std::int64_t requests = -1, tokens = -1;
    std::int64_t full_ms = 0;  ///< until all of it is there again
  };
  [[nodiscard]] Left left(const RateRule& rule, std::int64_t now_ms) const;
  /// When the bucket of a rule has room for one request of `tokens`; 0: now.
  [[nodiscard]] std::int64_t room_ms(const RateRule& rule, std::int64_t tokens, std::int64_t now_ms) const;
  /// Sessions, users ... whose limits are kept.
  [[nodiscard]] std::size_t states() const;

 private:
  struct Waiter {
    std::uint64_t ticket = 0;
    std::uint64_t session = 0;  ///< its hash
    std::uint64_t turn = 0;     ///< each session has one request in a turn
  };
  struct State {
    std::int64_t requests_us = 0;  ///< when the bucket of requests is empty again
    std::int64_t tokens_us = 0;
    std::int64_t running = 0;
    std::deque<Waiter> waiting;
  };
  std::optional<Refusal> take_now(const std::vector<RateRule>& rules, std::int64_t tokens,
                                  std::int64_t now_ms);
  State& of(const RateRule& rule, std::int64_t now_us);
  void forget_idle(std::int64_t now_us);

  mutable std::mutex mutex_;
  std::unordered_map<std::string, State> states_;  ///< by RateRule::bucket
  std::uint64_t next_ticket_ = 1;
};

/// What a request has taken; given back at the end of its life.
class RateLease {
 public:
  RateLease() = default;
  RateLease(RateLimits& limits, std::vector<RateRule> rules, std::int64_t tokens)
      : limits_(&limits), rules_(std::move(rules)), tokens_(tokens) {}
  RateLease(RateLease&& other) noexcept { *this = std::move(other); }
  RateLease& operator=(RateLease&& other) noexcept;
  RateLease(const RateLease&) = delete;
  RateLease& operator=(const RateLease&) = delete;
  ~RateLease() { end(tokens_, last_ms_); }
  /// @param used_tokens of prompt and answer
  void end(std::int64_t used_tokens, std::int64_t now_ms) noexcept;
  [[nodiscard]] const std::vector<RateRule>& rules() const { return rules_; }

 private:
  RateLimits* limits_ = nullptr;
  std::vector<RateRule> rules_;
  std::int64_t tokens_ = 0;
  std::int64_t last_ms_ = 0;
};

/// Takes the request's share of every limit that applies; where `wait` says so, waits for its turn, first come, first served.
/// Error: a 429 that says which limit and when to come back, its headers in `visit.more_headers`.
Task<Result<void>> pass_rate_limits(Worker& worker, Visit& visit, StopToken stop);

/// Takes one more share for an attempt beside another one (proxy/attempts.cc), from all limits of the request or none. Nothing when
/// one of them has no room at this moment, or others wait for it.
std::optional<RateLease> take_beside(Worker& worker, const Visit& visit);

}  // namespace ccrules::proxy
