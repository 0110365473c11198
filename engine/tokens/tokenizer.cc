#include "tokens/tokenizer.h"

#include <bit>

#include "core/digest.h"
#include "tokens/pieces.h"
#include "tokens/seed.h"

namespace ccrules::tokens {

Tokenizer::Tokenizer(Encoding encoding, std::uint64_t seed)
    : encoding_(encoding),
      seed_(seed),
      table_(Table::of(encoding)),
      merger_(table_),
      words_(std::make_unique<std::array<Word, std::size_t{1} << kWordBits>>()),
      long_(std::make_unique<std::array<Long, std::size_t{1} << kLongBits>>()) {}

Tokenizer& Tokenizer::local(Encoding encoding) {
  thread_local std::array<std::unique_ptr<Tokenizer>, 2> own;
  std::unique_ptr<Tokenizer>& tokenizer = own[static_cast<std::size_t>(encoding)];
  if (tokenizer == nullptr) tokenizer = std::make_unique<Tokenizer>(encoding, process_seed());
  return *tokenizer;
}

std::int64_t Tokenizer::count(std::string_view text) {
  const auto* begin = static_cast<const unsigned char*>(static_cast<const void*>(text.data()));
  const unsigned char* end = begin + text.size();
  return encoding_ == Encoding::kCl100k ? count_pieces<Encoding::kCl100k>(begin, end)
                                        : count_pieces<Encoding::kO200k>(begin, end);
}

template <Encoding encoding>
std::int64_t Tokenizer::count_pieces(const unsigned char* at, const unsigned char* end) {
  std::int64_t total = 0;
  while (at < end) {
    const unsigned char* after = piece_end<encoding>(at, end);
    const auto size = static_cast<std::size_t>(after - at);
    total += size <= kWordBytes ? piece(at, size, end) : static_cast<std::int64_t>(long_piece(at, size));
    at = after;
  }
  return total;
}

/// A word of at most kWordBytes: its bytes are its key.
inline std::uint32_t Tokenizer::piece(const unsigned char* at, std::size_t size, const unsigned char* end) {
  if (size == 1) return 1;
  std::uint64_t low = 0, high = 0;
  if (end - at >= 16) {
    std::memcpy(&low, at, 8);
    if (size <= 8) {
      low &= ~std::uint64_t{0} >> (64 - 8 * size);
    } else {
      std::memcpy(&high, at + 8, 8);
      high &= ~std::uint64_t{0} >> (64 - 8 * (size - 8));
    }
  } else {
    std::memcpy(&low, at, size < 8 ? size : 8);
    if (size > 8) std::memcpy(&high, at + 8, size - 8);
  }
  const std::uint64_t key = high | std::uint64_t{size} << 56;
  Word& word =
      (*words_)[format::mix(low ^ 0x9E3779B97F4A7C15u, key ^ 0xD1B54A32D192ED03u) >> (64 - kWordBits)];
  if (word.low == low && (word.high & 0xFF00FFFFFFFFFFFFu) == key)
    return static_cast<std::uint32_t>(word.high >> 48 & 0xFF);
  const std::uint32_t count = new_word(at, size);
  word = {low, key | std::uint64_t{count} << 48};
  return count;
}

std::uint32_t Tokenizer::new_word(const unsigned char* at, std::size_t size) {
  if (table_.whole(at, size) != format::kNoToken) return 1;
  return static_cast<std::uint32_t>(merger_.count(at, size));
}

std::size_t Tokenizer::long_piece(const unsigned char* at, std::size_t size) {
  if (size > Merger::kWindow) return merger_.count(at, size);
  const digest::Hash128 hash =
      digest::hash128({static_cast<const char*>(static_cast<const void*>(at)), size}, seed_);
  Long& known = (*long_)[hash.high >> (64 - kLongBits)];
  if (known.low == hash.low && known.high == hash.high && known.size == size) return known.count;
  const std::uint32_t count = new_word(at, size);
  known = {hash.low, hash.high, static_cast<std::uint32_t>(size), count};
  return count;
}

void Tokenizer::encode(std::string_view text, std::vector<std::uint32_t>& out) {
  const auto* at = static_cast<const unsigned char*>(static_cast<const void*>(text.data()));
  const unsigned char* end = at + text.size();
  std::vector<Token> tokens;
  while (at < end) {
    const unsigned char* after = encoding_ == Encoding::kCl100k ? piece_end<Encoding::kCl100k>(at, end)
                                                                : piece_end<Encoding::kO200k>(at, end);
    tokens.clear();
    merger_.merge(at, static_cast<std::size_t>(after - at), tokens);
    for (const Token& token : tokens) out.push_back(token.id);
    at = after;
  }
}

}  // namespace ccrules::tokens
