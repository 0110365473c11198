#include "rules/field_edit.h"

#include <charconv>
#include <system_error>

#include "core/json.h"

namespace ccrules::rules {
namespace {

/// The first of a list of JSON values when `current` is there and not among them.
std::optional<std::string> one_of(std::string_view list_json, const std::string& current) {
  if (current.empty()) return std::nullopt;
  auto document = json::Document::open(list_json);
  if (!document) return std::nullopt;
  auto root = document->root();
  if (!root) return std::nullopt;
  auto list = root->array();
  std::optional<std::string> first;
  while (list.ok() && list->next()) {
    auto raw = list->value().raw();
    if (!raw) return std::nullopt;
    const auto a = as_number(*raw);
    const auto b = as_number(current);
    if (*raw == current || (a && b && *a == *b)) return std::nullopt;
    if (!first) first = std::string(*raw);
  }
  return first;
}

}  // namespace

std::optional<double> as_number(std::string_view json) {
  double number = 0;
  const auto [end, failed] = std::from_chars(json.data(), json.data() + json.size(), number);
  if (failed != std::errc() || end != json.data() + json.size()) return std::nullopt;
  return number;
}

std::optional<std::string> edited(const FieldEdit& edit, const std::string& current) {
  switch (edit.kind) {
    case FieldEdit::Kind::kSet:
      return edit.value_json;
    case FieldEdit::Kind::kDefault:
      return current.empty() || current == "null" ? std::optional(edit.value_json) : std::nullopt;
    case FieldEdit::Kind::kRemove:
      return current.empty() ? std::nullopt : std::optional(std::string());
    case FieldEdit::Kind::kOneOf:
      return one_of(edit.value_json, current);
    case FieldEdit::Kind::kAtMost:
    case FieldEdit::Kind::kAtLeast: {
      const auto now = as_number(current);
      const auto limit = as_number(edit.value_json);
      if (!now || !limit) return std::nullopt;
      const bool outside = edit.kind == FieldEdit::Kind::kAtMost ? *now > *limit : *now < *limit;
      return outside ? std::optional(edit.value_json) : std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace ccrules::rules
