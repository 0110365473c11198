#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "rules/engine.h"
#include "rules/ruleset.h"
#include "rules/sieve.h"
#include "rules/watchdog.h"

namespace ccrules::rules {

/// Which rules failed, and which were stopped so often that their functions no longer run. Per engine, so per worker.
class Quarantine {
 public:
  explicit Quarantine(std::size_t rules) : states_(rules) {}

  /// True when some rule is quarantined: the question that the usual decision asks.
  [[nodiscard]] bool any() const { return quarantined_ != 0; }
  [[nodiscard]] bool holds(const Rule& rule) const { return states_[rule.number].quarantined; }
  /// Notes a failure. `stopped`: by a limit. limits::kQuarantineStops of those within limits::kQuarantineTime quarantine the rule.
  void failed(const Rule& rule, bool stopped, std::int64_t wall_us, const std::string& error);
  void describe(const Rule& rule, std::vector<RuleStatus>& out) const;

 private:
  struct State {
    std::array<std::int64_t, limits::kQuarantineStops> stops_us{};  // ring
    std::uint64_t stops = 0;
    std::uint64_t failures = 0;
    bool quarantined = false;
    std::int64_t since_us = 0;
    std::string last_error;
  };
  std::vector<State> states_;
  std::size_t quarantined_ = 0;
};

/// Who spent the CPU time of a decision's Lua. Until the watchdog has seen the decision run nobody asks and no clock is read: the
/// usual decision is over by then. From there on every rule has its limits::kRuleTime to itself, and all of them together have
/// limits::kRuleStops times as much.
class TimeKeeper {
 public:
  /// Lua of `rule` runs next. False when there is no time left for it.
  bool turn(const Rule& rule);
  /// The rule whose turn it is was stopped by a limit, and answers for that.
  void stopped();
  /// Loading rules takes a budget of its own; the next turn() begins another one.
  void pause() { budget_.reset(); }
  /// The rule that spent the most, once there is no time left; null: rules were stopped, and answered for that.
  [[nodiscard]] const Rule* spender() const;

 private:
  struct Spent {
    const Rule* rule;
    std::chrono::nanoseconds time;
    bool stopped;
  };
  void charge();

  std::optional<CpuBudget> budget_;
  const Rule* running_ = nullptr;
  std::optional<std::chrono::nanoseconds> since_;  ///< thread_cpu_time() of the last charge; absent: the watchdog saw nothing
  std::vector<Spent> spent_;
  std::chrono::nanoseconds all_{0};
  int stops_ = 0;
};

/// Judges the rules of one decision, one after the other: conditions, functions within their CPU time, failures, trace rows.
class Judge {
 public:
  Judge(const RuleSet& set, Quarantine& quarantine, const Facts& facts, api::On on, Trace* trace)
      : set_(set), quarantine_(quarantine), reader_(facts, on, trace), trace_(trace) {}

  const RuleSet& set() const { return set_; }
  Reader& reader() { return reader_; }
  [[nodiscard]] bool traced() const { return trace_ != nullptr; }
  [[nodiscard]] bool quarantined(const Rule& rule) const { return quarantine_.any() && quarantine_.holds(rule); }

  Evaluation evaluation(const Rule& rule) { return {reader_, rule.script, trace_ != nullptr, {}, {}, {}, set_.log}; }
  Outcome when(const Rule& rule, Evaluation& evaluation);
  /// Calls a function of the rule's effects.
  bool call(const Rule& rule, int ref, Evaluation& evaluation, Tree& result);
  /// The rule's deny, its function called; false when that failed.
  bool deny(const Rule& rule, Evaluation& evaluation, std::optional<Deny>& out);
  /// The rule's tags, its functions called; false when one failed.
  bool tags(const Rule& rule, Evaluation& evaluation, std::vector<std::pair<std::string, std::string>>& out);
  /// False, with the evaluation's error set, when there are problems.
  static bool accept(const Problems& problems, Evaluation& evaluation);
  /// Notes that the rule failed with the evaluation's error.
  void failed(const Rule& rule, const Evaluation& evaluation);

  void trace(const Rule& rule, Outcome outcome, const Evaluation& evaluation, std::int64_t began_ns);
  void trace_quarantined(const Rule& rule);
  void record(const Rule& rule, std::string slot, std::string value, bool shadowed);
  /// For traces; 0 without one.
  [[nodiscard]] std::int64_t now_ns() const;

  /// Why a request may not go to a target: the first rule about the target that denies it. Nothing when it may.
  struct Refusal {
    const Rule* rule = nullptr;
    Deny deny;
  };
  std::optional<Refusal> refusal(const Target& target);

 private:
  std::optional<Refusal> refusal_of_read_target();
  /// Before Lua of the rule runs. False, with the evaluation's error set, when other rules used up the time.
  bool begin(const Rule& rule, Evaluation& evaluation);
  /// After Lua of the rule ran well: what it leaves behind must not be laid at another rule's door.
  void leave(const Rule& rule);
  void renew(const Rule& rule);

  const RuleSet& set_;
  Quarantine& quarantine_;
  Reader reader_;
  Trace* trace_;
  TimeKeeper time_;
  const Rule* blamed_ = nullptr;  ///< spent the others' time
  bool last_stopped_ = false;
};

/// What a request gets when a rule that may deny could not be judged.
Deny fail_closed(const Rule& rule);
Deny quarantine_deny(const Rule& rule);

/// `sieve`: of set.on_request.
Decision decide_request(const RuleSet& set, Sieve& sieve, Quarantine& quarantine, const Facts& facts, Trace* trace);
/// `on`: kError or kResponse.
AttemptDecision decide_attempt(const RuleSet& set, Quarantine& quarantine, const Facts& facts, api::On on, Trace* trace);

}  // namespace ccrules::rules
