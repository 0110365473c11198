#include "rules/rule_list.h"

#include <algorithm>

#include "core/text.h"

namespace ccrules::rules {
namespace {

std::string target_text(const Choice& choice) {
  return choice.target.provider + "," + (choice.target.model.empty() ? "(same model)" : choice.target.model);
}

std::string target_text(const TargetEffect& effect) {
  switch (effect.kind) {
    case TargetEffect::Kind::kNone: return {};
    case TargetEffect::Kind::kRequested: return "what the model names";
    case TargetEffect::Kind::kServing: return "who lists the model";
    case TargetEffect::Kind::kPick: return "by a table";
    case TargetEffect::Kind::kFunction: return "by a function";
    case TargetEffect::Kind::kFixed: break;
  }
  std::string out;
  for (const Choice& choice : effect.choices) out += (out.empty() ? "" : "; ") + target_text(choice);
  return out.empty() ? "nowhere: its providers are disabled" : out;
}

/// Collects slots, and what goes into them as far as that is known.
class Effects {
 public:
  explicit Effects(RuleLine& line) : line_(line) {}
  void add(const std::string& slot, const std::string& value = {}) {
    line_.slots.push_back(slot);
    line_.effect += (line_.effect.empty() ? "" : "; ") + slot + (value.empty() ? "" : " " + value);
  }
  template <class Table, class Name>
  void table(const char* slot, const Table& effect, Name name) {
    for (const auto& fixed : effect.fixed) add(std::string(slot) + "." + name(fixed));
    for (const auto& [member, ref] : effect.functions) add(std::string(slot) + "." + member);
    if (effect.function != 0) add(std::string(slot) + ".*");
  }

 private:
  RuleLine& line_;
};

RuleLine line_of(const Rule& rule) {
  RuleLine line;
  line.pack = rule.pack;
  line.name = rule.name;
  line.layer = layer_name(rule.layer);
  line.on = api::on_name(rule.context.on);
  line.when = rule.when.shown;
  if (line.when.empty() && !(rule.when.op == Condition::Op::kAll && rule.when.children.empty())) line.when = "a condition";
  line.where = rule.where;
  Effects effects(line);
  if (rule.to.kind != TargetEffect::Kind::kNone) effects.add("to", target_text(rule.to));
  if (rule.fallback.kind != TargetEffect::Kind::kNone) effects.add("fallback", target_text(rule.fallback));
  if (rule.may_deny()) {
    effects.add("deny", rule.deny.kind == DenyEffect::Kind::kFixed ? std::to_string(rule.deny.deny.status) : "by a function");
  }
  effects.table("set", rule.set, [](const FieldEdit& edit) { return edit.field; });
  effects.table("headers", rule.headers, [](const HeaderEdit& edit) { return edit.name; });
  effects.table("tag", rule.tag, [](const auto& tag) { return tag.first; });
  if (rule.cache.policy || rule.cache.function != 0) effects.add("cache");
  if (!rule.budget.scope.empty() || rule.budget.function != 0) effects.add("budget", rule.budget.scope);
  if (!rule.strict.empty()) effects.add("strict");
  if (rule.retry.retry || rule.retry.function != 0) effects.add("retry");
  if (rule.next_fallback || rule.next_fallback_function != 0) effects.add("next_fallback");
  return line;
}

/// The rule's own lines: up to the next rule of its file, without blank and comment lines at the end.
std::string text_of(const Rule& rule, const std::vector<const Rule*>& all) {
  int end = 1 + static_cast<int>(std::count(rule.file->text.begin(), rule.file->text.end(), '\n'));
  for (const Rule* other : all) {
    if (other->file == rule.file && other->at.line > rule.at.line) end = std::min(end, other->at.line - 1);
  }
  std::vector<std::string_view> lines;
  for (int n = rule.at.line; n <= end; ++n) lines.push_back(rule.file->line(n));
  const auto idle = [](std::string_view line) {
    line = text::trim(line);
    return line.empty() || line.starts_with("--") || line.starts_with("//");
  };
  while (!lines.empty() && idle(lines.back())) lines.pop_back();
  std::string out;
  for (const std::string_view line : lines) out.append(line).append("\n");
  return out;
}

bool share(const std::string& a, const std::string& b) {
  if (a == b) return true;
  // "set.*" may take any field.
  const std::size_t dot = a.find('.');
  return dot != std::string::npos && b.substr(0, dot + 1) == a.substr(0, dot + 1) && (a.ends_with(".*") || b.ends_with(".*"));
}

std::string qualified(const RuleLine& rule) { return rule.pack.empty() ? rule.name : rule.pack + "#" + rule.name; }

}  // namespace

std::vector<RuleLine> list_rules(const RuleSet& set) {
  std::vector<const Rule*> all;
  for (const std::vector<Rule>* rules : {&set.on_request, &set.about_target, &set.on_error, &set.on_response}) {
    for (const Rule& rule : *rules) all.push_back(&rule);
  }
  std::vector<RuleLine> lines;
  for (const Rule* rule : all) {
    lines.push_back(line_of(*rule));
    lines.back().text = text_of(*rule, all);
  }
  return lines;
}

std::vector<RuleChange> compare_rules(const std::vector<RuleLine>& before, const std::vector<RuleLine>& after) {
  const auto find = [](const std::vector<RuleLine>& lines, const std::string& name) {
    return std::find_if(lines.begin(), lines.end(), [&name](const RuleLine& line) { return line.name == name; });
  };
  std::vector<RuleChange> changes;
  for (const RuleLine& old : before) {
    if (find(after, old.name) == after.end()) changes.push_back({RuleChange::Kind::kRemoved, old, {}});
  }
  std::vector<std::string> kept_before;
  std::vector<std::string> kept_after;
  for (const RuleLine& old : before) {
    if (find(after, old.name) != after.end()) kept_before.push_back(old.name);
  }
  for (const RuleLine& now : after) {
    if (find(before, now.name) != before.end()) kept_after.push_back(now.name);
  }
  for (const RuleLine& now : after) {
    const auto old = find(before, now.name);
    if (old == before.end()) {
      changes.push_back({RuleChange::Kind::kAdded, {}, now});
    } else if (old->text != now.text || old->when != now.when || old->effect != now.effect || old->on != now.on) {
      changes.push_back({RuleChange::Kind::kChanged, *old, now});
    } else {
      const auto place = [&now](const std::vector<std::string>& names) {
        return std::find(names.begin(), names.end(), now.name) - names.begin();
      };
      if (place(kept_before) != place(kept_after)) changes.push_back({RuleChange::Kind::kMoved, *old, now});
    }
  }
  return changes;
}

std::vector<Shadow> shadows_of(const std::string& pack, const std::vector<RuleLine>& rules) {
  std::vector<Shadow> shadows;
  for (std::size_t above = 0; above < rules.size(); ++above) {
    if (rules[above].pack != pack) continue;
    for (std::size_t below = above + 1; below < rules.size(); ++below) {
      if (rules[below].pack == pack || rules[below].on != rules[above].on) continue;
      for (const std::string& slot : rules[above].slots) {
        const auto& others = rules[below].slots;
        if (slot != "deny" && std::any_of(others.begin(), others.end(), [&](const std::string& other) { return share(slot, other); })) {
          shadows.push_back({rules[above].name, qualified(rules[below]), slot, rules[above].always()});
        }
      }
    }
  }
  return shadows;
}

}  // namespace ccrules::rules
