#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "http/message.h"

/// Writing heads; but for reason_phrase() private to http/.
namespace ccrules::http {

/// Appends the fields, except those that the writer decides itself (content-length, transfer-encoding,
/// connection, keep-alive, host of requests) and those that are not a legal field: a value with CR, LF or NUL
/// would be another field, or another message.
void append_fields(std::string& out, const Headers& headers, bool skip_host);
/// True for the fields that append_fields() writes.
[[nodiscard]] bool is_writable_field(std::string_view name, std::string_view value, bool skip_host) noexcept;
void append_field(std::string& out, std::string_view name, std::string_view value);
void append_number(std::string& out, std::uint64_t number);
/// "1a3" and CR LF.
void append_chunk_size(std::string& out, std::size_t bytes);
[[nodiscard]] std::string_view reason_phrase(int status) noexcept;
/// True when `text` can stand in a request line: no blanks, no control characters, not empty.
[[nodiscard]] bool is_plain_token(std::string_view text) noexcept;

}  // namespace ccrules::http
