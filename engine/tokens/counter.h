#pragma once
#include <cstdint>
#include <string_view>

#include "chat/outline.h"

/// Prompt size the way providers bill it. This build estimates from byte counts (docs/tokens.md states the
/// error); the interface stays when exact tables arrive.
namespace ccrules::tokens {

enum class Grade : std::uint8_t { kExact, kAnchored, kEstimated };

struct Count {
  std::int64_t tokens = 0;  ///< >= 1 for any request
  Grade grade = Grade::kEstimated;
};

/// Pure, any thread, O(1): the outline already holds the sums.
Count count(const chat::Outline& request) noexcept;
/// Tokens of plain text, for `ccrules explain` and output estimates of cut streams.
std::int64_t count_text(std::string_view utf8) noexcept;

}  // namespace ccrules::tokens
