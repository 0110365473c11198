#include "rules/rule.h"

namespace ccrules::rules {

std::string Template::render(Reader& reader) const {
  std::string out;
  for (const Part& part : parts) {
    if (!part.is_fact) {
      out += part.text;
      continue;
    }
    const Value value = reader.read(part.fact);
    if (value.kind == Value::Kind::kText) {
      out += value.text;
    } else {
      out += shown(value);
    }
  }
  return out;
}

bool Rule::has_effect() const {
  return to.kind != TargetEffect::Kind::kNone || fallback.kind != TargetEffect::Kind::kNone ||
         deny.kind != DenyEffect::Kind::kNone || !set.empty() || !headers.empty() || !tag.empty() ||
         cache.policy.has_value() || cache.function != 0 || !budget.scope.empty() || budget.function != 0 ||
         !strict.empty() || retry.retry.has_value() || retry.function != 0 || next_fallback.has_value() || next_fallback_function != 0;
}

bool Rule::only_targets() const {
  return deny.kind == DenyEffect::Kind::kNone && set.empty() && headers.empty() && tag.empty() && !cache.policy &&
         cache.function == 0 && budget.scope.empty() && budget.function == 0 && strict.empty();
}

bool uses_lua(const Rule& rule) {
  return rule.when.uses_lua || rule.to.kind == TargetEffect::Kind::kFunction ||
         rule.fallback.kind == TargetEffect::Kind::kFunction || rule.deny.kind == DenyEffect::Kind::kFunction ||
         !rule.set.functions.empty() || rule.set.function != 0 || !rule.headers.functions.empty() || rule.headers.function != 0 ||
         !rule.tag.functions.empty() || rule.tag.function != 0 || rule.retry.function != 0 || rule.next_fallback_function != 0 ||
         rule.cache.function != 0 || rule.budget.function != 0 || rule.strict.function != 0;
}

std::optional<std::string> fixed_reason(const Rule& rule) {
  if (rule.reason.parts.empty()) return "rule '" + rule.name + "'";
  std::string text;
  for (const Template::Part& part : rule.reason.parts) {
    if (part.is_fact) return std::nullopt;
    text += part.text;
  }
  return text;
}

}  // namespace ccrules::rules
