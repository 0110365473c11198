#include "rules/change.h"

#include <map>
#include <utility>

#include "rules/api.h"

namespace ccrules::rules {
namespace {

constexpr std::string_view kHeaders = "headers.";
constexpr std::string_view kTag = "tag.";

using Slots = std::map<std::string, std::string>;

void append(std::string& text, const std::string& part) {
  if (!text.empty()) text += "; ";
  text += part;
}

std::string cache_text(const CachePolicy& cache) {
  std::string text = cache.use ? "use" : "bypass";
  if (cache.ttl.count() >= 0) append(text, std::to_string(cache.ttl.count()) + " ms");
  if (!cache.scope.empty()) append(text, cache.scope);
  if (!cache.keep.empty()) append(text, "keep " + listed(cache.keep));
  return text;
}

/// Every slot but `to`.
Slots slots_of(const Decision& decision) {
  Slots slots;
  for (std::size_t i = 1; i < decision.targets.size(); ++i) append(slots["fallback"], target_text(decision.targets[i]));
  for (const FieldEdit& edit : decision.edits) append(slots["set." + edit.field], edit_text(edit));
  for (const HeaderEdit& edit : decision.headers) {
    slots[std::string(kHeaders) + edit.name] = edit.value ? "=" + *edit.value : "removed";
  }
  for (const auto& [name, value] : decision.tags) slots[std::string(kTag) + name] = value;
  if (decision.cache) slots["cache"] = cache_text(*decision.cache);
  if (!decision.budget.empty()) slots["budget"] = decision.budget;
  if (decision.strict) slots["strict"] = decision.strict->empty() ? "nothing" : listed(*decision.strict);
  return slots;
}

std::string retry_text(const AttemptDecision& decision) {
  if (!*decision.retry) return "no";
  std::string text = decision.retry_after.count() < 0 ? "as asked" : "after " + std::to_string(decision.retry_after.count()) + " ms";
  append(text, "at most " + std::to_string(decision.retry_at_most.count()) + " ms");
  return text;
}

Slots slots_of(const AttemptDecision& decision) {
  Slots slots;
  if (decision.deny) slots["deny"] = std::to_string(decision.deny->status);
  if (decision.to) slots["to"] = target_text(*decision.to);
  if (decision.retry) slots["retry"] = retry_text(decision);
  if (decision.next_fallback) slots["next_fallback"] = *decision.next_fallback ? "yes" : "no";
  for (const auto& [name, value] : decision.tags) slots[std::string(kTag) + name] = value;
  return slots;
}

std::string shown(const std::string& slot, const std::string& value) {
  return slot.starts_with(kHeaders) && value.starts_with('=') ? "set" : value;
}

void compare(const Slots& before, Slots after, std::vector<Change>& changes) {
  for (const auto& [slot, value] : before) after.try_emplace(slot);
  for (const auto& [slot, value] : after) {
    const auto old = before.find(slot);
    const std::string old_value = old == before.end() ? std::string() : old->second;
    if (old_value != value) changes.push_back({slot, shown(slot, old_value), shown(slot, value)});
  }
}

}  // namespace

bool Change::outside() const {
  std::string_view inner = slot;
  for (const api::On on : {api::On::kError, api::On::kResponse}) {
    const std::string prefix = std::string(api::on_name(on)) + ".";
    if (inner.starts_with(prefix)) inner.remove_prefix(prefix.size());
  }
  return !inner.starts_with(kTag) && inner != "budget";
}

std::string destination(const Decision& decision) {
  if (decision.deny) return "denied (" + std::to_string(decision.deny->status) + ")";
  if (!decision.bad_request.empty()) return "bad request";
  if (decision.targets.empty()) return "no target";
  return target_text(decision.targets.front());
}

std::string edit_text(const FieldEdit& edit) {
  switch (edit.kind) {
    case FieldEdit::Kind::kSet: return edit.value_json;
    case FieldEdit::Kind::kAtMost: return "max " + edit.value_json;
    case FieldEdit::Kind::kAtLeast: return "min " + edit.value_json;
    case FieldEdit::Kind::kDefault: return "default " + edit.value_json;
    case FieldEdit::Kind::kRemove: return "remove";
    case FieldEdit::Kind::kOneOf: return "values " + edit.value_json;
  }
  return {};
}

std::vector<Change> changes_between(const Decision& before, const Decision& after) {
  std::vector<Change> changes;
  const std::string from = destination(before);
  const std::string to = destination(after);
  if (from != to) changes.push_back({"to", from, to});
  compare(slots_of(before), slots_of(after), changes);
  return changes;
}

std::vector<Change> changes_between(const AttemptDecision& before, const AttemptDecision& after) {
  std::vector<Change> changes;
  compare(slots_of(before), slots_of(after), changes);
  for (Change& change : changes) change.rule = after.rule;
  return changes;
}

}  // namespace ccrules::rules
