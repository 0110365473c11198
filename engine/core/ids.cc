#include "core/ids.h"

#include <array>
#include <cstdint>

namespace ccrules::ids {

std::string make(std::string_view prefix, Random& random) {
  static constexpr char kAlphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  constexpr std::size_t kLetters = sizeof kAlphabet - 1;
  std::array<char, 24> letters;
  for (std::size_t begin = 0; begin < letters.size(); begin += 8) {
    std::uint64_t bits = random.next();
    for (std::size_t i = begin; i < begin + 8; ++i, bits >>= 8) letters[i] = kAlphabet[(bits & 0xff) * kLetters >> 8];
  }
  std::string id;
  id.reserve(prefix.size() + letters.size());
  id.append(prefix).append(letters.data(), letters.size());
  return id;
}

}  // namespace ccrules::ids
