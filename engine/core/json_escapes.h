#pragma once
#include <cstdint>
#include <string_view>

/// The inside of JSON's string literals (RFC 8259, 7). Pointers are into one text; nothing is read at `end` or behind it.
namespace ccrules::json {

/// First backslash in [begin, end), or end.
[[nodiscard]] const char* find_backslash(const char* begin, const char* end);

/// First byte in [begin, end) that JSON writers spell in several ways, or may: no printable ASCII, or one of
/// \ " /; or end.
[[nodiscard]] const char* find_unplain(const char* begin, const char* end);

/// True when every escape in the inside of a string literal is one JSON knows. Control characters and UTF-8
/// were checked before.
[[nodiscard]] bool are_escapes_valid(const char* at, const char* end);

/// How the inside of a string literal is spelt; of several, the last of these words that is true of one.
enum class Spelling : std::uint8_t {
  kPlain,    ///< without escapes, and append_string() would write none
  kEscaped,  ///< with escapes, all of them the ones append_string() writes
  kOther     ///< in another way, or with escapes that are not JSON's
};
/// Control characters and UTF-8 were checked before.
[[nodiscard]] Spelling spelling_of(const char* at, const char* end);

/// Decodes the escape whose backslash is at `at` into `out` (room for 4 bytes); both pointers move behind it. False when it is not
/// JSON's. Halves of surrogate pairs become U+FFFD.
[[nodiscard]] bool unescape_one(const char*& at, const char* end, char*& out);

/// Decodes the inside of a string literal into `out`, which has room for end - at bytes. As unescape_one() does.
/// @return the end of what was written; nullptr when an escape is not JSON's.
[[nodiscard]] char* unescape(const char* at, const char* end, char* out);

/// True when the bytes are UTF-8; at simdjson's speed, so it lives where simdjson is known (json_index.cc).
[[nodiscard]] bool is_utf8(std::string_view bytes);

}  // namespace ccrules::json
