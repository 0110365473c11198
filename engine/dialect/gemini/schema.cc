#include "dialect/gemini/schema.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/search.h"
#include "core/text.h"

namespace ccrules::dialect::gemini {
namespace {

using json::Type;

constexpr int kDeepest = 24;  ///< schemas inside schemas; deeper ones are "any object"
constexpr int kMost = 10000;  ///< schemas in one: references that double would fill any memory
constexpr std::string_view kAnyObject = R"({"type":"OBJECT"})";

/// An object's members as JSON texts, in order.
struct Member {
  std::string key;
  std::string json;
};
using Members = std::vector<Member>;

Members members_of(std::string_view object_json) {
  Members members;
  auto document = json::Document::open_view(object_json);
  if (!document) return members;
  auto object = document->root_object();
  while (object && object->next()) {
    std::string key(object->key());
    const auto raw = object->value().raw();
    if (!raw) break;
    members.push_back({std::move(key), std::string(*raw)});
  }
  return members;
}

std::vector<std::string> items_of(std::string_view array_json) {
  std::vector<std::string> items;
  auto document = json::Document::open_view(array_json);
  if (!document) return items;
  auto root = document->root();
  if (!root || !root->is(Type::kArray)) return items;
  auto array = root->array();
  while (array && array->next()) {
    const auto raw = array->value().raw();
    if (!raw) break;
    items.emplace_back(*raw);
  }
  return items;
}

std::string text_of(std::string_view json) {
  auto document = json::Document::open_view(json);
  if (!document) return {};
  auto root = document->root();
  if (!root || !root->is(Type::kString)) return {};
  const auto text = root->string();
  return text ? std::string(*text) : std::string();
}

std::string json_text(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

const std::string* find(const Members& members, std::string_view key) {
  const auto found = std::find_if(members.begin(), members.end(), [&](const Member& one) { return one.key == key; });
  return found == members.end() ? nullptr : &found->json;
}

void set(Members& members, std::string_view key, std::string json) {
  const auto found = std::find_if(members.begin(), members.end(), [&](const Member& one) { return one.key == key; });
  if (found == members.end()) {
    members.push_back({std::string(key), std::move(json)});
  } else {
    found->json = std::move(json);
  }
}

void remove_member(Members& members, std::string_view key) {
  std::erase_if(members, [&](const Member& one) { return one.key == key; });
}

std::string object_of(const Members& members) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object();
  for (const Member& member : members) writer.member_raw(member.key, member.json);
  writer.end_object();
  return out;
}

std::string array_of(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const std::string& item : items) out.append(out.size() > 1 ? "," : "").append(item);
  return out + "]";
}

bool is_one_of(std::string_view word, std::span<const std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Turns one schema after the other into Google's subset.
class OpenApi {
 public:
  explicit OpenApi(std::string_view root_json) {
    for (const Member& member : members_of(root_json)) {
      if (member.key != "$defs" && member.key != "definitions") continue;
      for (Member& one : members_of(member.json)) definitions_.emplace("#/" + member.key + "/" + one.key, std::move(one.json));
    }
  }

  std::string convert(std::string_view schema_json, int depth) {
    if (depth > kDeepest || ++converted_ > kMost) return std::string(kAnyObject);
    Members schema = members_of(schema_json);  // none for true and false
    const std::size_t entered = entered_.size();
    resolve(schema);
    merge_all_of(schema);
    nullable_ = false;
    take_constant(schema);
    take_union(schema);
    std::string type = take_type(schema);
    take_enum(schema, type);
    const bool nullable = nullable_;  // the members' schemas come to use it too
    take_bounds(schema, type);
    std::string out = write(schema, std::move(type), nullable, depth);
    entered_.resize(entered);
    return out;
  }

 private:
  /// Puts what `$ref` names in place; what stands beside it wins. A circle becomes "any object".
  void resolve(Members& schema) {
    for (int hops = 0; hops < kDeepest; ++hops) {
      const std::string* reference = find(schema, "$ref");
      if (reference == nullptr) return;
      const std::string name = text_of(*reference);
      remove_member(schema, "$ref");
      const bool circle = std::find(entered_.begin(), entered_.end(), name) != entered_.end();
      const auto target = definitions_.find(name);
      if (circle || target == definitions_.end()) {
        if (find(schema, "type") == nullptr) set(schema, "type", "\"object\"");
        return;
      }
      entered_.push_back(name);
      for (Member& member : members_of(target->second)) {
        if (find(schema, member.key) == nullptr) schema.push_back(std::move(member));
      }
    }
  }

  void merge_all_of(Members& schema) {
    const std::string* all_of = find(schema, "allOf");
    if (all_of == nullptr) return;
    const std::vector<std::string> parts = items_of(*all_of);
    remove_member(schema, "allOf");
    for (const std::string& part : parts) {
      Members one = members_of(part);
      resolve(one);
      for (Member& member : one) {
        const std::string* mine = find(schema, member.key);
        if (mine == nullptr) {
          schema.push_back(std::move(member));
        } else if (member.key == "properties") {
          Members both = members_of(*mine);
          for (Member& property : members_of(member.json)) set(both, property.key, std::move(property.json));
          set(schema, "properties", object_of(both));
        } else if (member.key == "required") {
          std::vector<std::string> both = items_of(*mine);
          for (std::string& name : items_of(member.json)) {
            if (std::find(both.begin(), both.end(), name) == both.end()) both.push_back(std::move(name));
          }
          set(schema, "required", array_of(both));
        }
      }
    }
  }

  static void take_constant(Members& schema) {
    const std::string* constant = find(schema, "const");
    if (constant == nullptr) return;
    if (find(schema, "enum") == nullptr) set(schema, "enum", "[" + *constant + "]");
    remove_member(schema, "const");
  }

  /// oneOf means anyOf here; "or null" becomes nullable, and a union of one is that one.
  void take_union(Members& schema) {
    const std::string* alternatives = find(schema, "anyOf");
    if (alternatives == nullptr) alternatives = find(schema, "oneOf");
    if (alternatives == nullptr) return;
    std::vector<std::string> items = items_of(*alternatives);
    std::erase_if(items, [this](const std::string& item) {
      const Members one = members_of(item);
      const std::string* type = find(one, "type");
      const bool is_null = type != nullptr && *type == "\"null\"";
      nullable_ = nullable_ || is_null;
      return is_null;
    });
    remove_member(schema, "anyOf");
    remove_member(schema, "oneOf");
    if (items.size() == 1) {
      Members one = members_of(items.front());
      resolve(one);
      for (Member& member : one) {
        if (find(schema, member.key) == nullptr) schema.push_back(std::move(member));
      }
      take_constant(schema);
    } else if (!items.empty()) {
      set(schema, "anyOf", array_of(items));
    }
  }

  /// The type in Google's spelling; empty beside anyOf. Several types become a union.
  std::string take_type(Members& schema) {
    std::string type;
    if (const std::string* given = find(schema, "type"); given != nullptr && given->starts_with('[')) {
      std::vector<std::string> names = items_of(*given);
      const bool had_null = std::erase(names, "\"null\"") > 0;
      nullable_ = nullable_ || had_null;
      remove_member(schema, "type");
      if (names.size() == 1) {
        type = text_of(names.front());
      } else if (find(schema, "anyOf") == nullptr && names.size() > 1) {
        std::vector<std::string> union_of;
        for (const std::string& name : names) union_of.push_back("{\"type\":" + name + "}");
        set(schema, "anyOf", array_of(union_of));
      }
    } else if (given != nullptr) {
      type = text_of(*given);
      remove_member(schema, "type");
    }
    if (type.empty() && find(schema, "anyOf") == nullptr) {
      type = find(schema, "properties") != nullptr ? "object" : find(schema, "items") != nullptr ? "array" : "string";
    }
    for (char& c : type) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return type;
  }

  /// Enumerations are of texts only.
  void take_enum(Members& schema, std::string& type) {
    const std::string* values = find(schema, "enum");
    if (values == nullptr) return;
    std::vector<std::string> texts = items_of(*values);
    const bool had_null = std::erase(texts, "null") > 0;
    nullable_ = nullable_ || had_null;
    const bool all_texts = std::all_of(texts.begin(), texts.end(), [](const std::string& one) { return one.starts_with('"'); });
    std::erase(texts, "\"\"");  // an empty one is refused
    if (!all_texts || texts.empty()) {
      if (!texts.empty() && type == "STRING") type = texts.front() == "true" || texts.front() == "false" ? "BOOLEAN" : "NUMBER";
      remove_member(schema, "enum");
      return;
    }
    set(schema, "enum", array_of(texts));
    if (type.empty()) type = "STRING";
  }

  static void take_bounds(Members& schema, const std::string& type) {
    for (const auto& [exclusive, inclusive, step] :
         {std::tuple{"exclusiveMinimum", "minimum", 1}, std::tuple{"exclusiveMaximum", "maximum", -1}}) {
      const std::string* bound = find(schema, exclusive);
      if (bound == nullptr || find(schema, inclusive) != nullptr) continue;
      const auto whole = text::to_int(*bound);
      if (type == "INTEGER" && whole) {
        set(schema, inclusive, std::to_string(*whole + step));
      } else if (!bound->empty() && (bound->front() == '-' || (bound->front() >= '0' && bound->front() <= '9'))) {
        set(schema, inclusive, *bound);
      }
    }
  }

  static bool keeps_format(std::string_view type, std::string_view format) {
    if (type == "STRING") return format == "date-time" || format == "enum" || format == "byte";
    if (type == "INTEGER") return format == "int32" || format == "int64";
    return type == "NUMBER" && (format == "float" || format == "double");
  }

  std::string write(const Members& schema, std::string type, bool nullable, int depth) {
    static constexpr std::array<std::string_view, 14> kPlain = {
        "title",     "description", "enum",    "minItems", "maxItems",        "minProperties", "maxProperties",
        "minLength", "maxLength",   "pattern", "minimum",  "maximum", "default", "example"};
    std::string out;
    json::Writer writer(out);
    writer.begin_object();
    if (!type.empty()) writer.member("type", type);
    if (nullable || (find(schema, "nullable") != nullptr && *find(schema, "nullable") == "true")) writer.member("nullable", true);
    std::vector<std::string> properties;
    for (const auto& [key, json] : schema) {
      if (is_one_of(key, kPlain)) {
        writer.member_raw(key, json);
      } else if (key == "format" && keeps_format(type, text_of(json))) {
        writer.member_raw(key, json);
      } else if (key == "items" && json.starts_with('{')) {
        writer.member_raw(key, convert(json, depth + 1));
      } else if (key == "anyOf") {
        std::vector<std::string> converted;
        for (const std::string& item : items_of(json)) converted.push_back(convert(item, depth + 1));
        writer.member_raw(key, array_of(converted));
      } else if (key == "properties" && json.starts_with('{')) {
        Members converted = members_of(json);
        for (Member& property : converted) {
          properties.push_back(json_text(property.key));
          property.json = convert(property.json, depth + 1);
        }
        if (!converted.empty()) writer.member_raw(key, object_of(converted));
      }
    }
    if (type == "ARRAY" && (find(schema, "items") == nullptr || !find(schema, "items")->starts_with('{'))) {
      writer.member_raw("items", R"({"type":"STRING"})");
    }
    if (const std::string* required = find(schema, "required")) {
      std::vector<std::string> known = items_of(*required);
      std::erase_if(known, [&](const std::string& name) {
        return std::find(properties.begin(), properties.end(), name) == properties.end();
      });
      if (!known.empty()) writer.member_raw("required", array_of(known));
    }
    writer.end_object();
    return out;
  }

  std::map<std::string, std::string, std::less<>> definitions_;  ///< by the reference that names them
  std::vector<std::string> entered_;                             ///< references on the way down to this schema
  bool nullable_ = false;                                        ///< of the schema being converted
  int converted_ = 0;
};

/// Copies a JSON value, a `const` as an `enum` of one wherever a schema can stand.
void copy_without_const(json::Writer& writer, std::string_view value_json, bool names, int depth) {
  if (depth > kDeepest || value_json.find("\"const\"") == std::string_view::npos) {
    writer.raw(value_json);
  } else if (value_json.starts_with('[')) {
    writer.begin_array();
    for (const std::string& item : items_of(value_json)) copy_without_const(writer, item, false, depth + 1);
    writer.end_array();
  } else if (value_json.starts_with('{')) {
    writer.begin_object();
    for (const auto& [key, json] : members_of(value_json)) {
      if (key == "const" && !names) {
        writer.member_raw("enum", "[" + json + "]");
      } else if (key == "enum" || key == "default" || key == "examples") {
        writer.member_raw(key, json);
      } else {
        writer.key(key);
        copy_without_const(writer, json, key == "properties" || key == "$defs" || key == "definitions", depth + 1);
      }
    }
    writer.end_object();
  } else {
    writer.raw(value_json);
  }
}

/// Reads one of Google's schemas where it stands, and notes what differs from JSON Schema: nearly nothing, so that the text is
/// copied in one piece or a few.
class FromOpenApi {
 public:
  explicit FromOpenApi(const json::Value& schema) : whole_(schema.peek_raw()), begin_(schema.offset()) {}

  Result<std::string> read(json::Value& schema) {
    CCR_CHECK(read_schema(schema, 0));
    if (edits_.empty()) return std::string(whole_);
    std::stable_sort(edits_.begin(), edits_.end(), [](const Edit& a, const Edit& b) { return a.at < b.at; });
    std::string out;
    out.reserve(whole_.size() + 64);
    std::size_t copied = 0;
    for (const Edit& edit : edits_) {
      out.append(whole_.substr(copied, edit.at - copied)).append(edit.text);
      copied = edit.at + edit.bytes;
    }
    return std::move(out.append(whole_.substr(copied)));
  }

 private:
  /// `bytes` of the text at `at` become `text`.
  struct Edit {
    std::size_t at = 0;
    std::size_t bytes = 0;
    std::string text;
  };

  /// One object's members that are taken out, with the comma that each has on one side.
  struct Removal {
    static constexpr std::size_t kNone = std::string_view::npos;
    bool kept_one = false;     ///< a member before the current one stays
    std::size_t from = kNone;  ///< members from here on go, and none before them stays
    std::size_t end = 0;       ///< of the last that goes
  };

  /// Its `type`, written once all members are known: "nullable" may stand behind it.
  struct TypeWord {
    Edit place;
    std::string word;
  };

  Result<void> read_schema(json::Value& schema, int depth) {
    if (depth > kDeepest || !schema.is(Type::kObject)) return {};
    bool nullable = false;
    std::optional<TypeWord> type;
    Removal removal;
    CCR_TRY(members, schema.object());
    while (members.next()) {
      const std::string_view key = members.key();
      const std::size_t key_at = members.key_offset() - begin_;
      json::Value& value = members.value();
      if (key == "type" && value.is(Type::kString)) {
        TypeWord read;
        read.place = place_of(value);
        CCR_TRY(word, value.string());
        read.word = text::lower(word);
        if (read.word == "type_unspecified") {
          remove(removal, key_at, read.place.at + read.place.bytes);
          continue;
        }
        type = std::move(read);
      } else if (key == "nullable" || key == "propertyOrdering" || key == "property_ordering") {
        const Edit place = place_of(value);
        nullable = nullable || (key == "nullable" && whole_.substr(place.at, place.bytes) == "true");
        remove(removal, key_at, place.at + place.bytes);
        continue;
      }
      keep(removal, key_at);
      CCR_CHECK(read_member(key, key_at, value, depth));
    }
    CCR_CHECK(members.done());
    if (removal.from != Removal::kNone) edits_.push_back({removal.from, removal.end - removal.from, {}});
    if (type) write_type(*std::move(type), nullable);
    return {};
  }

  Result<void> read_member(std::string_view key, std::size_t key_at, json::Value& value, int depth) {
    if (key == "properties" && value.is(Type::kObject)) {
      CCR_TRY(properties, value.object());
      while (properties.next()) CCR_CHECK(read_schema(properties.value(), depth + 1));
      return properties.done();
    }
    if (key == "items") return read_schema(value, depth + 1);
    if (key == "any_of") rename(key_at, key, "\"anyOf\"");
    if ((key == "anyOf" || key == "any_of") && value.is(Type::kArray)) {
      CCR_TRY(alternatives, value.array());
      while (alternatives.next()) CCR_CHECK(read_schema(alternatives.value(), depth + 1));
      return alternatives.done();
    }
    if ((key.starts_with("min") || key.starts_with("max")) && value.is(Type::kString)) return read_bound(value);
    if (key == "example") {
      rename(key_at, key, "\"examples\"");
      const Edit place = place_of(value);
      edits_.push_back({place.at, 0, "["});
      edits_.push_back({place.at + place.bytes, 0, "]"});
    }
    return {};
  }

  /// Proto JSON writes 64-bit numbers as texts.
  Result<void> read_bound(json::Value& value) {
    Edit edit = place_of(value);
    CCR_TRY(digits, value.string());
    if (!text::to_int(digits)) return {};
    edit.text = digits;
    edits_.push_back(std::move(edit));
    return {};
  }

  void write_type(TypeWord type, bool nullable) {
    std::string& out = type.place.text;
    json::append_string(out, type.word);
    if (nullable) out = "[" + out + ",\"null\"]";
    if (out != whole_.substr(type.place.at, type.place.bytes)) edits_.push_back(std::move(type.place));
  }

  void rename(std::size_t key_at, std::string_view key, const char* name) { edits_.push_back({key_at, literal_bytes(key_at, key), name}); }

  /// Of a name without a quote in it, which may still be spelt with escapes.
  [[nodiscard]] std::size_t literal_bytes(std::size_t key_at, std::string_view key) const {
    return whole_.find('"', key_at + key.size() + 1) + 1 - key_at;
  }

  void keep(Removal& removal, std::size_t key_at) {
    if (removal.from != Removal::kNone) edits_.push_back({removal.from, key_at - removal.from, {}});
    removal.from = Removal::kNone;
    removal.kept_one = true;
  }

  void remove(Removal& removal, std::size_t key_at, std::size_t end) {
    if (removal.kept_one) {
      const std::size_t comma = whole_.rfind(',', key_at);
      edits_.push_back({comma, end - comma, {}});
      return;
    }
    if (removal.from == Removal::kNone) removal.from = key_at;
    removal.end = end;
  }

  /// Where a value stands.
  [[nodiscard]] Edit place_of(const json::Value& value) const { return {value.offset() - begin_, value.peek_raw().size(), {}}; }

  std::string_view whole_;
  std::size_t begin_;  ///< of `whole_` in the document's text
  std::vector<Edit> edits_;
};

/// std::string_view's == calls a function.
template <std::size_t kSize>
bool equals(std::string_view key, const char (&word)[kSize]) {
  return key.size() == kSize - 1 && std::memcmp(key.data(), word, kSize - 1) == 0;
}

/// False of members that are the same in JSON Schema, wherever in a schema they stand. Names of properties look like members too.
bool may_differ(std::string_view key, const json::Value& value) {
  if (equals(key, "description")) return false;
  if (equals(key, "type")) {
    if (!value.is(Type::kString)) return false;
    const std::string_view literal = value.peek_raw();
    const std::string_view word = literal.substr(1, literal.size() - 2);
    return !std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  }
  if (key.starts_with("min") || key.starts_with("max")) return value.is(Type::kString);
  const bool is_other = equals(key, "nullable") || equals(key, "propertyOrdering") || equals(key, "property_ordering") ||
                        equals(key, "any_of") || equals(key, "example");
  return is_other || key.find('\\') != std::string_view::npos;
}

/// Most schemas begin with a few plain texts, and then with their properties: to know that there are some, nothing else needs to be
/// looked at.
bool begins_with_properties(std::string_view schema_json) {
  const auto take = [&schema_json](std::string_view wanted) {
    const bool there = schema_json.starts_with(wanted);
    if (there) schema_json.remove_prefix(wanted.size());
    return there;
  };
  const auto take_text = [&schema_json, &take](std::string_view& inside) {
    if (!take("\"")) return false;
    const std::size_t end = schema_json.find('"');
    if (end == std::string_view::npos) return false;
    inside = schema_json.substr(0, end);
    schema_json.remove_prefix(end + 1);
    return inside.find('\\') == std::string_view::npos;  // else it may go on behind the quote
  };
  if (!take("{")) return false;
  std::string_view name;
  std::string_view value;
  while (take_text(name)) {
    if (name == "properties") return take(":{\"");
    if (!take(":") || !take_text(value) || !take(",")) return false;
  }
  return false;
}

}  // namespace

std::string google_json_schema(std::string_view schema_json) {
  if (!holds_rare(schema_json, "\"const\"")) return std::string(schema_json);
  std::string out;
  json::Writer writer(out);
  copy_without_const(writer, schema_json, false, 0);
  return out;
}

std::string openapi_schema(std::string_view schema_json) { return OpenApi(schema_json).convert(schema_json, 0); }

Result<std::string> schema_from_openapi(json::Value& parameters) {
  if (parameters.peek_any(may_differ)) return FromOpenApi(parameters).read(parameters);
  CCR_TRY(schema, parameters.raw());
  return std::string(schema);
}

bool takes_nothing(std::string_view schema_json) {
  if (schema_json.empty()) return true;
  if (begins_with_properties(schema_json)) return false;
  // One look at the top level only; a schema that refers elsewhere or unites others is not empty.
  auto document = json::Document::open_view(schema_json);
  if (!document) return true;
  auto root = document->root();
  if (!root || !root->is(Type::kObject)) return true;
  for (const char* other : {"$ref", "anyOf", "oneOf", "allOf", "additionalProperties", "patternProperties"}) {
    const auto found = root->peek(other);
    if (found && found->peek_raw() != "false") return false;
  }
  const auto properties = root->peek("properties");
  return !properties || properties->peek_raw().find('"') == std::string_view::npos;
}

}  // namespace ccrules::dialect::gemini
