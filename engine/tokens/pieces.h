#pragma once
#include "tokens/table.h"

namespace ccrules::tokens {

/// The pre-tokenizers: where the piece that begins at `at` ends. They do by hand what the encodings'
/// published regular expressions do (npm tiktoken 1.0.22, encoders/*.json, pat_str), with Unicode 16.0
/// classes. `at` < `end`; a byte that is no UTF-8 is a piece's character of class kOther. Linear over a text:
/// what is looked at twice is bounded.
template <Encoding encoding>
const unsigned char* piece_end(const unsigned char* at, const unsigned char* end) noexcept;

extern template const unsigned char* piece_end<Encoding::kCl100k>(const unsigned char*,
                                                                  const unsigned char*) noexcept;
extern template const unsigned char* piece_end<Encoding::kO200k>(const unsigned char*,
                                                                 const unsigned char*) noexcept;

/// One character of UTF-8 text: its class and size; an ill-formed byte is kOther and 1.
struct Character {
  format::Class kind;
  std::uint32_t size;
};
Character character_at(const unsigned char* at, const unsigned char* end) noexcept;

}  // namespace ccrules::tokens
