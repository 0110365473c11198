#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "rules/engine.h"
#include "rules/ruleset.h"
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

/// Judges the rules of one decision, one after the other: conditions, functions within the decision's CPU budget, failures,
/// trace rows.
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
  bool begin();

  const RuleSet& set_;
  Quarantine& quarantine_;
  Reader reader_;
  Trace* trace_;
  std::optional<CpuBudget> budget_;
  int stops_ = 0;
  bool last_stopped_ = false;
};

/// What a request gets when a rule that may deny could not be judged.
Deny fail_closed(const Rule& rule);
Deny quarantine_deny(const Rule& rule);

Decision decide_request(const RuleSet& set, Quarantine& quarantine, const Facts& facts, Trace* trace);
/// `on`: kError or kResponse.
AttemptDecision decide_attempt(const RuleSet& set, Quarantine& quarantine, const Facts& facts, api::On on, Trace* trace);

}  // namespace ccrules::rules
