#pragma once
#include <array>
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

  static constexpr std::size_t kWindow = 256;  ///< bytes merged at once: twice the longest token

 private:
  std::size_t word(const unsigned char* bytes, std::size_t size, Token* out) const;
  std::size_t window(const unsigned char* bytes, std::size_t size, Token* out) const;
  std::size_t heap_window(const unsigned char* bytes, std::size_t size);
  /// window(), or what it gave for the same bytes just before: most long runs repeat themselves.
  std::size_t narrow_window(const unsigned char* bytes, std::size_t size);
  [[nodiscard]] bool stands(const unsigned char* bytes, Token left, std::uint32_t left_begin, Token right);
  /// Merges a piece longer than a window; gives each part's tokens to `take` once they are settled.
  template <class Take>
  void pieces(const unsigned char* bytes, std::size_t size, const Take& take);

  const Table& table_;
  std::vector<Token> settled_;           ///< of the long piece at hand: tokens that a seam may still undo
  std::array<Token, kWindow> narrow_{};  ///< of the last window,
  std::array<unsigned char, kWindow> same_{};  ///< its bytes
  std::size_t same_size_ = 0, same_count_ = 0;
  std::uint32_t seam_left_ = format::kNoToken,
                seam_right_ = format::kNoToken;  ///< the last seam that was checked
  bool seam_stands_ = false;
  std::vector<Token> wide_;  ///< of a window wider than kWindow
};

}  // namespace ccrules::tokens
