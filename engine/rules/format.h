#pragma once
#include <string>
#include <string_view>

#include "core/result.h"

/// Lays out rule files: indentation, blanks between words, blank lines. Line breaks, comments, quotes and columns that were
/// aligned on purpose stay. Formatting twice gives the same as once, and the meaning never changes: Lua must compile to the same
/// code, JSON must keep every token.
namespace ccrules::rules {

/// Error: "12: unexpected symbol near 'x'" when it is not Lua; nothing is formatted then.
Result<std::string> format_lua(std::string_view source);
/// JSON, with comments and trailing commas where they were.
Result<std::string> format_json(std::string_view source);

}  // namespace ccrules::rules
