#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

#include "tokens/table_format.h"

namespace ccrules::tokens {

/// The published encodings. Both cut text into pieces by a pattern and merge the bytes of each piece pair by
/// pair.
enum class Encoding : std::uint8_t {
  kCl100k,  ///< gpt-4, gpt-3.5
  kO200k,   ///< gpt-4o and everything of OpenAI since
};

/// Read-only view of one encoding's embedded table. Any thread.
class Table {
 public:
  static const Table& of(Encoding encoding) noexcept;

  [[nodiscard]] std::uint32_t single(unsigned char byte) const noexcept { return single_[byte]; }
  /// The token of two bytes, or format::kNoToken.
  [[nodiscard]] std::uint32_t of_bytes(unsigned char first, unsigned char second) const noexcept {
    return double_[first * std::size_t{256} + second];
  }
  /// What two neighbouring tokens merge into, or format::kNoToken. Its id is also the merge's rank.
  [[nodiscard]] std::uint32_t merged(std::uint32_t left, std::uint32_t right) const noexcept {
    const std::uint64_t key = format::pair_key(left, right);
    const std::uint32_t bit = format::filter_bit(key, filter_bits_);
    if ((filter_[bit / 64] >> bit % 64 & 1) == 0) return format::kNoToken;
    const std::size_t mask = (std::size_t{1} << pair_bits_) - 1;
    for (std::size_t slot = format::pair_slot(key, pair_bits_);; slot = (slot + 1) & mask) {
      const std::uint64_t pair = pairs_[slot];
      if (pair >> format::kIdBits == key) return static_cast<std::uint32_t>(pair & format::kIdMask);
      if (pair == format::kEmpty) return format::kNoToken;
    }
  }
  /// The token with exactly these bytes, or format::kNoToken.
  [[nodiscard]] std::uint32_t whole(const unsigned char* bytes, std::size_t size) const noexcept {
    if (size > format::kTokenBytes) return format::kNoToken;
    const std::uint64_t hash = format::word_hash(bytes, size);
    const std::uint64_t tag = hash & ((1u << format::Word::kTagBits) - 1);
    const std::size_t mask = (std::size_t{1} << word_bits_) - 1;
    for (std::size_t slot = hash >> (64 - word_bits_);; slot = (slot + 1) & mask) {
      const std::uint64_t word = words_[slot];
      if (word == format::kEmpty) return format::kNoToken;
      if (format::Word::tag(word) == tag && format::Word::length(word) == size &&
          std::memcmp(blob_ + format::Word::offset(word), bytes, size) == 0)
        return format::Word::id(word);
    }
  }
  [[nodiscard]] std::uint32_t tokens() const noexcept { return tokens_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  explicit Table(const unsigned char* embedded) noexcept;
  const std::uint32_t* single_;
  const std::uint32_t* double_;
  const std::uint64_t* filter_;
  const std::uint64_t* pairs_;
  const std::uint64_t* words_;
  const unsigned char* blob_;
  std::uint32_t filter_bits_, pair_bits_, word_bits_, tokens_, bytes_;
};

/// The class of a code point below U+110000.
format::Class class_of(std::uint32_t code_point) noexcept;

}  // namespace ccrules::tokens
