#include <utility>

#include "rules/effects.h"
#include "rules/judge.h"

namespace ccrules::rules {
namespace {

/// One decision on an attempt being made: its failure, or its reply before that goes to the client.
class AttemptMerge {
 public:
  AttemptMerge(const RuleSet& set, Quarantine& quarantine, const Facts& facts, api::On on, Trace* trace)
      : set_(set), rules_(on == api::On::kError ? set.on_error : set.on_response),
        judge_(set, quarantine, facts, on, trace) {}

  AttemptDecision decide() {
    for (const Rule& rule : rules_) apply(rule);
    return std::move(decision_);
  }

 private:
  /// What a rule asks for, once its functions were called: all values first, so that a rule that fails claims nothing.
  struct Asked {
    std::optional<Deny> deny;
    RetryEffect retry;
    std::optional<bool> next_fallback;
    std::optional<Choice> to;
    std::vector<std::pair<std::string, std::string>> tags;
  };

  void apply(const Rule& rule) {
    if (judge_.quarantined(rule)) {
      judge_.trace_quarantined(rule);
      if (!may_hold(rule.when, judge_.reader())) return;
      decision_.failed_rules.push_back(rule.name);
      if (rule.may_deny()) take_deny(rule, quarantine_deny(rule));
      return;
    }
    const std::int64_t began_ns = judge_.now_ns();
    Evaluation evaluation = judge_.evaluation(rule);
    Outcome outcome = judge_.when(rule, evaluation);
    Asked asked;
    if (outcome == Outcome::kYes && !ask(rule, evaluation, asked)) outcome = Outcome::kFailed;
    judge_.trace(rule, outcome, evaluation, began_ns);
    if (outcome == Outcome::kYes) claim(rule, asked);
    if (outcome != Outcome::kFailed) return;
    judge_.failed(rule, evaluation);
    decision_.failed_rules.push_back(rule.name);
    if (rule.may_deny()) take_deny(rule, fail_closed(rule));
  }

  bool ask(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    return judge_.deny(rule, evaluation, asked.deny) && ask_retry(rule, evaluation, asked) && ask_next(rule, evaluation, asked) &&
           ask_to(rule, evaluation, asked) && judge_.tags(rule, evaluation, asked.tags);
  }

  bool ask_retry(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    asked.retry = rule.retry;
    if (rule.retry.function == 0) return true;
    Tree result;
    if (!judge_.call(rule, rule.retry.function, evaluation, result)) return false;
    if (result.is(Tree::Kind::kNil)) return true;
    Problems problems;
    asked.retry = EffectReader(rule.context, problems).retry(result);
    return Judge::accept(problems, evaluation);
  }

  bool ask_next(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    asked.next_fallback = rule.next_fallback;
    if (rule.next_fallback_function == 0) return true;
    Tree result;
    if (!judge_.call(rule, rule.next_fallback_function, evaluation, result)) return false;
    if (result.is(Tree::Kind::kNil)) return true;
    if (!result.is(Tree::Kind::kFlag)) {
      evaluation.error = std::string("next_fallback is true or false, not ") + result.kind_name();
      return false;
    }
    asked.next_fallback = result.flag;
    return true;
  }

  bool ask_to(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    switch (rule.to.kind) {
      case TargetEffect::Kind::kFixed:
        if (!rule.to.choices.empty()) asked.to = rule.to.choices.front();
        return true;
      case TargetEffect::Kind::kPick: {
        const std::vector<Choice>* found = rule.to.pick.find(judge_.reader().read(rule.to.pick.fact).text);
        if (found != nullptr) asked.to = found->front();
        return true;
      }
      case TargetEffect::Kind::kFunction: break;
      default: return true;
    }
    Tree result;
    if (!judge_.call(rule, rule.to.ref, evaluation, result)) return false;
    if (result.is(Tree::Kind::kNil)) return true;
    Problems problems;
    asked.to = EffectReader(rule.context, problems).choice(result);
    if (asked.to && !set_.targets.enabled(asked.to->target.provider)) {
      evaluation.error = "provider '" + asked.to->target.provider + "' is disabled";
      return false;
    }
    return Judge::accept(problems, evaluation);
  }

  void claim(const Rule& rule, Asked& asked) {
    if (asked.deny) take_deny(rule, *std::move(asked.deny));
    if (asked.retry.retry) claim_retry(rule, asked.retry);
    if (asked.next_fallback) {
      const bool taken = decision_.next_fallback.has_value();
      judge_.record(rule, "next_fallback", *asked.next_fallback ? "true" : "false", taken);
      if (!taken) {
        decision_.next_fallback = asked.next_fallback;
        name(rule);
      }
    }
    if (asked.to) claim_to(rule, std::move(asked.to->target));
    for (auto& [tag, value] : asked.tags) {
      const bool taken = decision_.tags.find(tag) != decision_.tags.end();
      judge_.record(rule, "tag." + tag, value, taken);
      if (!taken) decision_.tags.emplace(tag, std::move(value));
    }
  }

  void take_deny(const Rule& rule, Deny deny) {
    judge_.record(rule, "deny", std::to_string(deny.status) + " " + deny.message, decision_.deny.has_value());
    if (decision_.deny) return;
    decision_.deny = std::move(deny);
    name(rule);
  }

  void claim_retry(const Rule& rule, const RetryEffect& retry) {
    const bool taken = decision_.retry.has_value();
    judge_.record(rule, "retry", *retry.retry ? "true" : "false", taken);
    if (taken) return;
    decision_.retry = retry.retry;
    decision_.retry_after = retry.after;
    decision_.retry_at_most = retry.at_most;
    name(rule);
  }

  void claim_to(const Rule& rule, Target target) {
    if (target.model.empty()) target.model = judge_.reader().read(api::Fact::kModel).text;
    const bool taken = decision_.to.has_value();
    // What may not be sent there as the first choice may not go there after a failure either.
    if (const auto refusal = judge_.refusal(target)) {
      judge_.record(*refusal->rule, "to", "not " + target_text(target) + ": " + refusal->deny.message, false);
      return;
    }
    judge_.record(rule, "to", target_text(target), taken);
    if (taken) return;
    decision_.to = std::move(target);
    name(rule);
  }

  void name(const Rule& rule) {
    if (decision_.rule.empty()) decision_.rule = rule.name;
  }

  const RuleSet& set_;
  const std::vector<Rule>& rules_;
  Judge judge_;
  AttemptDecision decision_;
};

}  // namespace

AttemptDecision decide_attempt(const RuleSet& set, Quarantine& quarantine, const Facts& facts, api::On on, Trace* trace) {
  return AttemptMerge(set, quarantine, facts, on, trace).decide();
}

}  // namespace ccrules::rules
