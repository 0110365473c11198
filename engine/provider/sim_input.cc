#include "provider/sim_input.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "core/json.h"

namespace ccrules::provider::sim {
namespace {

constexpr int kMostDepth = 12;
constexpr int kMostValues = 500;  ///< a schema that refers to itself would else grow without end
constexpr std::int64_t kMostItems = 8;

using Members = std::map<std::string, std::string, std::less<>>;

/// An object's members with their verbatim values; `order` keeps the document's order. Empty when it is no
/// object.
Members members_of(std::string_view text, std::vector<std::string>* order = nullptr) {
  Members members;
  auto document = json::Document::open(text);
  if (!document) return members;
  auto root = document->root_object();
  if (!root) return members;
  while (root->next()) {
    std::string name(root->key());
    auto raw = root->value().raw();
    if (!raw) return {};
    if (order != nullptr) order->push_back(name);
    members[std::move(name)] = std::string(*raw);
  }
  return root->done() ? members : Members{};
}

std::vector<std::string> items_of(std::string_view text) {
  std::vector<std::string> items;
  auto document = json::Document::open(text);
  if (!document) return items;
  auto root = document->root();
  if (!root || !root->is(json::Type::kArray)) return items;
  auto array = root->array();
  if (!array) return items;
  while (array->next()) {
    auto raw = array->value().raw();
    if (!raw) return {};
    items.emplace_back(*raw);
  }
  return items;
}

/// Text of a JSON string literal; empty for anything else.
std::string text_of(std::string_view literal) {
  auto document = json::Document::open(literal);
  if (!document) return {};
  auto root = document->root();
  if (!root || !root->is(json::Type::kString)) return {};
  auto text = root->string();
  return text ? std::string(*text) : std::string();
}

std::optional<std::int64_t> whole_of(std::string_view literal) {
  auto document = json::Document::open(literal);
  if (!document) return std::nullopt;
  auto root = document->root();
  if (!root || !root->is(json::Type::kNumber)) return std::nullopt;
  auto number = root->integer();
  if (!number) return std::nullopt;
  return *number;
}

std::string quoted(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

class Builder {
 public:
  explicit Builder(std::string_view root) : root_(members_of(root)) {}

  std::string value(std::string_view schema, std::string_view name, int depth) {
    if (depth > kMostDepth || ++values_ > kMostValues) return "null";
    const Members members = members_of(schema);
    const auto get = [&members](std::string_view key) -> const std::string* {
      const auto found = members.find(key);
      return found == members.end() ? nullptr : &found->second;
    };
    if (const std::string* fixed = get("const")) return *fixed;
    for (const char* key : {"enum", "examples"}) {
      if (const std::string* words = get(key)) {
        if (const auto items = items_of(*words); !items.empty()) return items.front();
      }
    }
    if (const std::string* given = get("default"); given != nullptr && *given != "null") return *given;
    if (const std::string* reference = get("$ref"))
      return value(resolve(text_of(*reference)), name, depth + 1);
    for (const char* key : {"anyOf", "oneOf", "allOf"}) {
      if (const std::string* choices = get(key)) {
        if (const auto items = items_of(*choices); !items.empty())
          return value(items.front(), name, depth + 1);
      }
    }
    const std::string type = type_of(members);
    if (type == "object") return object(members, depth);
    if (type == "array") return array(members, name, depth);
    if (type == "integer" || type == "number") return std::to_string(number(members));
    if (type == "boolean") return "true";
    if (type == "null") return "null";
    return string(members, name);
  }

 private:
  static std::string type_of(const Members& members) {
    if (const auto found = members.find("type"); found != members.end()) {
      if (const std::string word = text_of(found->second); !word.empty()) return word;
      for (const std::string& item : items_of(found->second)) {
        if (const std::string word = text_of(item); word != "null") return word;
      }
    }
    if (members.contains("properties")) return "object";
    return members.contains("items") ? "array" : "string";
  }

  /// "#/$defs/Name": the only kind of reference tool schemas use. Anything else is an empty schema.
  std::string resolve(std::string_view reference) const {
    for (const std::string_view holder : {"$defs", "definitions"}) {
      const std::string prefix = "#/" + std::string(holder) + "/";
      if (!reference.starts_with(prefix)) continue;
      const auto found = root_.find(holder);
      if (found == root_.end()) continue;
      const Members definitions = members_of(found->second);
      const auto definition = definitions.find(reference.substr(prefix.size()));
      if (definition != definitions.end()) return definition->second;
    }
    return "{}";
  }

  std::string object(const Members& members, int depth) {
    std::vector<std::string> names;
    const auto properties = members.find("properties");
    const Members schemas = properties == members.end() ? Members{} : members_of(properties->second, &names);
    if (const auto required = members.find("required"); required != members.end()) {
      std::vector<std::string> wanted;
      for (const std::string& item : items_of(required->second)) wanted.push_back(text_of(item));
      std::erase_if(names, [&](const std::string& one) {
        return std::find(wanted.begin(), wanted.end(), one) == wanted.end();
      });
    }
    std::string out;
    json::Writer writer(out);
    writer.begin_object();
    for (const std::string& name : names) {
      writer.member_raw(name, value(schemas.find(name)->second, name, depth + 1));
    }
    writer.end_object();
    return out;
  }

  std::string array(const Members& members, std::string_view name, int depth) {
    const auto items = members.find("items");
    if (items == members.end()) return "[]";
    std::int64_t count = 1;
    if (const auto least = members.find("minItems"); least != members.end()) {
      count = std::clamp<std::int64_t>(whole_of(least->second).value_or(1), 1, kMostItems);
    }
    std::string out = "[";
    for (std::int64_t i = 0; i < count; ++i) {
      if (i > 0) out += ',';
      out += value(items->second, name, depth + 1);
    }
    return out + "]";
  }

  static std::int64_t number(const Members& members) {
    if (const auto least = members.find("minimum"); least != members.end()) {
      return whole_of(least->second).value_or(1);
    }
    if (const auto below = members.find("exclusiveMinimum"); below != members.end()) {
      return whole_of(below->second).value_or(0) + 1;
    }
    return 1;
  }

  static std::string string(const Members& members, std::string_view name) {
    if (const auto found = members.find("format"); found != members.end()) {
      const std::string format = text_of(found->second);
      if (format == "date") return quoted("2026-01-31");
      if (format == "date-time") return quoted("2026-01-31T12:00:00Z");
      if (format == "uri" || format == "url") return quoted("https://example.com/");
      if (format == "email") return quoted("someone@example.com");
      if (format == "uuid") return quoted("00000000-0000-4000-8000-000000000000");
    }
    std::string text = name.empty() ? "example" : "example " + std::string(name);
    if (const auto least = members.find("minLength"); least != members.end()) {
      const auto size =
          static_cast<std::size_t>(std::clamp<std::int64_t>(whole_of(least->second).value_or(0), 0, 4096));
      if (text.size() < size) text.append(size - text.size(), '.');
    }
    return quoted(text);
  }

  Members root_;
  int values_ = 0;
};

}  // namespace

std::string plausible_input(std::string_view schema_json) {
  if (members_of(schema_json).empty()) return "{}";
  return Builder(schema_json).value(schema_json, "", 0);
}

}  // namespace ccrules::provider::sim
