#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Small text functions that several modules need. ASCII rules unless said otherwise.
namespace ccrules::text {

bool equals_ignore_case(std::string_view a, std::string_view b) noexcept;
bool starts_with_ignore_case(std::string_view text, std::string_view prefix) noexcept;
/// True when `needle` occurs in `text`, ASCII case ignored.
bool contains_ignore_case(std::string_view text, std::string_view needle) noexcept;
std::string lower(std::string_view text);
/// Empties a text and frees its memory, which assigning an empty one keeps.
inline void give_back(std::string& text) noexcept { std::string().swap(text); }
std::string_view trim(std::string_view text) noexcept;
/// Whole-string decimal number, no sign but '-', no blanks; nullopt otherwise or on overflow.
std::optional<std::int64_t> to_int(std::string_view text) noexcept;
std::vector<std::string_view> split(std::string_view text, char separator);

/// Glob: `*` any run (also empty), `?` one byte, everything else itself; no classes, no escape.
/// Linear in text*stars, no recursion.
bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case = false) noexcept;
[[nodiscard]] bool is_glob(std::string_view pattern) noexcept;

/// The candidate nearest to `word` by edit distance, when near enough to be a typing error; empty otherwise.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

/// Replaces every byte sequence that is not UTF-8 by U+FFFD.
std::string to_valid_utf8(std::string_view bytes);
[[nodiscard]] bool is_valid_utf8(std::string_view bytes) noexcept;

}  // namespace ccrules::text
