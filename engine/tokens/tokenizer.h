#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "tokens/merge.h"
#include "tokens/table.h"

namespace ccrules::tokens {

/// Counts and encodes text exactly as npm tiktoken's encode_ordinary does (text that looks like a special
/// token is plain text). Keeps the counts of words it has met: one per thread and encoding, about 700 KB
/// each.
class Tokenizer {
 public:
  /// `seed` keys the hashes of long pieces, so that nobody can prepare two texts that are taken for one.
  explicit Tokenizer(Encoding encoding, std::uint64_t seed = 0);
  /// The calling thread's own, made on first use.
  static Tokenizer& local(Encoding encoding);

  /// Any bytes: those that are no UTF-8 are symbols of one byte each. Linear time; no allocation for pieces
  /// up to Merger::kWindow bytes.
  std::int64_t count(std::string_view text);
  /// Ids in order, appended.
  void encode(std::string_view text, std::vector<std::uint32_t>& out);

 private:
  static constexpr int kWordBits = 15;
  static constexpr std::size_t kWordBytes = 14;  ///< words longer than this go to long_
  static constexpr int kLongBits = 12;
  struct Word {
    std::uint64_t low, high;  ///< bytes; the top two bytes of `high`: size, count
  };
  struct Long {
    std::uint64_t low, high;
    std::uint32_t size, count;
  };

  template <Encoding encoding>
  std::int64_t count_pieces(const unsigned char* at, const unsigned char* end);
  std::uint32_t piece(const unsigned char* at, std::size_t size, const unsigned char* end);
  std::uint32_t new_word(const unsigned char* at, std::size_t size);
  std::size_t long_piece(const unsigned char* at, std::size_t size);

  Encoding encoding_;
  std::uint64_t seed_;
  const Table& table_;
  Merger merger_;
  std::unique_ptr<std::array<Word, std::size_t{1} << kWordBits>> words_;
  std::unique_ptr<std::array<Long, std::size_t{1} << kLongBits>> long_;
};

}  // namespace ccrules::tokens
