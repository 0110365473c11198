#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/result.h"

/// Small readings that OpenAI's formats have in common.
namespace ccrules::dialect {

/// Appends `"key":json` to an object text, which is empty or "{...}".
void keep_member(std::string& object_json, std::string_view key, std::string_view json);
/// Consumes the value and keeps it under `key`. SDKs send back the empty members of answers (refusal:null,
/// annotations:[]): they say nothing and are not kept.
Result<void> keep_unknown(std::string& object_json, std::string_view key, json::Value& value);

Result<std::string> take_string(json::Value& value);
/// A string or null.
Result<std::string> take_optional_string(json::Value& value);

/// "data:image/png;base64,AAAA" in its parts; nullopt for any other URL.
struct DataUri {
  std::string_view media_type;
  std::string_view base64;
};
std::optional<DataUri> data_uri(std::string_view url);

}  // namespace ccrules::dialect
