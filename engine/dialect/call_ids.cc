#include "dialect/call_ids.h"

#include <algorithm>
#include <cstddef>

#include "core/digest.h"

namespace ccrules::dialect {
namespace {

constexpr std::size_t kMistralId = 9;
constexpr std::size_t kMadeId = 20;

std::string hash_text(std::string_view id, std::uint64_t turn, std::size_t length) {
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::string text;
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < length; ++i) {
    if (i % 12 == 0) bits = digest::hash64(id, turn * 31 + i);
    text += kDigits[bits % kDigits.size()];
    bits /= kDigits.size();
  }
  return text;
}

bool is_letter_or_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

std::string CallIds::sent(std::string_view id) {
  const bool nine = form_ == Form::kNine;
  const std::size_t longest = form_ == Form::kUpTo64 ? 64 : 40;
  const auto fits = [&](char c) { return is_letter_or_digit(c) || (!nine && (c == '_' || c == '-')); };
  const bool right_size = nine ? id.size() == kMistralId : !id.empty() && id.size() <= longest;
  std::string sent(id);
  const bool good = right_size && std::all_of(id.begin(), id.end(), fits);
  if (good && used_.insert(sent).second) return sent;
  // Goes on where the last one of this id was found: thousands of calls may have the same.
  std::uint64_t& turn = tried_[std::string(id)];
  do {
    sent = nine ? hash_text(id, turn, kMistralId) : "call_" + hash_text(id, turn, kMadeId);
    ++turn;
  } while (!used_.insert(sent).second);
  return sent;
}

std::string made_call_id(std::string_view tool_name, std::uint32_t number, std::uint64_t seed) {
  return "call_" + hash_text(std::string(tool_name) + '/' + std::to_string(number), seed, kMadeId);
}

}  // namespace ccrules::dialect
