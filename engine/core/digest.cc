#include "core/digest.h"

#include <array>

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>  // the widest vectors that the processor has: twice as fast
#endif

namespace ccrules::digest {

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Hash128 hash128(std::string_view bytes, std::uint64_t seed) noexcept {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {hash.low64, hash.high64};
}

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> hash{};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), hash.data());
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * hash.size());
  for (const unsigned char byte : hash) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

bool equal_constant_time(std::string_view a, std::string_view b) noexcept {
  // The lengths are compared through the hashes, so that not even they can be timed.
  std::array<unsigned char, SHA256_DIGEST_LENGTH> hash_a{};
  std::array<unsigned char, SHA256_DIGEST_LENGTH> hash_b{};
  SHA256(reinterpret_cast<const unsigned char*>(a.data()), a.size(), hash_a.data());
  SHA256(reinterpret_cast<const unsigned char*>(b.data()), b.size(), hash_b.data());
  return CRYPTO_memcmp(hash_a.data(), hash_b.data(), hash_a.size()) == 0;
}

}  // namespace ccrules::digest
