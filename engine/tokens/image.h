#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "tokens/family.h"

namespace ccrules::tokens {

struct ImageSize {
  std::int64_t width = 0, height = 0;  ///< pixels, > 0
};

/// Reads the size out of the head of a PNG, JPEG, GIF or WebP given as base64; nothing else is decoded.
/// nullopt when it is none of these or broken.
std::optional<ImageSize> image_size(std::string_view base64) noexcept;

/// What the family's provider bills for a picture; `size` unknown: a usual one.
std::int64_t image_tokens(const Family& family, std::optional<ImageSize> size,
                          bool low_detail = false) noexcept;

}  // namespace ccrules::tokens
