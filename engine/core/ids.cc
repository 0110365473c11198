#include "core/ids.h"

namespace ccrules::ids {

std::string make(std::string_view prefix, Random& random) {
  static constexpr char kAlphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  constexpr std::size_t kLength = 24;
  std::string id(prefix);
  id.reserve(prefix.size() + kLength);
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < kLength; ++i) {
    if (i % 8 == 0) bits = random.next();
    id += kAlphabet[(bits & 0xff) % 62];
    bits >>= 8;
  }
  return id;
}

}  // namespace ccrules::ids
