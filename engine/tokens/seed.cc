#include "tokens/seed.h"

#include <random>

namespace ccrules::tokens {

std::uint64_t process_seed() {
  static const std::uint64_t seed = [] {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
  }();
  return seed;
}

}  // namespace ccrules::tokens
