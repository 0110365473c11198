#include "dialect/members.h"

#include "core/limits.h"
#include "core/text.h"

namespace ccrules::dialect {
namespace {

bool says_nothing(std::string_view json) {
  return json == "null" || json == "[]" || json == "{}";
}

}  // namespace

void keep_member(std::string& object_json, std::string_view key, std::string_view json) {
  constexpr std::size_t kPunctuation = 5;  // {"":}
  object_json.reserve(object_json.size() + key.size() + json.size() + kPunctuation);
  if (object_json.empty())
    object_json = "{";
  else
    object_json.back() = ',';
  json::append_string(object_json, key);
  object_json += ':';
  object_json += json;
  object_json += '}';
}

Result<void> keep_unknown(std::string& object_json, std::string_view key, json::Value& value) {
  const std::string name(key);
  CCR_TRY(raw, value.raw());
  if (!says_nothing(raw)) keep_member(object_json, name, raw);
  return {};
}

Result<std::string> take_string(json::Value& value) {
  CCR_TRY(text, value.string());
  return std::string(text);
}

Result<void> take_string(json::Value& value, std::string& into) {
  CCR_TRY(text, value.string());
  into = text;
  return {};
}

Result<std::string> take_optional_string(json::Value& value) {
  if (value.is_null()) return std::string();
  return take_string(value);
}

Result<void> take_optional_string(json::Value& value, std::string& into) {
  if (!value.is_null()) return take_string(value, into);
  into.clear();
  return {};
}

Result<json::Text> take_optional_text(json::Value& value) {
  if (value.is_null()) return json::Text();
  return value.text();
}

std::optional<std::int64_t> told_count(json::Value& value) {
  if (!value.is(json::Type::kNumber)) return std::nullopt;
  const auto number = value.number();
  if (!number.ok() || !(*number >= 0) || *number > static_cast<double>(limits::kUsageTokens)) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

std::optional<DataUri> data_uri(std::string_view url) {
  if (!text::starts_with_ignore_case(url, "data:")) return std::nullopt;
  const std::size_t comma = url.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  std::string_view head = url.substr(5, comma - 5);
  if (!head.ends_with(";base64")) return std::nullopt;
  head.remove_suffix(7);
  return DataUri{head.substr(0, head.find(';')), url.substr(comma + 1)};
}

}  // namespace ccrules::dialect
