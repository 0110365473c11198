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

/// Runs attempts beside each other. In its owner's frame, which lives until none is running. The loop's
/// thread.
class Race {
 public:
  Race(Worker& worker, const Ask& ask, const Visit& visit, StopToken stop) : worker_(worker), ask_(ask), visit_(visit), stop_(stop) {}
  void start(Try& runner);
  [[nodiscard]] int running() const { return running_; }
  /// Returns when one that is running has ended, or after so long (zero: not before). They end by themselves
  /// when the request stops.
  Task<void> wait(std::chrono::milliseconds patience);

 private:
  static Task<void> run(Race& race, Try& runner);
  void ended();

  Worker& worker_;
  const Ask& ask_;
  const Visit& visit_;
  StopToken stop_;
  int running_ = 0;
  http::Wait* waiting_ = nullptr;
};

}  // namespace ccrules::proxy
