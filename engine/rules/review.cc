#include "rules/review.h"

#include <algorithm>

#include "config/models.h"
#include "core/text.h"

namespace ccrules::rules {
namespace {

class Reviewer {
 public:
  explicit Reviewer(const RuleSet& set) : set_(set) {}

  std::vector<config::Diagnostic> review() {
    for (const Rule& rule : set_.on_request) {
      check_effects(rule);
      check_reach(rule);
      check_models(rule);
    }
    for (const std::vector<Rule>* rules : {&set_.about_target, &set_.on_error, &set_.on_response}) {
      for (const Rule& rule : *rules) {
        check_effects(rule);
        check_models(rule);
      }
    }
    for (const auto& [name, place] : set_.aliases) {
      if (place.used || is_quoted_somewhere(name)) continue;
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

  static bool always(const Rule& rule) {
    return rule.when.op == Condition::Op::kAll && rule.when.children.empty();
  }

  // A slot claimed without a condition is gone for every rule below.
  void check_reach(const Rule& rule) {
    const bool built_in = !rule.pack.empty();  // standing below the user's rules is what it is for
    const bool wants_to = rule.to.kind != TargetEffect::Kind::kNone;
    const bool wants_fallback = rule.fallback.kind != TargetEffect::Kind::kNone;
    if (denies_all_ != nullptr && !built_in) {
      warn(*rule.file, rule.at, "rule '" + rule.name + "' is never reached: '" + denies_all_->name + "' denies every request");
    } else if (wants_to && takes_to_ != nullptr && !built_in) {
      warn(*rule.file, rule.to_at,
           "rule '" + rule.name + "' never decides the target: '" + takes_to_->name +
               "' above claims `to` for every request",
           "move it above, or give '" + takes_to_->name + "' a condition");
    } else if (wants_fallback && takes_fallback_ != nullptr && !built_in) {
      warn(*rule.file, rule.at, "rule '" + rule.name + "' never decides the fallbacks: '" + takes_fallback_->name +
                                    "' above claims `fallback` for every request");
    }
    if (!always(rule)) return;
    if (rule.deny.kind == DenyEffect::Kind::kFixed && denies_all_ == nullptr) denies_all_ = &rule;
    if (rule.to.kind == TargetEffect::Kind::kFixed && takes_to_ == nullptr) takes_to_ = &rule;
    if (rule.fallback.kind == TargetEffect::Kind::kFixed && takes_fallback_ == nullptr) takes_fallback_ = &rule;
  }

  // Models of vendors whose models are in the table: one that is not there is probably misspelt.
  void check_models(const Rule& rule) {
    if (!rule.pack.empty()) return;
    for (const TargetEffect* effect : {&rule.to, &rule.fallback}) {
      for (const Choice& choice : effect->choices) check_model(rule, choice.target);
    }
  }

  void check_model(const Rule& rule, const Target& target) {
    if (target.model.empty()) return;
    std::vector<std::string> ids;
    for (const config::Model& model : config::ModelTable::built_in().all()) {
      if (model.provider == target.provider) ids.push_back(model.id);
    }
    if (ids.empty() || config::ModelTable::built_in().find(target.model, target.provider) != nullptr) return;
    const std::string near = text::did_you_mean(target.model, ids);
    warn(*rule.file, rule.to_at.line != 0 ? rule.to_at : rule.at,
         "rule '" + rule.name + "': " + target.provider + " has no known model '" + target.model + "'",
         near.empty() ? std::string() : "did you mean '" + near + "'?");
  }

  // Functions may return an alias.
  [[nodiscard]] bool is_quoted_somewhere(const std::string& name) const {
    return std::any_of(set_.files.begin(), set_.files.end(), [&name](const std::unique_ptr<SourceFile>& file) {
      return file->text.find('"' + name + '"') != std::string::npos || file->text.find('\'' + name + '\'') != std::string::npos;
    });
  }

  const RuleSet& set_;
  const Rule* takes_to_ = nullptr;
  const Rule* takes_fallback_ = nullptr;
  const Rule* denies_all_ = nullptr;
  std::vector<config::Diagnostic> found_;
};

}  // namespace

std::vector<config::Diagnostic> review_rules(const RuleSet& set) { return Reviewer(set).review(); }

}  // namespace ccrules::rules
