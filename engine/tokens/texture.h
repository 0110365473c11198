#pragma once
#include <cstdint>
#include <string_view>

#include "tokens/family.h"

namespace ccrules::tokens {

/// How many tokens of `family` one o200k token of this text stands for; 1 for families that are exact. Fitted
/// on what is published about each kind of text (docs/tokens.md): the shares of capitals, digits, symbols,
/// indentation and scripts tell the kinds apart. Looks at no more than limits::kTextureBytes bytes.
double ratio_of(const Family& family, std::string_view text, std::int64_t o200k_tokens) noexcept;

}  // namespace ccrules::tokens
