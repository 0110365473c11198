#include "core/json_scalar.h"

#include <cstddef>

namespace ccrules::json {

bool is_number(std::string_view token) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t start = i;
    while (i < token.size() && is_digit(token[i])) ++i;
    return i > start;
  };
  if (i < token.size() && token[i] == '-') ++i;
  if (i < token.size() && token[i] == '0') {
    ++i;
  } else if (!digits()) {
    return false;
  }
  if (i < token.size() && token[i] == '.') {
    ++i;
    if (!digits()) return false;
  }
  if (i < token.size() && (token[i] == 'e' || token[i] == 'E')) {
    ++i;
    if (i < token.size() && (token[i] == '+' || token[i] == '-')) ++i;
    if (!digits()) return false;
  }
  return i == token.size();
}

std::optional<std::int64_t> small_whole(std::string_view token) {
  constexpr std::size_t kExactDigits = 15;
  if (token.empty() || token.size() > kExactDigits || (token.size() > 1 && token[0] == '0')) return std::nullopt;
  std::int64_t number = 0;
  for (const char c : token) {
    if (!is_digit(c)) return std::nullopt;
    number = number * 10 + (c - '0');
  }
  return number;
}

bool is_scalar(std::string_view token) {
  switch (token[0]) {
    case 't':
      return token == "true";
    case 'f':
      return token == "false";
    case 'n':
      return token == "null";
    default:
      return is_number(token);
  }
}

}  // namespace ccrules::json
