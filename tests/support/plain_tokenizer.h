#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokens/table.h"

namespace ccrules::test {

/// The encodings once more, written for being read: alternatives tried in the pattern's order over decoded
/// characters, merges found by looking at all pairs again and again. Quadratic. Shares nothing with
/// tokens::Tokenizer but its tables.
std::vector<std::uint32_t> plain_encode(tokens::Encoding encoding, std::string_view text);

}  // namespace ccrules::test
