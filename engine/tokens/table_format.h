#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

/// Layout of the tokenizer tables that engine/tokens/generate makes when ccrules is built and that are
/// embedded read-only in the binary: nothing is loaded, copied or computed at start-up. Little-endian,
/// 64-byte aligned.
namespace ccrules::tokens::format {

inline constexpr std::uint32_t kMagic = 0x54434343;  ///< "CCCT"
inline constexpr std::uint32_t kNoToken = 0xFFFFFFFF;
inline constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
inline constexpr int kIdBits = 18;  ///< o200k has 199,998 ordinary tokens
inline constexpr std::uint64_t kIdMask = (1u << kIdBits) - 1;
inline constexpr std::size_t kTokenBytes = 128;  ///< longest token of either encoding

/// At the head of one encoding's table. Offsets are bytes from the head.
struct Header {
  std::uint32_t magic;
  std::uint32_t tokens;
  std::uint32_t filter_bits;  ///< log2 of the bits of the pair filter
  std::uint32_t pair_bits;    ///< log2 of the pair slots
  std::uint32_t word_bits;    ///< log2 of the word slots
  std::uint32_t bytes;        ///< of the whole table
  std::uint32_t single;       ///< u32[256]: token of one byte
  std::uint32_t double_;      ///< u32[65536]: token of two bytes (first * 256 + second) or kNoToken
  std::uint32_t filter;       ///< u64[]: one bit a pair; a pair whose bit is unset has no merge
  std::uint32_t pairs;        ///< u64[]: left, right, merged, kIdBits each; kEmpty
  std::uint32_t words;        ///< u64[]: see Word
  std::uint32_t blob;         ///< the bytes of all tokens, in order of id
  std::uint32_t reserved[4];
};
static_assert(sizeof(Header) == 64);

/// One slot of the word table: which token has exactly these bytes. `tag` are hash bits that spare most
/// comparisons.
struct Word {
  static constexpr int kOffsetBits = 21, kLengthBits = 8, kTagBits = 17;
  static constexpr std::uint64_t pack(std::uint64_t offset, std::uint64_t length, std::uint64_t id,
                                      std::uint64_t tag) {
    return offset | length << kOffsetBits | id << (kOffsetBits + kLengthBits) |
           tag << (kOffsetBits + kLengthBits + kIdBits);
  }
  static constexpr std::uint32_t offset(std::uint64_t slot) {
    return static_cast<std::uint32_t>(slot & ((1u << kOffsetBits) - 1));
  }
  static constexpr std::uint32_t length(std::uint64_t slot) {
    return static_cast<std::uint32_t>(slot >> kOffsetBits & ((1u << kLengthBits) - 1));
  }
  static constexpr std::uint32_t id(std::uint64_t slot) {
    return static_cast<std::uint32_t>(slot >> (kOffsetBits + kLengthBits) & kIdMask);
  }
  static constexpr std::uint64_t tag(std::uint64_t slot) {
    return slot >> (kOffsetBits + kLengthBits + kIdBits);
  }
};
static_assert(Word::kOffsetBits + Word::kLengthBits + kIdBits + Word::kTagBits == 64);

constexpr std::uint64_t pair_key(std::uint32_t left, std::uint32_t right) {
  return std::uint64_t{left} << kIdBits | right;
}
constexpr std::size_t pair_slot(std::uint64_t key, std::uint32_t bits) {
  return (key * 0x9E3779B97F4A7C15u) >> (64 - bits);
}
constexpr std::uint32_t filter_bit(std::uint64_t key, std::uint32_t bits) {
  return static_cast<std::uint32_t>((key * 0xD6E8FEB86659FD93u) >> (64 - bits));
}

/// Mixes two words into one; both halves of the product count.
inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

/// Hash of a token's bytes: the slot is its top bits, the tag its lowest kTagBits.
inline std::uint64_t word_hash(const unsigned char* bytes, std::size_t size) {
  std::uint64_t hash = size * 0x9E3779B97F4A7C15u;
  std::size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, bytes + at, 8);
    hash = mix(hash ^ eight, 0xA0761D6478BD642Fu);
  }
  std::uint64_t rest = 0;
  if (at < size) std::memcpy(&rest, bytes + at, size - at);
  return mix(hash ^ rest, 0xE7037ED1A0B428DBu);
}

/// What the pre-tokenizers' patterns ask of a code point. Unicode 16.0.
enum Class : std::uint8_t {
  kOther = 0,  ///< neither letter, mark, number nor white space
  kUpper,      ///< Lu, Lt
  kLower,      ///< Ll
  kLetter,     ///< Lm, Lo: upper and lower at once
  kMark,       ///< M
  kNumber,     ///< N
  kSpace,      ///< White_Space but for:
  kNewline,    ///< CR, LF
};

/// The table of classes: u16 index[kBlocks], then blocks of kBlock classes (u8).
inline constexpr std::size_t kBlock = 128;
inline constexpr std::size_t kBlocks = 0x110000 / kBlock;

}  // namespace ccrules::tokens::format
