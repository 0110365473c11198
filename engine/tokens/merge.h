#pragma once
#include <cstdint>
#include <vector>

#include "tokens/table.h"

namespace ccrules::tokens {

/// A token of a piece: its id and where it ends, counted from the piece's first byte.
struct Token {
  std::uint32_t id;
  std::uint32_t end;
};

/// Merges the bytes of one piece: of all neighbouring pairs the one with the lowest rank first, the leftmost
/// of equals, until no pair has a merge. Appends the tokens. Time is linear in the size whatever the bytes
/// are: long pieces are merged in windows, and a seam is only kept when its two tokens merge to themselves,
/// which for these encodings (every token is made by its own merges) proves the whole. Any thread.
class Merger {
 public:
  explicit Merger(const Table& table) : table_(table) {}
  void merge(const unsigned char* bytes, std::size_t size, std::vector<Token>& out);
  [[nodiscard]] std::size_t count(const unsigned char* bytes, std::size_t size);

  static constexpr std::size_t kWindow =
      512;  ///< bytes merged at once: what fits the first cache with its keys

 private:
  std::size_t window(const unsigned char* bytes, std::size_t size, Token* out) const;
  std::size_t heap_window(const unsigned char* bytes, std::size_t size);
  [[nodiscard]] bool stands(const unsigned char* bytes, Token left, std::uint32_t left_begin,
                            Token right) const;
  /// Merges a piece longer than a window; gives each part's tokens to `take` once they are settled.
  template <class Take>
  void pieces(const unsigned char* bytes, std::size_t size, const Take& take);

  const Table& table_;
  std::vector<Token> settled_;  ///< of the long piece at hand: tokens that a seam may still undo
  std::vector<Token> wide_;     ///< of a window wider than kWindow
};

}  // namespace ccrules::tokens
