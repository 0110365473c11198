#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace ccrules::digest {

/// Fast 64-bit hash (XXH3), stable across runs and machines. Not for secrets.
std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0) noexcept;
/// Lower-case hex SHA-256.
std::string sha256_hex(std::string_view bytes);
/// True when both are equal; takes the same time whatever differs. For keys.
bool equal_constant_time(std::string_view a, std::string_view b) noexcept;

}  // namespace ccrules::digest
