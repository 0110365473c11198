#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/result.h"

/// What the readers of several dialects do with the members of a request's objects.
namespace ccrules::dialect {

/// Messages for which room is set aside at once: large requests have some dozens, and each move is of a few hundred bytes.
inline constexpr std::size_t kUsualItems = 64;

/// Refuses the second copy of a member that decisions read: sent twice, two readers could see two different
/// requests.
template <std::size_t Count>
class OnlyOnce {
 public:
  explicit OnlyOnce(const std::array<std::string_view, Count>& names) : names_(names) {}
  Result<void> check(std::string_view key) {
    for (std::size_t i = 0; i < Count; ++i) {
      if (key != names_[i]) continue;
      const unsigned bit = 1u << i;
      if ((seen_ & bit) != 0) return bad_request(std::string(key) + " is sent twice: send it once");
      seen_ |= bit;
    }
    return {};
  }

 private:
  const std::array<std::string_view, Count>& names_;
  unsigned seen_ = 0;
};

/// Appends `"key":json` to an object text, which is empty or "{...}".
void keep_member(std::string& object_json, std::string_view key, std::string_view json);
/// Consumes the value and keeps it under `key`. SDKs send back the empty members of answers (refusal:null,
/// annotations:[]): they say nothing and are not kept.
Result<void> keep_unknown(std::string& object_json, std::string_view key, json::Value& value);

Result<std::string> take_string(json::Value& value);
Result<void> take_string(json::Value& value, std::string& into);
/// A string or null.
Result<std::string> take_optional_string(json::Value& value);
Result<void> take_optional_string(json::Value& value, std::string& into);
/// A string or null, to be written into another document.
Result<json::Text> take_optional_text(json::Value& value);

/// A number of tokens that a provider tells, consuming the value if it is a number. nullopt when it is none, below zero, or more than
/// limits::kUsageTokens: that is believed as little as nothing, so what we count ourselves takes its place.
std::optional<std::int64_t> told_count(json::Value& value);

/// "data:image/png;base64,AAAA" in its parts; nullopt for any other URL.
struct DataUri {
  std::string_view media_type;
  std::string_view base64;
};
std::optional<DataUri> data_uri(std::string_view url);

}  // namespace ccrules::dialect
