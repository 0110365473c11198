#include "core/ids.h"

#include <array>
#include <cstdint>

namespace ccrules::ids {

std::string make(std::string_view prefix, Random& random) {
  static constexpr char kAlphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  constexpr std::size_t kLetters = sizeof kAlphabet - 1;
  std::array<char, 24> letters;
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < letters.size(); ++i) {
    if (i % 8 == 0) bits = random.next();
    letters[i] = kAlphabet[(bits & 0xff) * kLetters >> 8];
    bits >>= 8;
  }
  std::string id;
  id.reserve(prefix.size() + letters.size());
  id.append(prefix).append(letters.data(), letters.size());
  return id;
}

}  // namespace ccrules::ids
