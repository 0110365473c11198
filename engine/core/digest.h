#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace ccrules::digest {

/// Fast 64-bit hash (XXH3), stable across runs and machines. Not for secrets.
std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0) noexcept;
/// Fast 128-bit hash (XXH3), for keys of caches: with a secret seed nobody can prepare two inputs of one hash.
struct Hash128 {
  std::uint64_t low = 0, high = 0;
  bool operator==(const Hash128&) const = default;
};
Hash128 hash128(std::string_view bytes, std::uint64_t seed) noexcept;
/// Lower-case hex SHA-256.
std::string sha256_hex(std::string_view bytes);
/// True when both are equal; takes the same time whatever differs. For keys.
bool equal_constant_time(std::string_view a, std::string_view b) noexcept;

}  // namespace ccrules::digest
