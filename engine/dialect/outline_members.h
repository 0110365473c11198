#pragma once
#include <cstdint>
#include <string_view>

#include "chat/outline.h"
#include "core/json.h"
#include "core/result.h"

/// What the outlines of several dialects read alike.
namespace ccrules::dialect {

/// Bytes between the quotes of a string literal.
[[nodiscard]] constexpr std::int64_t inner_bytes(std::string_view literal) noexcept {
  return static_cast<std::int64_t>(literal.size()) - 2;
}

/// `model`: a string, and where it stands.
Result<void> read_model(json::Value& value, chat::Outline& outline);
/// OpenAI's `stream_options`, an object: whether the client wants usage in its stream. Other types of its member are not read.
Result<void> read_stream_options(json::Value& value, chat::Outline& outline);

}  // namespace ccrules::dialect
