#include "rules/compile_rule.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace ccrules::rules {
namespace {

/// Reads "text {fact} text"; "{{" is a brace.
Template compile_template(const Tree& tree, const RuleContext& context, Problems& problems) {
  Template out;
  if (!tree.is(Tree::Kind::kText)) {
    problems.push_back({tree.at, std::string("reason is a string, not ") + tree.kind_name(), {}});
    return out;
  }
  const std::string_view text = tree.text;
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t close = text[i] == '{' ? text.find('}', i) : std::string_view::npos;
    if (text[i] == '{' && i + 1 < text.size() && text[i + 1] == '{') {
      plain += text[i++];
    } else if (close != std::string_view::npos) {
      const api::FactRow* row = usable_fact(text.substr(i + 1, close - i - 1), tree.at, context, problems);
      if (!plain.empty()) out.parts.push_back({std::move(plain), false, {}});
      plain.clear();
      if (row != nullptr) out.parts.push_back({{}, true, row->id});
      i = close;
    } else {
      plain += text[i];
    }
  }
  if (!plain.empty()) out.parts.push_back({std::move(plain), false, {}});
  return out;
}

Condition never(std::string shown, std::string actual) {
  Condition condition;
  condition.op = Condition::Op::kNever;
  condition.shown = std::move(shown);
  condition.actual = std::move(actual);
  return condition;
}

Condition both(Condition first, Condition second) {
  if (second.op == Condition::Op::kAll && second.children.empty()) return first;
  Condition condition;
  condition.uses_lua = first.uses_lua || second.uses_lua;
  condition.about_target = first.about_target || second.about_target;
  condition.shown = first.shown + " and " + second.shown;
  condition.children.push_back(std::move(first));
  condition.children.push_back(std::move(second));
  return condition;
}

// Requests of one working directory, its folders included.
Condition of_project(const std::string& directory) {
  Condition condition;
  condition.op = Condition::Op::kAny;
  condition.fact = api::Fact::kProject;
  condition.shown = "project is " + directory;
  Condition same;
  same.op = Condition::Op::kText;
  same.fact = api::Fact::kProject;
  same.text = directory;
  Condition below = same;
  below.op = Condition::Op::kPrefix;
  below.text = directory + "/";
  condition.children.push_back(std::move(same));
  condition.children.push_back(std::move(below));
  return condition;
}

// True when a part of an effect is a function: what an enforced rule pins must be plain to read.
bool holds_function(const Tree& tree) {
  if (tree.is(Tree::Kind::kFunction)) return true;
  return std::any_of(tree.items.begin(), tree.items.end(), holds_function) ||
         std::any_of(tree.members.begin(), tree.members.end(),
                     [](const Tree::Member& member) { return holds_function(member.value); });
}

bool reads_target(const Tree& tree) {
  if (tree.about_target) return true;
  return std::any_of(tree.items.begin(), tree.items.end(), reads_target) ||
         std::any_of(tree.members.begin(), tree.members.end(),
                     [](const Tree::Member& member) { return reads_target(member.value); });
}

void read_phase(Rule& rule, const Tree& on, Problems& problems) {
  for (const api::On phase : {api::On::kRequest, api::On::kError, api::On::kResponse}) {
    if (on.text != api::on_name(phase)) continue;
    rule.context.on = phase;
    if (rule.layer == Layer::kEnforced && phase != api::On::kRequest) {
      problems.push_back({on.at, "an enforced rule decides on requests: it may deny, limit and pin", {}});
    }
    return;
  }
  problems.push_back({on.at, "on is \"request\", \"error\" or \"response\"", {}});
}

// A rule that waits for the targets cannot choose them.
void check_target_rule(Rule& rule, const Declaration& declaration, Problems& problems) {
  rule.about_target = rule.when.about_target;
  for (const Tree::Member& member : declaration.body.members) {
    if (member.key != "when" && member.key != "reason") rule.about_target = rule.about_target || reads_target(member.value);
  }
  if (!rule.about_target) return;
  if (rule.context.on != api::On::kRequest) {
    problems.push_back({declaration.at, "target_provider and provider_class are facts of requests; after an attempt read provider", {}});
  }
  for (const Tree::Member& member : declaration.body.members) {
    if (api::find_effect(member.key) == nullptr || member.key == "deny" || member.key == "tag") continue;
    problems.push_back({member.at, "a rule that reads target_provider or provider_class may only deny and tag",
                        "it is judged once the targets are known; provider names in other rules pin them"});
  }
}

}  // namespace

bool RuleCompiler::compile(Rule& rule, const Declaration& declaration, Problems& problems) {
  bool off = false;
  if (const Tree::Member* on = declaration.body.find("on")) read_phase(rule, on->value, problems);
  for (const Tree& item : declaration.body.items) {
    problems.push_back({item.at, "a rule is a table of names: when, to, deny, set ...", "write name = value"});
  }
  for (const Tree::Member& member : declaration.body.members) {
    if (member.key == "when") {
      rule.when = compile_when(member.value, rule.context, problems);
    } else if (member.key == "off") {
      off = member.value.is(Tree::Kind::kFlag) && member.value.flag;
    } else if (member.key == "reason") {
      rule.reason = compile_template(member.value, rule.context, problems);
    } else if (member.key != "on" && member.key != "doc") {
      read_effect(rule, member, problems);
    }
  }
  check_target_rule(rule, declaration, problems);
  refine(rule);
  return off;
}

void RuleCompiler::read_effect(Rule& rule, const Tree::Member& member, Problems& problems) {
  const api::EffectRow* row = api::find_effect(member.key);
  if (row == nullptr) {
    const bool is_fact = api::find_fact(member.key) != nullptr;
    problems.push_back({member.at, "unknown effect '" + member.key + "'",
                        is_fact ? "'" + member.key + "' is a fact: conditions stand in when = { ... }"
                                : api::rule_key_hint(member.key)});
    return;
  }
  const bool on_request = rule.context.on == api::On::kRequest;
  if (on_request ? !row->on_request : !row->on_attempt) {
    problems.push_back({member.at,
                        on_request ? "'" + member.key + "' is only for rules with on = \"error\" or on = \"response\""
                                   : "'" + member.key + "' has no meaning in a rule with on = \"" +
                                         api::on_name(rule.context.on) + "\"",
                        {}});
    return;
  }
  if (rule.layer == Layer::kEnforced && row->id != api::Effect::kDeny && holds_function(member.value)) {
    problems.push_back({member.value.at, "an enforced rule may deny, limit and pin: '" + member.key + "' takes fixed values here", {}});
    return;
  }
  EffectReader reader(rule.context, problems);
  note_aliases(member.value);
  switch (row->id) {
    case api::Effect::kTo:
      rule.to = reader.to(member.value);
      rule.to_at = member.at;
      break;
    case api::Effect::kFallback: rule.fallback = reader.fallback(member.value); break;
    case api::Effect::kDeny: rule.deny = reader.deny(member.value); break;
    case api::Effect::kSet: rule.set = reader.set(member.value); break;
    case api::Effect::kHeaders: rule.headers = reader.headers(member.value); break;
    case api::Effect::kTag: rule.tag = reader.tag(member.value); break;
    case api::Effect::kCache: rule.cache = reader.cache(member.value); break;
    case api::Effect::kBudget: rule.budget = reader.budget(member.value); break;
    case api::Effect::kStrict: rule.strict = reader.strict(member.value); break;
    case api::Effect::kRetry: rule.retry = reader.retry(member.value); break;
    case api::Effect::kNextFallback:
      if (member.value.is(Tree::Kind::kFlag)) {
        rule.next_fallback = member.value.flag;
      } else if (member.value.is(Tree::Kind::kFunction)) {
        rule.next_fallback_function = member.value.ref;
      } else {
        problems.push_back({member.value.at, "next_fallback is true or false", {}});
      }
      break;
  }
}

void RuleCompiler::note_aliases(const Tree& value) {
  if (value.is(Tree::Kind::kText)) {
    const auto found = set_.aliases.find(value.text);
    if (found != set_.aliases.end()) found->second.used = true;
  }
  for (const Tree& item : value.items) note_aliases(item);
  for (const Tree::Member& member : value.members) note_aliases(member.value);
}

// Turns what an effect needs into conditions, so that traces say why such a rule did not take part.
void RuleCompiler::refine(Rule& rule) {
  drop_disabled(rule.fallback);
  if (rule.to.kind == TargetEffect::Kind::kFixed && !rule.to.choices.empty() &&
      !set_.targets.enabled(rule.to.choices.front().target.provider)) {
    rule.when = both(never("provider " + rule.to.choices.front().target.provider + " is enabled", "disabled"),
                     std::move(rule.when));
  }
  drop_disabled(rule.to);
  for (TargetEffect* effect : {&rule.to, &rule.fallback}) {
    if (effect->kind != TargetEffect::Kind::kPick) continue;
    std::vector<std::string> names;
    for (const auto& [name, choices] : effect->pick.exact) names.push_back(name);
    for (const auto& [glob, choices] : effect->pick.globs) names.push_back(glob);
    const api::FactRow& row = api::fact_row(effect->pick.fact);
    rule.when = both(names.empty() ? never("nothing is configured for any " + std::string(row.name), "")
                                   : compile_names(row, names),
                     std::move(rule.when));
  }
}

void RuleCompiler::drop_disabled(TargetEffect& effect) {
  const auto disabled = [this](const Choice& choice) { return !set_.targets.enabled(choice.target.provider); };
  if (effect.kind == TargetEffect::Kind::kFixed) std::erase_if(effect.choices, disabled);
  for (auto& [name, choices] : effect.pick.exact) std::erase_if(choices, disabled);
  for (auto& [glob, choices] : effect.pick.globs) std::erase_if(choices, disabled);
  std::erase_if(effect.pick.exact, [](const auto& entry) { return entry.second.empty(); });
  std::erase_if(effect.pick.globs, [](const auto& entry) { return entry.second.empty(); });
}

void confine(Rule& rule, const std::string& directory) { rule.when = both(of_project(directory), std::move(rule.when)); }

}  // namespace ccrules::rules
