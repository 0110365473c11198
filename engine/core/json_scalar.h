#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

/// What JSON's values look like that are no strings and hold no others (RFC 8259, 3 and 6).
namespace ccrules::json {

[[nodiscard]] inline bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
[[nodiscard]] inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// JSON's number grammar, whole token.
[[nodiscard]] bool is_number(std::string_view token);

/// The number when it is written as up to 15 digits and nothing else, as nearly all are; exact as a double too.
[[nodiscard]] std::optional<std::int64_t> small_whole(std::string_view token);

/// True of a number, true, false and null. `token` is not empty.
[[nodiscard]] bool is_scalar(std::string_view token);

}  // namespace ccrules::json
