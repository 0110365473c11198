#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace ccrules::dialect {

/// Ids of tool calls as a provider takes them (G-23): the client's own when it is fit and new, else one made
/// from it. One object per request; the same request always gets the same ids.
class CallIds {
 public:
  enum class Form : std::uint8_t {
    kUpTo40,  ///< OpenAI chat: letters, digits, _ and -
    kUpTo64,  ///< OpenAI responses: the same, longer
    kNine     ///< Mistral: exactly nine letters or digits
  };
  explicit CallIds(Form form) : form_(form) {}
  /// Call once per call, in order.
  std::string sent(std::string_view id);

 private:
  Form form_;
  std::unordered_set<std::string> used_;
  std::unordered_map<std::string, std::uint64_t> tried_;  ///< how many ids were made of one that is unfit or comes again
};

/// An id for the call number `number` of a reply, for a provider that sent none. Depends on all it is given.
std::string made_call_id(std::string_view tool_name, std::uint32_t number, std::uint64_t seed);

}  // namespace ccrules::dialect
