#include "rules/review.h"

#include <algorithm>
#include <set>

#include "config/models.h"
#include "core/text.h"
#include "dialect/dialect.h"
#include "rules/api.h"
#include "rules/implication.h"

namespace ccrules::rules {
namespace {

class Reviewer {
 public:
  explicit Reviewer(const RuleSet& set) : set_(set) {}

  std::vector<config::Diagnostic> review() {
    for (const std::vector<Rule>* rules : rule_lists(set_)) {
      for (std::size_t i = 0; i < rules->size(); ++i) {
        const Rule& rule = (*rules)[i];
        if (!rule.pack.empty()) continue;  // standing below the user's rules is what it is for
        check_effects(rule);
        check_reach(*rules, i);
        check_models(rule);
        check_values(rule, rule.when);
        check_set(rule);
      }
    }
    for (const auto& [name, place] : set_.aliases) {
      if (place.used || place.made || is_quoted_somewhere(name)) continue;
      warn(*place.file, place.at, "alias '" + name + "' is not used");
    }
    return std::move(found_);
  }

 private:
  void warn(const SourceFile& file, Spot at, std::string message, std::string hint = {}) {
    found_.push_back(file.error(at, std::move(message), std::move(hint)));
    found_.back().warning = true;
  }

  void check_effects(const Rule& rule) {
    if (!rule.has_effect())
      warn(*rule.file, rule.at, "rule '" + rule.name + "' has no effect",
           "add to, fallback, deny, set, headers or tag");
  }

  /// What a rule claims, and what it claims whenever it matches: no function, no marker decides that.
  struct Slots {
    std::set<std::string> all;
    std::set<std::string> certain;
  };

  template <class Effect, class Name>
  static void add_members(Slots& slots, const Effect& effect, const std::string& name, Name&& name_of) {
    for (const auto& fixed : effect.fixed) {
      slots.all.insert(name + name_of(fixed));
      slots.certain.insert(name + name_of(fixed));
    }
    for (const auto& [member, function] : effect.functions) slots.all.insert(name + member);
    if (effect.function != 0) slots.all.insert(name + "*");
  }

  static Slots slots_of(const Rule& rule) {
    Slots slots;
    const auto add = [&slots](const char* name, bool claims, bool certain) {
      if (claims) slots.all.insert(name);
      if (certain) slots.certain.insert(name);
    };
    const auto fixed = [](const TargetEffect& effect) { return effect.kind == TargetEffect::Kind::kFixed; };
    add("to", rule.to.kind != TargetEffect::Kind::kNone, fixed(rule.to));
    add("fallback", rule.fallback.kind != TargetEffect::Kind::kNone, fixed(rule.fallback));
    add("deny", rule.may_deny(), rule.deny.kind == DenyEffect::Kind::kFixed);
    add("cache", rule.cache.policy || rule.cache.function != 0, rule.cache.policy.has_value());
    add("budget", !rule.budget.scope.empty() || rule.budget.function != 0, !rule.budget.scope.empty());
    add("strict", !rule.strict.empty(), rule.strict.what.has_value());
    add("retry", rule.retry.retry || rule.retry.function != 0, rule.retry.retry.has_value());
    add("next_fallback", rule.next_fallback || rule.next_fallback_function != 0, rule.next_fallback.has_value());
    add_members(slots, rule.set, "set.", [](const FieldEdit& edit) { return edit.field; });
    add_members(slots, rule.headers, "headers.", [](const HeaderEdit& edit) { return edit.name; });
    add_members(slots, rule.tag, "tag.", [](const auto& pair) { return pair.first; });
    return slots;
  }

  // A slot that a rule above claims whenever this one holds is gone.
  void check_reach(const std::vector<Rule>& rules, std::size_t index) {
    const Rule& rule = rules[index];
    if (impossible(rule.when)) {
      warn(*rule.file, rule.at, "rule '" + rule.name + "' never matches: no request fulfils all of its conditions",
           rule.when.shown);
      return;
    }
    const Slots wanted = slots_of(rule);
    std::map<std::string, const Rule*> taken;
    for (std::size_t i = 0; i < index; ++i) {
      const Rule& above = rules[i];
      if (!implies(rule.when, above.when)) continue;
      const Slots claimed = slots_of(above);
      if (claimed.certain.count("deny") != 0) {
        warn(*rule.file, rule.at, "rule '" + rule.name + "' is never reached: '" + above.name + "' " +
                                      (always(above.when) ? "denies every request" : "above denies whatever it matches"));
        return;
      }
      for (const std::string& slot : claimed.certain) taken.emplace(slot, &above);
    }
    const bool all = !wanted.all.empty() && std::all_of(wanted.all.begin(), wanted.all.end(),
                                                        [&taken](const std::string& slot) { return taken.count(slot) != 0; });
    const auto claimed = [&](const std::string& slot) { return wanted.all.count(slot) != 0 && taken.count(slot) != 0; };
    if (claimed("to")) {
      shadowed(rule, rule.to_at.line != 0 ? rule.to_at : rule.at, "never decides the target", "to", *taken["to"]);
    } else if (claimed("fallback")) {
      shadowed(rule, rule.at, "never decides the fallbacks", "fallback", *taken["fallback"]);
    } else if (all) {
      const auto& [slot, above] = *taken.find(*wanted.all.begin());
      shadowed(rule, rule.at, "never decides anything", slot, *above);
    }
  }

  void shadowed(const Rule& rule, Spot at, const char* what, const std::string& slot, const Rule& above) {
    const bool every = always(above.when);
    warn(*rule.file, at,
         "rule '" + rule.name + "' " + what + ": '" + above.name + "' above claims `" + slot + "` for " +
             (every ? "every request" : "whatever it matches"),
         every ? "move it above, or give '" + above.name + "' a condition" : "move it above '" + above.name + "', which is wider");
  }

  // Models of vendors whose models are in the table: one that is not there is probably misspelt.
  void check_models(const Rule& rule) {
    for (const TargetEffect* effect : {&rule.to, &rule.fallback}) {
      for (const Choice& choice : effect->choices) check_model(rule, choice.target);
    }
  }

  void check_model(const Rule& rule, const Target& target) {
    if (target.model.empty()) return;
    std::vector<std::string> ids;
    for (const config::Model& model : set_.models.all()) {
      if (model.provider == target.provider) ids.push_back(model.id);
    }
    if (ids.empty() || set_.models.find(target.model, target.provider) != nullptr) return;
    const std::string near = text::did_you_mean(target.model, ids);
    warn(*rule.file, rule.to_at.line != 0 ? rule.to_at : rule.at,
         "rule '" + rule.name + "': " + target.provider + " has no known model '" + target.model + "'",
         near.empty() ? std::string() : "did you mean '" + near + "'?");
  }

  // What no request or reply is likely to have: the rule would do nothing, silently.
  void check_values(const Rule& rule, const Condition& condition) {
    for (const Condition& child : condition.children) check_values(rule, child);
    if (!condition.children.empty() || condition.at.line == 0) return;
    const bool text = condition.op == Condition::Op::kText;
    const bool provider = condition.fact == api::Fact::kTargetProvider || condition.fact == api::Fact::kProvider;
    if (text && condition.fact == api::Fact::kPath) {
      check_path(rule, condition);
    } else if (text && provider && !set_.targets.exists(condition.text)) {
      TargetProblem problem;
      (void)set_.targets.resolve(condition.text + ",any", problem);  // says which there are
      warn(*rule.file, condition.at, problem.message, problem.hint);
    } else if (const api::Values* values = api::fact_row(condition.fact).values) {
      if (text) check_word(rule, condition.at, *values, condition.text, api::fact_row(condition.fact).name);
      if (values->bounded() && out_of(*values, condition)) {
        warn(*rule.file, condition.at, "`" + condition.shown + "` never holds",
             std::string(api::fact_row(condition.fact).name) + " is from " + number_text(values->least) + " to " +
                 number_text(values->most));
      }
    }
  }

  void check_word(const Rule& rule, Spot at, const api::Values& values, std::string_view word, const char* name) {
    if (values.words.empty() || values.has(word)) return;
    const std::string near = api::near_word_hint(values, word);
    if (!near.empty()) warn(*rule.file, at, std::string(name) + " is probably never '" + std::string(word) + "'", near);
  }

  static bool out_of(const api::Values& values, const Condition& condition) {
    const double number = condition.number;
    switch (condition.op) {
      case Condition::Op::kEqual: return number < values.least || number > values.most;
      case Condition::Op::kGreater: return number >= values.most;
      case Condition::Op::kAtLeast: return number > values.most;
      case Condition::Op::kLess: return number <= values.least;
      case Condition::Op::kAtMost: return number < values.least;
      default: return false;
    }
  }

  void check_path(const Rule& rule, const Condition& condition) {
    for (const char* method : {"POST", "GET"}) {
      if (dialect::find(method, condition.text).endpoint != dialect::Endpoint::kNone) return;
    }
    const std::vector<std::string> paths = {"/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches", "/v1/files",
                                            "/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/embeddings",
                                            "/api/chat"};
    const std::string near = text::did_you_mean(condition.text, paths);
    warn(*rule.file, condition.at, "no endpoint has the path '" + condition.text + "'",
         near.empty() ? "paths are such as /v1/messages, /v1/chat/completions, /v1/responses, /v1beta/models/*:generateContent, /api/chat"
                      : "did you mean '" + near + "'?");
  }

  void check_set(const Rule& rule) {
    for (const FieldEdit& edit : rule.set.fixed) {
      const api::FieldRow* row = api::find_field(edit.field);
      if (row == nullptr || row->values == nullptr || edit.value_json.size() < 2 || edit.value_json.front() != '"') continue;
      const std::string_view word = std::string_view(edit.value_json).substr(1, edit.value_json.size() - 2);
      check_word(rule, rule.at, *row->values, word, row->name);
    }
  }

  // Functions may return an alias.
  [[nodiscard]] bool is_quoted_somewhere(const std::string& name) const {
    return std::any_of(set_.files.begin(), set_.files.end(), [&name](const std::unique_ptr<SourceFile>& file) {
      return file->text.find('"' + name + '"') != std::string::npos || file->text.find('\'' + name + '\'') != std::string::npos;
    });
  }

  const RuleSet& set_;
  std::vector<config::Diagnostic> found_;
};

}  // namespace

std::vector<config::Diagnostic> review_rules(const RuleSet& set) { return Reviewer(set).review(); }

}  // namespace ccrules::rules
