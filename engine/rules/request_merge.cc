#include <algorithm>
#include <bit>
#include <optional>
#include <span>
#include <utility>

#include "core/text.h"
#include "rules/change.h"
#include "rules/effects.h"
#include "rules/judge.h"

namespace ccrules::rules {
namespace {

std::string targets_text(const std::vector<Target>& targets) {
  std::string out;
  for (const Target& target : targets) {
    if (!out.empty()) out += "; ";
    out += target_text(target);
  }
  return out;
}

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
  std::optional<CachePolicy> cache;
  std::string budget;
  std::optional<std::vector<std::string>> strict;

  [[nodiscard]] bool claims_to() const { return to.has_value() || !bad_request.empty() || !no_target.empty(); }
};

/// One decision being made: rules add their claims from top to bottom, the first claim on a slot wins.
class Merge {
 public:
  Merge(const RuleSet& set, Sieve& sieve, Quarantine& quarantine, const Facts& facts, Trace* trace, Decision& decision)
      : set_(set), sieve_(sieve), judge_(set, quarantine, facts, api::On::kRequest, trace), reader_(judge_.reader()), decision_(decision) {}

  void decide() {
    if (judge_.traced() || set_.log != nullptr) {
      apply_all(set_.on_request);
    } else {
      sift();
    }
    gather_targets();
    if (!set_.about_target.empty()) judge_targets();
    finish();
  }

 private:
  void apply_all(const std::vector<Rule>& rules) {
    for (const Rule& rule : rules) {
      if (denied_ && !judge_.traced()) break;
      const bool covered = is_covered(rule);
      if (covered && !judge_.traced()) continue;
      apply(rule, covered);
    }
  }

  // The rules on requests when nobody wants to know why one did not match.
  void sift() {
    Sieve::Glance glance(reader_);
    const std::span<const std::uint64_t> words = sieve_.candidates(reader_, glance);
    for (std::size_t word = 0; word < words.size(); ++word) {
      for (std::uint64_t left = words[word]; left != 0; left &= left - 1) {
        sift(word * 64 + static_cast<std::size_t>(std::countr_zero(left)), glance);
        if (denied_) return;
      }
    }
  }

  void sift(std::size_t number, Sieve::Glance& glance) {
    const Sieve::Row& row = sieve_.row(number);
    if (row.only_targets && (!row.to || to_claimed_) && (!row.fallback || fallback_claimed_)) return;
    const Sieve::Answer answer = sieve_.ask(row, glance);
    if (answer == Sieve::Answer::kNo) return;
    const Rule& rule = set_.on_request[number];
    const bool matched = answer == Sieve::Answer::kYes;
    if (matched && row.pick_decides && find_fixed(rule.fallback, row.fallback_pick) == nullptr) return;
    if (!matched || !row.fixed_targets || !take_fixed_targets(rule, row)) apply(rule, false, matched);
  }

  // What claim() does for a rule that matches, and neither fails nor asks for more than targets that are known as they stand.
  // False when it has to be looked at in full; then nothing was claimed.
  bool take_fixed_targets(const Rule& rule, const Sieve::Row& row) {
    if (!is_fixed(rule.to) || !is_fixed(rule.fallback)) return false;
    if (row.to && !to_claimed_) {
      const std::vector<Choice>* const to = find_fixed(rule.to, row.to_pick);
      if (to != nullptr && !to->empty()) take_choice(rule, to->front());
    }
    if (!row.fallback || fallback_claimed_) return true;
    fixed_fallback_ = find_fixed(rule.fallback, row.fallback_pick);
    fallback_claimed_ = fixed_fallback_ != nullptr;
    return true;
  }

  static bool is_fixed(const TargetEffect& effect) {
    using Kind = TargetEffect::Kind;
    return effect.kind == Kind::kNone || effect.kind == Kind::kFixed || effect.kind == Kind::kPick;
  }

  /// Null: the pick has nothing for this request.
  const std::vector<Choice>* find_fixed(const TargetEffect& effect, std::uint32_t pick) {
    if (effect.kind == TargetEffect::Kind::kFixed) return &effect.choices;
    const Value key = reader_.read(effect.pick.fact);
    return key.kind == Value::Kind::kText ? sieve_.pick(pick, key.text) : nullptr;
  }

  // Nothing this rule could claim is still free.
  [[nodiscard]] bool is_covered(const Rule& rule) const {
    if (denied_) return true;
    return rule.only_targets() && (rule.to.kind == TargetEffect::Kind::kNone || to_claimed_) &&
           (rule.fallback.kind == TargetEffect::Kind::kNone || fallback_claimed_);
  }

  /// `matched`: its condition is known to hold.
  void apply(const Rule& rule, bool covered, bool matched = false) {
    if (judge_.quarantined(rule)) {
      apply_quarantined(rule);
      return;
    }
    const std::int64_t began_ns = judge_.now_ns();
    Evaluation evaluation = judge_.evaluation(rule);
    Outcome outcome = matched ? Outcome::kYes : judge_.when(rule, evaluation);
    if (outcome == Outcome::kNo && !judge_.traced()) return;
    Asked asked;
    if (outcome == Outcome::kYes && !ask(rule, evaluation, asked)) outcome = Outcome::kFailed;
    judge_.trace(rule, outcome, evaluation, began_ns);
    if (outcome == Outcome::kYes) claim(rule, asked);
    if (outcome != Outcome::kFailed) return;
    judge_.failed(rule, evaluation);
    if (!covered) fail(rule, evaluation.error);
  }

  // What may deny must not open because it broke.
  void fail(const Rule& rule, const std::string& error) {
    decision_.failed_rules.push_back(rule.name);
    if (!rule.may_deny() || denied_) return;
    decision_.reason = "rule failed: " + error;
    take_deny(rule, fail_closed(rule));
  }

  void apply_quarantined(const Rule& rule) {
    judge_.trace_quarantined(rule);
    if (denied_ || !may_hold(rule.when, reader_)) return;
    decision_.failed_rules.push_back(rule.name);
    if (!rule.may_deny()) return;
    decision_.reason = "rule quarantined";
    take_deny(rule, quarantine_deny(rule));
  }

  // --- rules about the target

  void gather_targets() {
    if (denied_ || decision_.targets.empty()) return;
    for (const Target& target : fallback_) add_target(target);
    if (fixed_fallback_ != nullptr) {
      for (const Choice& choice : *fixed_fallback_) {
        if (choice.target.model.empty()) {
          add_target(complete(choice.target));
        } else {
          add_target(choice.target);
        }
      }
    }
    reader_.set_target(decision_.targets.front(), set_.targets);
  }

  void add_target(const Target& target) {
    if (std::find(decision_.targets.begin(), decision_.targets.end(), target) != decision_.targets.end()) return;
    decision_.targets.push_back(target);
  }

  // The choice must pass, or the request is refused; fallbacks that do not pass are left out.
  void judge_targets() {
    reader_.targets_are_known();
    apply_all(set_.about_target);
    if (denied_ || decision_.targets.size() < 2) return;
    std::vector<Target> allowed;
    allowed.push_back(std::move(decision_.targets.front()));
    for (std::size_t i = 1; i < decision_.targets.size(); ++i) {
      Target& target = decision_.targets[i];
      if (const auto refusal = judge_.refusal(target)) {
        judge_.record(*refusal->rule, "fallback", "without " + target_text(target) + ": " + refusal->deny.message, false);
      } else {
        allowed.push_back(std::move(target));
      }
    }
    decision_.targets = std::move(allowed);
  }

  // --- asking

  bool ask(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    return ask_to(rule, evaluation, asked) && ask_fallback(rule, evaluation, asked) && ask_deny(rule, evaluation, asked) &&
           ask_set(rule, evaluation, asked) && ask_headers(rule, evaluation, asked) && judge_.tags(rule, evaluation, asked.tags) &&
           ask_cache(rule, evaluation, asked) && ask_budget(rule, evaluation, asked) &&
           ask_strict(rule, evaluation, asked);
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
    if (!judge_.call(rule, rule.to.ref, evaluation, result)) return false;
    if (result.is(Tree::Kind::kNil)) return true;
    if (result.is_marker("requested")) {
      ask_requested(asked);
      return true;
    }
    Problems problems;
    asked.to = EffectReader(rule.context, problems).choice(result);
    if (asked.to && !set_.targets.enabled(asked.to->target.provider)) {
      evaluation.error = "provider '" + asked.to->target.provider + "' is disabled";
      return false;
    }
    return Judge::accept(problems, evaluation);
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
    if (!judge_.call(rule, rule.fallback.ref, evaluation, result)) return false;
    if (result.is(Tree::Kind::kNil)) return true;
    Problems problems;
    TargetEffect effect = EffectReader(rule.context, problems).fallback(result);
    std::erase_if(effect.choices,
                  [this](const Choice& choice) { return !set_.targets.enabled(choice.target.provider); });
    take(effect.choices);
    return Judge::accept(problems, evaluation);
  }

  bool ask_deny(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    return denied_ && rule.deny.kind == DenyEffect::Kind::kFunction ? true : judge_.deny(rule, evaluation, asked.deny);
  }

  bool ask_set(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    if (rule.set.empty()) return true;
    Problems problems;
    EffectReader reader(rule.context, problems);
    asked.edits = rule.set.fixed;
    for (const auto& [field, ref] : rule.set.functions) {
      Tree result;
      if (!judge_.call(rule, ref, evaluation, result)) return false;
      if (!result.is(Tree::Kind::kNil)) reader.set_field(field, {}, result, asked.edits);
    }
    if (rule.set.function != 0) {
      Tree result;
      if (!judge_.call(rule, rule.set.function, evaluation, result)) return false;
      if (!result.is(Tree::Kind::kNil)) asked.edits = reader.set(result).fixed;
    }
    return Judge::accept(problems, evaluation);
  }

  bool ask_headers(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    if (rule.headers.empty()) return true;
    Problems problems;
    EffectReader reader(rule.context, problems);
    asked.headers = rule.headers.fixed;
    for (const auto& [name, ref] : rule.headers.functions) {
      Tree result;
      if (!judge_.call(rule, ref, evaluation, result)) return false;
      if (!result.is(Tree::Kind::kNil)) reader.header(name, {}, result, asked.headers);
    }
    if (rule.headers.function != 0) {
      Tree result;
      if (!judge_.call(rule, rule.headers.function, evaluation, result)) return false;
      if (!result.is(Tree::Kind::kNil)) asked.headers = reader.headers(result).fixed;
    }
    return Judge::accept(problems, evaluation);
  }

  bool ask_cache(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    asked.cache = rule.cache.policy;
    if (rule.cache.function == 0) return true;
    Tree result;
    if (!judge_.call(rule, rule.cache.function, evaluation, result)) return false;
    if (result.is(Tree::Kind::kNil)) return true;
    Problems problems;
    asked.cache = EffectReader(rule.context, problems).cache(result).policy;
    return Judge::accept(problems, evaluation);
  }

  bool ask_budget(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    asked.budget = rule.budget.scope;
    if (rule.budget.function == 0) return true;
    Tree result;
    if (!judge_.call(rule, rule.budget.function, evaluation, result)) return false;
    if (result.is(Tree::Kind::kNil)) return true;
    Problems problems;
    asked.budget = EffectReader(rule.context, problems).budget(result).scope;
    return Judge::accept(problems, evaluation);
  }

  bool ask_strict(const Rule& rule, Evaluation& evaluation, Asked& asked) {
    asked.strict = rule.strict.what;
    if (rule.strict.function == 0) return true;
    Tree result;
    if (!judge_.call(rule, rule.strict.function, evaluation, result)) return false;
    if (result.is(Tree::Kind::kNil)) return true;
    Problems problems;
    asked.strict = EffectReader(rule.context, problems).strict(result).what;
    return Judge::accept(problems, evaluation);
  }

  // --- claiming

  void claim(const Rule& rule, Asked& asked) {
    if (asked.deny) {
      judge_.record(rule, "deny", std::to_string(asked.deny->status) + " " + asked.deny->message, denied_);
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
    claim_cache(rule, asked);
    claim_budget(rule, asked);
    claim_strict(rule, asked);
  }

  void take_deny(const Rule& rule, Deny deny) {
    denied_ = true;
    decision_.rule = rule.name;
    decision_.deny = std::move(deny);
  }

  void claim_to(const Rule& rule, Asked& asked) {
    if (!asked.claims_to()) {
      if (rule.to.kind == TargetEffect::Kind::kFunction && to_claimed_) judge_.record(rule, "to", "(function, not called)", true);
      return;
    }
    const bool shadowed = to_claimed_ || denied_;
    if (asked.to) asked.to->target = complete(std::move(asked.to->target));
    if (judge_.traced()) {
      judge_.record(rule, "to", asked.to ? target_text(asked.to->target) : asked.bad_request + asked.no_target, shadowed);
    }
    if (shadowed) return;
    decision_.bad_request = std::move(asked.bad_request);
    decision_.no_target = std::move(asked.no_target);
    if (asked.to) {
      take_choice(rule, *asked.to);
    } else {
      sign(rule);
    }
  }

  // The rule's claim on `to` stands.
  void sign(const Rule& rule) {
    to_claimed_ = true;
    decision_.rule = rule.name;
    decision_.reason = rule.reason_text ? *rule.reason_text : rule.reason.render(reader_);
  }

  void take_choice(const Rule& rule, const Choice& choice) {
    sign(rule);
    decision_.targets.reserve(kUsualTargets);
    Target& target = decision_.targets.emplace_back(choice.target);
    if (target.model.empty()) target.model = requested_model();
    reader_.set_target(target, set_.targets);
    if (choice.defaults.empty()) return;
    std::vector<FieldEdit> defaults = choice.defaults;
    claim_edits(rule, defaults);
  }

  Target complete(Target target) {
    if (target.model.empty()) target.model = requested_model();
    return target;
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
        judge_.record(rule, "fallback", "(function, not called)", true);
      }
      return;
    }
    const bool shadowed = fallback_claimed_ || denied_;
    for (Target& target : *asked.fallback) target = complete(std::move(target));
    if (judge_.traced()) judge_.record(rule, "fallback", targets_text(*asked.fallback), shadowed);
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
      if (judge_.traced()) judge_.record(rule, "set." + edit.field, edit_text(edit), taken);
      if (!taken) decision_.edits.push_back(std::move(edit));
    }
  }

  void claim_headers(const Rule& rule, Asked& asked) {
    for (HeaderEdit& edit : asked.headers) {
      const bool taken = denied_ || std::any_of(decision_.headers.begin(), decision_.headers.end(), [&edit](const HeaderEdit& other) {
                           return other.name == edit.name;
                         });
      if (judge_.traced()) judge_.record(rule, "headers." + edit.name, edit.value.value_or("remove"), taken);
      if (!taken) decision_.headers.push_back(std::move(edit));
    }
  }

  void claim_tags(const Rule& rule, Asked& asked, bool denied_before) {
    for (auto& [name, value] : asked.tags) {
      const bool taken = denied_before || decision_.tags.find(name) != decision_.tags.end();
      if (judge_.traced()) judge_.record(rule, "tag." + name, value, taken);
      if (!taken) decision_.tags.emplace(name, std::move(value));
    }
  }

  void claim_cache(const Rule& rule, const Asked& asked) {
    if (!asked.cache) return;
    const bool taken = denied_ || decision_.cache.has_value();
    judge_.record(rule, "cache", asked.cache->use ? "use" : "bypass", taken);
    if (!taken) decision_.cache = asked.cache;
  }

  void claim_budget(const Rule& rule, Asked& asked) {
    if (asked.budget.empty()) return;
    const bool taken = denied_ || !decision_.budget.empty();
    judge_.record(rule, "budget", asked.budget, taken);
    if (!taken) decision_.budget = std::move(asked.budget);
  }

  void claim_strict(const Rule& rule, Asked& asked) {
    if (!asked.strict) return;
    const bool taken = denied_ || decision_.strict.has_value();
    judge_.record(rule, "strict", listed(*asked.strict), taken);
    if (!taken) decision_.strict = std::move(asked.strict);
  }

  void finish() {
    if (denied_) {
      decision_.targets.clear();
      decision_.cache.reset();
      decision_.budget.clear();
      decision_.strict.reset();
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
  }

  const RuleSet& set_;
  Sieve& sieve_;
  Judge judge_;
  Reader& reader_;
  static constexpr std::size_t kUsualTargets = 3;  // for one piece of memory

  Decision& decision_;
  std::vector<Target> fallback_;
  const std::vector<Choice>* fixed_fallback_ = nullptr;  ///< instead of `fallback_`
  bool to_claimed_ = false;
  bool fallback_claimed_ = false;
  bool denied_ = false;
};

}  // namespace

Decision decide_request(const RuleSet& set, Sieve& sieve, Quarantine& quarantine, const Facts& facts, Trace* trace) {
  Decision decision;
  Merge(set, sieve, quarantine, facts, trace, decision).decide();
  return decision;
}

}  // namespace ccrules::rules
