#pragma once
#include <cstdint>
#include <string_view>

#include "chat/outline.h"

/// Prompt size the way providers bill it, from byte counts alone: what every request can afford. Where a
/// decision hangs on it, tokens/prompt.h counts block by block (docs/tokens.md).
namespace ccrules::tokens {

enum class Grade : std::uint8_t {
  kExact,     ///< the model's own tokenizer, text only
  kAnchored,  ///< the provider's count of a known beginning and ours of what is new
  kEstimated
};
/// "exact", "anchored", "estimated".
std::string_view grade_name(Grade grade) noexcept;

struct Count {
  std::int64_t tokens = 0;  ///< >= 1 for any request
  Grade grade = Grade::kEstimated;
  std::int64_t p95 = 0;  ///< tokens: 95 of 100 such counts are not further off
};

/// Of the whole prompt, as the tokenizer of the model the request names would cut it. Pure, any thread, no
/// allocation, O(1) in the prompt: the outline already holds the sums.
Count count(const chat::Outline& request) noexcept;
/// Tokens of plain text of which only the size is known, for output estimates of cut streams; 0 for none. `model` chooses the
/// tokenizer's family; without it, current Claude models are meant.
std::int64_t count_bytes(std::int64_t text_bytes, std::string_view model = {}) noexcept;

}  // namespace ccrules::tokens
