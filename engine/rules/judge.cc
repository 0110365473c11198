#include "rules/judge.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/limits.h"
#include "core/log.h"

namespace ccrules::rules {
namespace {

constexpr int kFailClosedStatus = 403;
constexpr std::int64_t kQuarantineUs = std::chrono::microseconds(limits::kQuarantineTime).count();

}  // namespace

// --- quarantine

void Quarantine::failed(const Rule& rule, bool stopped, std::int64_t wall_us, const std::string& error) {
  State& state = states_[rule.number];
  ++state.failures;
  state.last_error = error;
  if (!stopped) return;
  const std::size_t slot = state.stops % state.stops_us.size();
  const bool full = state.stops >= state.stops_us.size() - 1;
  state.stops_us[slot] = wall_us;
  ++state.stops;
  if (state.quarantined || !full) return;
  const std::int64_t oldest_us = state.stops_us[state.stops % state.stops_us.size()];
  if (wall_us - oldest_us > kQuarantineUs) return;
  state.quarantined = true;
  state.since_us = wall_us;
  ++quarantined_;
  log::warn("rule '" + rule.name + "' (" + rule.where + ") was stopped " + std::to_string(limits::kQuarantineStops) +
            " times within a minute and is quarantined until the rules are loaded again" +
            (rule.may_deny() ? "; it may refuse requests, so what it might refuse is refused" : "") + ": it " + error);
}

void Quarantine::describe(const Rule& rule, std::vector<RuleStatus>& out) const {
  const State& state = states_[rule.number];
  if (state.failures == 0) return;
  RuleStatus status;
  status.rule = rule.name;
  status.pack = rule.pack;
  status.where = rule.where;
  status.layer = layer_name(rule.layer);
  status.may_deny = rule.may_deny();
  status.quarantined = state.quarantined;
  status.quarantined_since_us = state.since_us;
  status.failures = state.failures;
  status.stops = state.stops;
  status.last_error = state.last_error;
  out.push_back(std::move(status));
}

// --- time

void TimeKeeper::charge() {
  const std::optional<std::chrono::nanoseconds> began = since_ ? since_ : CpuBudget::seen_since();
  if (!began || running_ == nullptr) return;
  const std::chrono::nanoseconds now = thread_cpu_time();
  since_ = now;
  auto spent = std::find_if(spent_.begin(), spent_.end(), [this](const Spent& one) { return one.rule == running_; });
  if (spent == spent_.end()) spent = spent_.insert(spent_.end(), Spent{running_, {}, false});
  // Where the watchdog came late a rule had more than its share; the others do not pay for that.
  const std::chrono::nanoseconds time = std::min<std::chrono::nanoseconds>(now - *began, limits::kRuleTime);
  spent->time += time;
  all_ += time;
}

bool TimeKeeper::turn(const Rule& rule) {
  charge();
  const Rule* before = std::exchange(running_, nullptr);
  if (stops_ >= limits::kRuleStops || all_ >= limits::kRuleStops * limits::kRuleTime) return false;
  if (!budget_) {
    budget_.emplace(limits::kRuleTime);
  } else if ((since_ && before != &rule) || CpuBudget::spent()) {
    budget_->renew();
  }
  running_ = &rule;
  return true;
}

void TimeKeeper::stopped() {
  charge();
  ++stops_;
  for (Spent& spent : spent_) spent.stopped = spent.stopped || spent.rule == running_;
}

const Rule* TimeKeeper::spender() const {
  const auto most = std::max_element(spent_.begin(), spent_.end(), [](const Spent& a, const Spent& b) { return a.time < b.time; });
  return stops_ >= limits::kRuleStops || most == spent_.end() || most->stopped ? nullptr : most->rule;
}

// --- judging

bool Judge::begin(const Rule& rule, Evaluation& evaluation) {
  last_stopped_ = false;
  if (time_.turn(rule)) return true;
  evaluation.error = "not evaluated: other rules used up the time for Lua";
  const Rule* spender = blamed_ != nullptr ? blamed_ : time_.spender();
  if (spender == nullptr || spender == &rule) return false;
  evaluation.error += ", most of it '" + spender->name + "' (" + spender->where + ")";
  if (blamed_ == nullptr) {
    quarantine_.failed(*spender, true, reader_.wall_us(), "used up the time that all rules of a decision have together");
  }
  blamed_ = spender;
  return false;
}

void Judge::leave(const Rule& rule) {
  if (!rule.script->hoards()) return;
  quarantine_.failed(rule, true, reader_.wall_us(),
                     "kept more than " + std::to_string(limits::kLuaBytes >> 21U) + " MiB of memory after it had returned");
  renew(rule);
}

void Judge::renew(const Rule& rule) {
  time_.pause();
  rule.script->renew();
}

Outcome Judge::when(const Rule& rule, Evaluation& evaluation) {
  if (!rule.when.uses_lua) return evaluate(rule.when, evaluation);
  if (!begin(rule, evaluation)) return Outcome::kFailed;
  const Outcome outcome = evaluate(rule.when, evaluation);
  if (outcome == Outcome::kFailed) {
    last_stopped_ = rule.script->stopped();
  } else {
    leave(rule);
  }
  return outcome;
}

bool Judge::call(const Rule& rule, int ref, Evaluation& evaluation, Tree& result) {
  if (!begin(rule, evaluation)) return false;
  if (rule.script->evaluate(ref, reader_, result, evaluation.error)) {
    leave(rule);
    return true;
  }
  last_stopped_ = rule.script->stopped();
  return false;
}

bool Judge::deny(const Rule& rule, Evaluation& evaluation, std::optional<Deny>& out) {
  if (rule.deny.kind == DenyEffect::Kind::kFixed) out = rule.deny.deny;
  if (rule.deny.kind != DenyEffect::Kind::kFunction) return true;
  Tree result;
  if (!call(rule, rule.deny.ref, evaluation, result)) return false;
  if (result.is(Tree::Kind::kNil)) return true;
  Problems problems;
  const DenyEffect effect = EffectReader(rule.context, problems).deny(result);
  if (effect.kind == DenyEffect::Kind::kFixed) out = effect.deny;
  return accept(problems, evaluation);
}

bool Judge::tags(const Rule& rule, Evaluation& evaluation, std::vector<std::pair<std::string, std::string>>& out) {
  if (rule.tag.empty()) return true;
  Problems problems;
  EffectReader reader(rule.context, problems);
  out = rule.tag.fixed;
  for (const auto& [name, ref] : rule.tag.functions) {
    Tree result;
    if (!call(rule, ref, evaluation, result)) return false;
    if (!result.is(Tree::Kind::kNil)) reader.tag_value(name, result, out);
  }
  if (rule.tag.function != 0) {
    Tree result;
    if (!call(rule, rule.tag.function, evaluation, result)) return false;
    if (!result.is(Tree::Kind::kNil)) out = reader.tag(result).fixed;
  }
  return accept(problems, evaluation);
}

bool Judge::accept(const Problems& problems, Evaluation& evaluation) {
  if (problems.empty()) return true;
  evaluation.error = problems.front().message;
  return false;
}

void Judge::failed(const Rule& rule, const Evaluation& evaluation) {
  quarantine_.failed(rule, last_stopped_, reader_.wall_us(), evaluation.error);
  if (!last_stopped_) return;
  last_stopped_ = false;
  time_.stopped();
  // Without it one rule that hoards memory would stop all others of its file.
  if (rule.script->hoards()) renew(rule);
}

// --- traces

std::int64_t Judge::now_ns() const {
  if (trace_ == nullptr) return 0;
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

void Judge::trace(const Rule& rule, Outcome outcome, const Evaluation& evaluation, std::int64_t began_ns) {
  if (trace_ == nullptr) return;
  RuleTrace& row = trace_->rules.emplace_back();
  row.rule = rule.name;
  row.pack = rule.pack;
  row.layer = layer_name(rule.layer);
  row.where = rule.where;
  row.matched = outcome == Outcome::kYes;
  row.time_ns = now_ns() - began_ns;
  if (outcome == Outcome::kNo) {
    row.failed_condition = evaluation.failed;
    row.actual = evaluation.actual;
  }
  if (outcome == Outcome::kFailed) row.error = evaluation.error;
}

void Judge::trace_quarantined(const Rule& rule) {
  if (trace_ == nullptr) return;
  Evaluation nothing = evaluation(rule);
  nothing.error = "quarantined: it was stopped " + std::to_string(limits::kQuarantineStops) + " times within a minute";
  trace(rule, Outcome::kFailed, nothing, now_ns());
  trace_->rules.back().quarantined = true;
}

void Judge::record(const Rule& rule, std::string slot, std::string value, bool shadowed) {
  if (trace_ == nullptr) return;
  trace_->claims.push_back({std::move(slot), std::move(value), rule.name, rule.where, shadowed, rule.pack});
}

// --- targets

std::optional<Judge::Refusal> Judge::refusal(const Target& target) {
  if (set_.about_target.empty()) return std::nullopt;
  const Target* before = reader_.target();
  reader_.set_target(target, set_.targets);
  reader_.targets_are_known();
  std::optional<Refusal> found = refusal_of_read_target();
  if (before != nullptr) {
    reader_.set_target(*before, set_.targets);
  } else {
    reader_.forget_target();
  }
  return found;
}

std::optional<Judge::Refusal> Judge::refusal_of_read_target() {
  for (const Rule& rule : set_.about_target) {
    if (!rule.may_deny()) continue;
    if (quarantined(rule)) {
      if (may_hold(rule.when, reader_)) return Refusal{&rule, quarantine_deny(rule)};
      continue;
    }
    Evaluation judged = evaluation(rule);
    Outcome outcome = when(rule, judged);
    std::optional<Deny> denied;
    if (outcome == Outcome::kYes && !deny(rule, judged, denied)) outcome = Outcome::kFailed;
    if (outcome == Outcome::kFailed) {
      failed(rule, judged);
      return Refusal{&rule, fail_closed(rule)};
    }
    if (denied) return Refusal{&rule, *std::move(denied)};
  }
  return std::nullopt;
}

Deny fail_closed(const Rule& rule) {
  Deny deny;
  deny.status = kFailClosedStatus;
  deny.message = "rule '" + rule.name + "' may refuse requests and could not be evaluated, so this one is refused";
  return deny;
}

Deny quarantine_deny(const Rule& rule) {
  Deny deny;
  deny.status = kFailClosedStatus;
  deny.message = "rule '" + rule.name + "' may refuse requests like this one and is quarantined because it failed again and "
                 "again, so they are refused until it is mended (" + rule.where + ")";
  return deny;
}

}  // namespace ccrules::rules
