#include "rules/engine.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "core/limits.h"
#include "core/text.h"
#include "rules/effects.h"
#include "rules/review.h"
#include "rules/ruleset.h"
#include "rules/watchdog.h"

namespace ccrules::rules {
namespace {

constexpr int kFailClosedStatus = 403;

std::string target_text(const Target& target) { return target.provider + "," + target.model; }

std::string targets_text(const std::vector<Target>& targets) {
  std::string out;
  for (const Target& target : targets) {
    if (!out.empty()) out += "; ";
    out += target_text(target);
  }
  return out;
}

std::string edit_text(const FieldEdit& edit) {
  switch (edit.kind) {
    case FieldEdit::Kind::kSet: return edit.value_json;
    case FieldEdit::Kind::kAtMost: return "max " + edit.value_json;
    case FieldEdit::Kind::kAtLeast: return "min " + edit.value_json;
    case FieldEdit::Kind::kDefault: return "default " + edit.value_json;
    case FieldEdit::Kind::kRemove: return "remove";
  }
  return {};
}

/// The Lua side of one decision: arms the CPU budget when the first function is called, and stops calling functions when too
/// many were stopped.
class LuaTurn {
 public:
  /// False when no more Lua may run in this decision.
  bool begin() {
    if (stops_ >= limits::kRuleStops) return false;
    if (!budget_) {
      budget_.emplace(limits::kRuleTime);
    } else if (CpuBudget::spent()) {
      budget_->renew();
    }
    return true;
  }
  void failed(const Script& script) {
    if (script.stopped()) ++stops_;
  }

 private:
  std::optional<CpuBudget> budget_;
  int stops_ = 0;
};

/// What a rule asks for, once its functions were called.
struct Asked {
  std::optional<Choice> to;
  std::string bad_request;  ///< instead of `to`: the request names a target with an empty half
  std::string no_target;    ///< instead of `to`: the request names a provider that does not exist
  std::optional<std::vector<Target>> fallback;
  std::optional<Deny> deny;
  std::vector<FieldEdit> edits;
  std::vector<HeaderEdit> headers;
  std::vector<std::pair<std::string, std::string>> tags;

  [[nodiscard]] bool claims_to() const { return to.has_value() || !bad_request.empty() || !no_target.empty(); }
};

/// One decision being made: rules add their claims from top to bottom, the first claim on a slot wins.
class Merge {
 public:
  Merge(const RuleSet& set, const Facts& facts, Trace* trace) : set_(set), reader_(facts, trace), trace_(trace) {}

  Decision decide() {
    for (const Rule& rule : set_.on_request) {
      if (denied_ && trace_ == nullptr) break;
      const bool covered = is_covered(rule);
      if (covered && trace_ == nullptr) continue;
      apply(rule, covered);
    }
    finish();
    return std::move(decision_);
  }

 private:
  // Nothing this rule could claim is still free.
  [[nodiscard]] bool is_covered(const Rule& rule) const {
    if (denied_) return true;
    return rule.only_targets() && (rule.to.kind == TargetEffect::Kind::kNone || to_claimed_) &&
           (rule.fallback.kind == TargetEffect::Kind::kNone || fallback_claimed_);
  }

  void apply(const Rule& rule, bool covered) {
    if (trace_ == nullptr && !rule.when.uses_lua && !matches(rule.when, reader_)) return;
    Evaluation evaluation{reader_, rule.script, trace_ != nullptr, {}, {}, {}};
    Outcome outcome = Outcome::kFailed;
    if (!rule.when.uses_lua || turn_.begin()) {
      outcome = evaluate(rule.when, evaluation);
      if (outcome == Outcome::kFailed) turn_.failed(*rule.script);
    } else {
      evaluation.error = "not evaluated: other rules used up the time for Lua";
    }
    if (outcome == Outcome::kNo && trace_ == nullptr) return;
    Asked asked;
    if (outcome == Outcome::kYes && !ask(rule, evaluation, asked)) outcome = Outcome::kFailed;
    if (trace_ != nullptr) trace(rule, outcome, evaluation);
    if (outcome == Outcome::kYes) claim(rule, asked);
    if (outcome == Outcome::kFailed && !covered) fail(rule, evaluation.error);
  }

  void trace(const Rule& rule, Outcome outcome, const Evaluation& evaluation) {
    RuleTrace row;
    row.rule = rule.name;
    row.where = rule.where;
    row.matched = outcome == Outcome::kYes;
    if (outcome == Outcome::kNo) {
      row.failed_condition = evaluation.failed;
      row.actual = evaluation.actual;
    }
    if (outcome == Outcome::kFailed) row.error = evaluation.error;
    trace_->rules.push_back(std::move(row));
  }

  void fail(const Rule& rule, const std::string& error) {
    decision_.failed_rules.push_back(rule.name);
    if (rule.deny.kind == DenyEffect::Kind::kNone || denied_) return;
    // What may deny must not open because it broke.
    Deny deny;
    deny.status = kFailClosedStatus;
    deny.message = "rule '" + rule.name + "' may refuse requests and could not be evaluated, so this one is refused";
    decision_.reason = "rule failed: " + error;
    take_deny(rule, std::move(deny));
  }

  // --- asking

  bool ask(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    return ask_to(rule, evaluation, asked) && ask_fallback(rule, evaluation, asked) && ask_deny(rule, evaluation, asked) &&
           ask_set(rule, evaluation, asked) && ask_headers(rule, evaluation, asked) && ask_tags(rule, evaluation, asked);
  }

  bool call(const Rule& rule, int ref, Evaluation& evaluation, Tree& result) {
    if (!turn_.begin()) {
      evaluation.error = "not evaluated: other rules used up the time for Lua";
      return false;
    }
    if (rule.script->evaluate(ref, reader_, result, evaluation.error)) return true;
    turn_.failed(*rule.script);
    return false;
  }

  static bool accept(const Problems& problems, Evaluation& evaluation) {
    if (problems.empty()) return true;
    evaluation.error = problems.front().message;
    return false;
  }

  bool ask_to(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    switch (rule.to.kind) {
      case TargetEffect::Kind::kNone: return true;
      case TargetEffect::Kind::kFixed:
        if (!rule.to.choices.empty()) asked.to = rule.to.choices.front();
        return true;
      case TargetEffect::Kind::kPick: {
        const std::vector<Choice>* found = rule.to.pick.find(reader_.read(rule.to.pick.fact).text);
        if (found != nullptr) asked.to = found->front();
        return true;
      }
      case TargetEffect::Kind::kRequested: ask_requested(asked); return true;
      case TargetEffect::Kind::kServing:
        if (std::optional<Target> target = set_.targets.serving(reader_.read(api::Fact::kModel).text)) {
          asked.to = Choice{std::move(*target), {}};
        }
        return true;
      case TargetEffect::Kind::kFunction: break;
    }
    if (to_claimed_ || denied_) return true;  // cannot win: not called
    Tree result;
    if (!call(rule, rule.to.ref, evaluation, result)) return false;
    if (result.is(Tree::Kind::kNil)) return true;
    if (result.is_marker("requested")) {
      ask_requested(asked);
      return true;
    }
    Problems problems;
    asked.to = EffectReader(set_.targets, problems).choice(result);
    if (asked.to && !set_.targets.enabled(asked.to->target.provider)) {
      evaluation.error = "provider '" + asked.to->target.provider + "' is disabled";
      return false;
    }
    return accept(problems, evaluation);
  }

  // "provider,model" as the client wrote it.
  void ask_requested(Asked& asked) {
    const std::string_view model = reader_.read(api::Fact::kModel).text;
    std::optional<Target> target = split_target(model);
    if (!target) return;
    if (target->provider.empty() || target->model.empty()) {
      asked.bad_request = "model '" + text::to_valid_utf8(model) + "' has an empty half: write provider,model";
    } else if (!set_.targets.enabled(target->provider)) {
      asked.no_target = "there is no provider '" + text::to_valid_utf8(target->provider) +
                        "'; configured: " + set_.targets.listing();
    } else {
      asked.to = Choice{std::move(*target), {}};
    }
  }

  bool ask_fallback(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    const auto take = [&asked](const std::vector<Choice>& choices) {
      asked.fallback.emplace();
      for (const Choice& choice : choices) asked.fallback->push_back(choice.target);
    };
    switch (rule.fallback.kind) {
      case TargetEffect::Kind::kFixed: take(rule.fallback.choices); return true;
      case TargetEffect::Kind::kPick: {
        const std::vector<Choice>* found = rule.fallback.pick.find(reader_.read(rule.fallback.pick.fact).text);
        if (found != nullptr) take(*found);
        return true;
      }
      case TargetEffect::Kind::kFunction: break;
      default: return true;
    }
    if (fallback_claimed_ || denied_) return true;
    Tree result;
    if (!call(rule, rule.fallback.ref, evaluation, result)) return false;
    if (result.is(Tree::Kind::kNil)) return true;
    Problems problems;
    TargetEffect effect = EffectReader(set_.targets, problems).fallback(result);
    std::erase_if(effect.choices,
                  [this](const Choice& choice) { return !set_.targets.enabled(choice.target.provider); });
    take(effect.choices);
    return accept(problems, evaluation);
  }

  bool ask_deny(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    if (rule.deny.kind == DenyEffect::Kind::kFixed) asked.deny = rule.deny.deny;
    if (rule.deny.kind != DenyEffect::Kind::kFunction || denied_) return true;
    Tree result;
    if (!call(rule, rule.deny.ref, evaluation, result)) return false;
    if (result.is(Tree::Kind::kNil)) return true;
    Problems problems;
    const DenyEffect effect = EffectReader(set_.targets, problems).deny(result);
    if (effect.kind == DenyEffect::Kind::kFixed) asked.deny = effect.deny;
    return accept(problems, evaluation);
  }

  bool ask_set(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    if (rule.set.empty()) return true;
    Problems problems;
    EffectReader reader(set_.targets, problems);
    asked.edits = rule.set.fixed;
    for (const auto& [field, ref] : rule.set.functions) {
      Tree result;
      if (!call(rule, ref, evaluation, result)) return false;
      if (!result.is(Tree::Kind::kNil)) reader.set_field(field, {}, result, asked.edits);
    }
    if (rule.set.function != 0) {
      Tree result;
      if (!call(rule, rule.set.function, evaluation, result)) return false;
      if (!result.is(Tree::Kind::kNil)) asked.edits = reader.set(result).fixed;
    }
    return accept(problems, evaluation);
  }

  bool ask_headers(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    if (rule.headers.empty()) return true;
    Problems problems;
    EffectReader reader(set_.targets, problems);
    asked.headers = rule.headers.fixed;
    for (const auto& [name, ref] : rule.headers.functions) {
      Tree result;
      if (!call(rule, ref, evaluation, result)) return false;
      if (!result.is(Tree::Kind::kNil)) reader.header(name, {}, result, asked.headers);
    }
    if (rule.headers.function != 0) {
      Tree result;
      if (!call(rule, rule.headers.function, evaluation, result)) return false;
      if (!result.is(Tree::Kind::kNil)) asked.headers = reader.headers(result).fixed;
    }
    return accept(problems, evaluation);
  }

  bool ask_tags(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    if (rule.tag.empty()) return true;
    Problems problems;
    EffectReader reader(set_.targets, problems);
    asked.tags = rule.tag.fixed;
    for (const auto& [name, ref] : rule.tag.functions) {
      Tree result;
      if (!call(rule, ref, evaluation, result)) return false;
      if (!result.is(Tree::Kind::kNil)) reader.tag_value(name, result, asked.tags);
    }
    if (rule.tag.function != 0) {
      Tree result;
      if (!call(rule, rule.tag.function, evaluation, result)) return false;
      if (!result.is(Tree::Kind::kNil)) asked.tags = reader.tag(result).fixed;
    }
    return accept(problems, evaluation);
  }

  // --- claiming

  void record(const Rule& rule, std::string slot, std::string value, bool shadowed) {
    if (trace_ == nullptr) return;
    trace_->claims.push_back({std::move(slot), std::move(value), rule.name, rule.where, shadowed});
  }

  void claim(const Rule& rule, Asked& asked) {
    if (asked.deny) {
      record(rule, "deny", std::to_string(asked.deny->status) + " " + asked.deny->message, denied_);
      if (!denied_) {
        decision_.reason = rule.reason.parts.empty() ? asked.deny->message : rule.reason.render(reader_);
        take_deny(rule, std::move(*asked.deny));
        // The rule's other claims still stand: tags of a refusal are wanted.
        claim_tags(rule, asked, false);
        return;
      }
    }
    claim_to(rule, asked);
    claim_fallback(rule, asked);
    claim_edits(rule, asked.edits);
    claim_headers(rule, asked);
    claim_tags(rule, asked, denied_);
  }

  void take_deny(const Rule& rule, Deny deny) {
    denied_ = true;
    decision_.rule = rule.name;
    decision_.deny = std::move(deny);
  }

  void claim_to(const Rule& rule, Asked& asked) {
    if (!asked.claims_to()) {
      if (rule.to.kind == TargetEffect::Kind::kFunction && to_claimed_) record(rule, "to", "(function, not called)", true);
      return;
    }
    const bool shadowed = to_claimed_ || denied_;
    if (asked.to && asked.to->target.model.empty()) asked.to->target.model = requested_model();
    if (trace_ != nullptr) {
      record(rule, "to", asked.to ? target_text(asked.to->target) : asked.bad_request + asked.no_target, shadowed);
    }
    if (shadowed) return;
    to_claimed_ = true;
    decision_.rule = rule.name;
    decision_.reason = rule.reason.parts.empty() ? "rule '" + rule.name + "'" : rule.reason.render(reader_);
    decision_.bad_request = std::move(asked.bad_request);
    decision_.no_target = std::move(asked.no_target);
    if (!asked.to) return;
    reader_.set_target_model(asked.to->target.model);
    decision_.targets.push_back(std::move(asked.to->target));
    claim_edits(rule, asked.to->defaults);
  }

  // A target that names only its provider keeps the model; of "other,model" the part behind the comma.
  std::string requested_model() {
    const std::string_view model = reader_.read(api::Fact::kModel).text;
    const std::optional<Target> pair = split_target(model);
    return pair ? pair->model : std::string(model);
  }

  void claim_fallback(const Rule& rule, Asked& asked) {
    if (!asked.fallback) {
      if (rule.fallback.kind == TargetEffect::Kind::kFunction && fallback_claimed_) {
        record(rule, "fallback", "(function, not called)", true);
      }
      return;
    }
    const bool shadowed = fallback_claimed_ || denied_;
    for (Target& target : *asked.fallback) {
      if (target.model.empty()) target.model = requested_model();
    }
    if (trace_ != nullptr) record(rule, "fallback", targets_text(*asked.fallback), shadowed);
    if (shadowed) return;
    fallback_claimed_ = true;
    fallback_ = std::move(*asked.fallback);
  }

  // A field is claimed by a rule as a whole: its max and min belong together.
  void claim_edits(const Rule& rule, std::vector<FieldEdit>& edits) {
    const std::size_t before = decision_.edits.size();
    for (FieldEdit& edit : edits) {
      const auto end = decision_.edits.begin() + static_cast<std::ptrdiff_t>(before);
      const bool taken = denied_ || std::any_of(decision_.edits.begin(), end, [&edit](const FieldEdit& other) {
                           return other.field == edit.field;
                         });
      if (trace_ != nullptr) record(rule, "set." + edit.field, edit_text(edit), taken);
      if (!taken) decision_.edits.push_back(std::move(edit));
    }
  }

  void claim_headers(const Rule& rule, Asked& asked) {
    for (HeaderEdit& edit : asked.headers) {
      const bool taken = denied_ || std::any_of(decision_.headers.begin(), decision_.headers.end(), [&edit](const HeaderEdit& other) {
                           return other.name == edit.name;
                         });
      if (trace_ != nullptr) record(rule, "headers." + edit.name, edit.value.value_or("remove"), taken);
      if (!taken) decision_.headers.push_back(std::move(edit));
    }
  }

  void claim_tags(const Rule& rule, Asked& asked, bool denied_before) {
    for (auto& [name, value] : asked.tags) {
      const bool taken = denied_before || decision_.tags.find(name) != decision_.tags.end();
      if (trace_ != nullptr) record(rule, "tag." + name, value, taken);
      if (!taken) decision_.tags.emplace(name, std::move(value));
    }
  }

  void finish() {
    if (denied_) {
      decision_.targets.clear();
      decision_.edits.clear();
      decision_.headers.clear();
      decision_.no_target.clear();
      decision_.bad_request.clear();
      return;
    }
    if (!to_claimed_) {
      decision_.no_target = "no provider serves the model '" + text::to_valid_utf8(reader_.read(api::Fact::kModel).text) +
                            "'; configured: " + set_.targets.listing();
    }
    if (decision_.targets.empty()) return;
    for (Target& target : fallback_) {
      if (std::find(decision_.targets.begin(), decision_.targets.end(), target) == decision_.targets.end()) {
        decision_.targets.push_back(std::move(target));
      }
    }
  }

  const RuleSet& set_;
  Reader reader_;
  Trace* trace_;
  LuaTurn turn_;
  Decision decision_;
  std::vector<Target> fallback_;
  bool to_claimed_ = false;
  bool fallback_claimed_ = false;
  bool denied_ = false;
};

/// The same for rules with on = "error".
class ErrorMerge {
 public:
  ErrorMerge(const RuleSet& set, const Facts& facts, Trace* trace) : set_(set), reader_(facts, trace), trace_(trace) {}

  ErrorDecision decide() {
    for (const Rule& rule : set_.on_error) {
      Evaluation evaluation{reader_, rule.script, trace_ != nullptr, {}, {}, {}};
      Outcome outcome = Outcome::kFailed;
      if (!rule.when.uses_lua || turn_.begin()) {
        outcome = evaluate(rule.when, evaluation);
        if (outcome == Outcome::kFailed) turn_.failed(*rule.script);
      } else {
        evaluation.error = "not evaluated: other rules used up the time for Lua";
      }
      if (outcome == Outcome::kYes && !claim(rule, evaluation)) outcome = Outcome::kFailed;
      if (trace_ == nullptr) continue;
      RuleTrace row;
      row.rule = rule.name;
      row.where = rule.where;
      row.matched = outcome == Outcome::kYes;
      if (outcome == Outcome::kNo) {
        row.failed_condition = evaluation.failed;
        row.actual = evaluation.actual;
      }
      row.error = outcome == Outcome::kFailed ? evaluation.error : std::string();
      trace_->rules.push_back(std::move(row));
    }
    return std::move(decision_);
  }

 private:
  bool call(const Rule& rule, int ref, Evaluation& evaluation, Tree& result) {
    if (!turn_.begin()) {
      evaluation.error = "not evaluated: other rules used up the time for Lua";
      return false;
    }
    if (rule.script->evaluate(ref, reader_, result, evaluation.error)) return true;
    turn_.failed(*rule.script);
    return false;
  }

  // All values first, then all claims: a rule that fails claims nothing.
  bool claim(const Rule& rule, Evaluation& evaluation) {
    Problems problems;
    EffectReader reader(set_.targets, problems);
    RetryEffect retry = rule.retry;
    std::optional<bool> next_fallback = rule.next_fallback;
    std::optional<Choice> to;
    if (rule.to.kind == TargetEffect::Kind::kFixed && !rule.to.choices.empty()) to = rule.to.choices.front();
    Tree result;
    if (retry.function != 0) {
      if (!call(rule, retry.function, evaluation, result)) return false;
      if (!result.is(Tree::Kind::kNil)) retry = reader.retry(result);
    }
    if (rule.next_fallback_function != 0) {
      if (!call(rule, rule.next_fallback_function, evaluation, result)) return false;
      next_fallback = result.is(Tree::Kind::kFlag) && result.flag;
    }
    if (rule.to.kind == TargetEffect::Kind::kFunction) {
      if (!call(rule, rule.to.ref, evaluation, result)) return false;
      if (!result.is(Tree::Kind::kNil)) to = reader.choice(result);
    }
    if (!problems.empty()) {
      evaluation.error = problems.front().message;
      return false;
    }
    if (retry.retry) claim_retry(rule, retry);
    if (next_fallback) {
      const bool taken = decision_.next_fallback.has_value();
      record(rule, "next_fallback", *next_fallback ? "true" : "false", taken);
      if (!taken) {
        decision_.next_fallback = next_fallback;
        name(rule);
      }
    }
    if (to && set_.targets.enabled(to->target.provider)) claim_to(rule, std::move(to->target));
    return true;
  }

  void claim_retry(const Rule& rule, const RetryEffect& retry) {
    const bool taken = decision_.retry.has_value();
    record(rule, "retry", *retry.retry ? "true" : "false", taken);
    if (taken) return;
    decision_.retry = retry.retry;
    decision_.retry_after = retry.after;
    decision_.retry_at_most = retry.at_most;
    name(rule);
  }

  void claim_to(const Rule& rule, Target target) {
    if (target.model.empty()) target.model = reader_.read(api::Fact::kModel).text;
    const bool taken = decision_.to.has_value();
    record(rule, "to", target_text(target), taken);
    if (taken) return;
    decision_.to = std::move(target);
    name(rule);
  }

  void record(const Rule& rule, std::string slot, std::string value, bool shadowed) {
    if (trace_ == nullptr) return;
    trace_->claims.push_back({std::move(slot), std::move(value), rule.name, rule.where, shadowed});
  }

  void name(const Rule& rule) {
    if (decision_.rule.empty()) decision_.rule = rule.name;
  }

  const RuleSet& set_;
  Reader reader_;
  Trace* trace_;
  LuaTurn turn_;
  ErrorDecision decision_;
};

template <class Decide>
auto timed(const RuleSet& set, Trace* trace, Decide&& decide) {
  if (trace == nullptr) return decide();
  const auto begin = std::chrono::steady_clock::now();
  auto decision = decide();
  trace->time_ns = std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count();
  trace->ruleset = set.hash;
  return decision;
}

}  // namespace

struct Engine::Impl {
  std::unique_ptr<RuleSet> set;
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

std::unique_ptr<Engine> Engine::load(const config::Snapshot& snapshot, const Files& files,
                                     std::vector<config::Diagnostic>& diagnostics) {
  std::unique_ptr<RuleSet> set = load_rules(snapshot, files, diagnostics);
  if (set == nullptr) return nullptr;
  auto impl = std::make_unique<Impl>();
  impl->set = std::move(set);
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Decision Engine::decide(const Facts& facts, Trace* trace) {
  const RuleSet& set = *impl_->set;
  return timed(set, trace, [&set, &facts, trace] { return Merge(set, facts, trace).decide(); });
}

ErrorDecision Engine::decide_error(const Facts& facts, Trace* trace) {
  const RuleSet& set = *impl_->set;
  return timed(set, trace, [&set, &facts, trace] { return ErrorMerge(set, facts, trace).decide(); });
}

bool Engine::has_error_rules() const noexcept { return !impl_->set->on_error.empty(); }
std::string_view Engine::hash() const noexcept { return impl_->set->hash; }
std::optional<Target> Engine::resolve(std::string_view name) const {
  TargetProblem problem;
  std::optional<Choice> choice = impl_->set->targets.resolve(name, problem);
  if (!choice) return std::nullopt;
  return std::move(choice->target);
}

std::vector<config::Diagnostic> Engine::review() const { return review_rules(*impl_->set); }

std::size_t Engine::rule_count() const noexcept { return impl_->set->on_request.size() + impl_->set->on_error.size(); }

}  // namespace ccrules::rules
