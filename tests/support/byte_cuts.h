#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ccrules::test {

/// Calls `check(pieces)` with the bytes whole, byte by byte, in pieces of 2, 3, 7 and 64 bytes, and cut in
/// two at every position (at every `step`-th position when the bytes are long). The pieces are copies that
/// end where they end, so that a reader that looks past its input is caught by AddressSanitizer.
template <class Check>
void for_every_cut(std::string_view bytes, Check&& check, std::size_t longest_exhaustive = 6000) {
  const auto in_pieces_of = [&](std::size_t size) {
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < bytes.size(); at += size) pieces.emplace_back(bytes.substr(at, size));
    return pieces;
  };
  check(std::vector<std::string>{std::string(bytes)});
  for (const std::size_t size : {1u, 2u, 3u, 7u, 64u}) check(in_pieces_of(size));
  const std::size_t step = bytes.size() <= longest_exhaustive ? 1 : bytes.size() / longest_exhaustive + 1;
  for (std::size_t at = 1; at < bytes.size(); at += step) {
    check(std::vector<std::string>{std::string(bytes.substr(0, at)), std::string(bytes.substr(at))});
  }
}

}  // namespace ccrules::test
