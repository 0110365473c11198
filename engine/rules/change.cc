#include "rules/change.h"

#include <map>
#include <utility>

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
  return slots;
}

std::string shown(const std::string& slot, const std::string& value) {
  return slot.starts_with(kHeaders) && value.starts_with('=') ? "set" : value;
}

}  // namespace

bool Change::outside() const { return !slot.starts_with(kTag) && slot != "budget"; }

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
  const Slots old_slots = slots_of(before);
  Slots slots = slots_of(after);
  for (const auto& [slot, value] : old_slots) slots.try_emplace(slot);
  for (const auto& [slot, value] : slots) {
    const auto old = old_slots.find(slot);
    const std::string old_value = old == old_slots.end() ? std::string() : old->second;
    if (old_value != value) changes.push_back({slot, shown(slot, old_value), shown(slot, value)});
  }
  return changes;
}

}  // namespace ccrules::rules
