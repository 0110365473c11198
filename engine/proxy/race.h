#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "proxy/circuit.h"
#include "proxy/one_attempt.h"
#include "proxy/rate_limit.h"

namespace ccrules::http {
class Wait;  // http/wait.h
}

/// Hedging: an attempt that says nothing for a while gets another one beside it, and the first that answers
/// wins. Here is how two run beside each other; whether there may be a second one, where it goes and what
/// becomes of the loser is for attempts.cc.
namespace ccrules::proxy {

/// One attempt, from its pass to its outcome. Whoever owns it keeps it where it is until it is over.
struct Try {
  Try(Circuits& circuits, const rules::Target& at, Circuits::Pass admitted) : pass(circuits, at.provider, admitted) { tried.target = at; }
  void take(LaneLease taken) {
    lane = taken.lane();
    lease = std::move(taken);
  }
  [[nodiscard]] bool over() const { return result.has_value(); }
  [[nodiscard]] bool won() const { return over() && result->ok(); }

  CircuitPass pass;
  LaneLease lease;
  const config::Lane* lane = nullptr;  ///< null: its provider has but one
  std::int64_t sent_ms = 0;
  Tried tried;

  // Of one that may have another one beside it:
  std::size_t place = 0;            ///< of its target among the request's
  std::optional<LaneChoice> lanes;  ///< of a target that the attempts have not come to
  RateLease rate;                   ///< its own share of the request's rate limits
  std::unique_ptr<StopSource> stop;
  std::optional<Result<std::unique_ptr<FirstReply>>> result;
};

/// An attempt, and another one beside it where it is slow. In its owner's frame, like both attempts; the loop's thread.
class Race {
 public:
  /// @param stop the request's: whatever runs ends with it
  Race(Worker& worker, const Ask& ask, const Visit& visit, Try& first, StopToken stop)
      : worker_(worker), ask_(ask), visit_(visit), first_(first), stop_(stop) {}
  /// Sends the first attempt. Returns when it is over, or has given nothing for so long (> 0).
  Task<void> begin(std::chrono::milliseconds patience);
  /// True while another one beside the first would be of use.
  [[nodiscard]] bool is_open() const { return !first_.over() && !stop_.stopped(); }
  /// Sends another one, at most once, after begin(); it lives as long as the first.
  void join(Try& second);

  struct Outcome {
    Try* counts = nullptr;    ///< whose result is the request's
    Try* loser = nullptr;     ///< the other one; null: there was none
    bool called_off = false;  ///< the loser had not come to its own end
  };
  /// Waits until one has won or none can, and calls the other one off: both are over then.
  Task<Outcome> outcome();

 private:
  static Task<void> run(Race& race, Try& runner);
  void start(Try& runner);
  void ended();
  /// Returns when one that is running has ended, or after so long (zero: not before).
  Task<void> wait(std::chrono::milliseconds patience);
  [[nodiscard]] bool second_won() const { return second_ != nullptr && second_->won(); }
  /// What the first was refused for, the client has to mend: no need to wait for what another target says to it.
  [[nodiscard]] bool refused() const { return first_.over() && !first_.won() && first_.result->error().retry == Retry::kNever; }

  Worker& worker_;
  const Ask& ask_;
  const Visit& visit_;
  Try& first_;
  Try* second_ = nullptr;
  StopToken stop_;
  int running_ = 0;
  http::Wait* waiting_ = nullptr;
};

}  // namespace ccrules::proxy
