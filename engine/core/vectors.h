#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

/// Looking at many bytes at once, with the widest vectors that the processor has. What is written here once
/// is compiled for each kind of processor: a function template of the vector's width, marked CCR_INLINED,
/// called by one function a width.
namespace ccrules {

/// Inlined into a function for each kind of processor, with the vectors that one has.
#define CCR_INLINED [[gnu::always_inline]] inline

/// g++ and clang make vector instructions of these types on every processor; of a plain loop only some do.
template <std::size_t kWidth>
struct Vector;
template <>
struct Vector<16> {
  using Bytes = unsigned char __attribute__((vector_size(16)));
};
template <>
struct Vector<32> {
  using Bytes = unsigned char __attribute__((vector_size(32)));
};

/// No function here returns a vector: what has none would have to be told how.
template <class Bytes>
CCR_INLINED void load(Bytes& bytes, const char* from) {
  std::memcpy(&bytes, from, sizeof bytes);
}

/// For comparing: every byte of a vector with this one.
constexpr unsigned char each(char byte) {
  return static_cast<unsigned char>(byte);
}

/// True when a byte is not 0.
template <class Bytes>
CCR_INLINED bool any(const Bytes& bytes) {
  std::array<std::uint64_t, sizeof(Bytes) / sizeof(std::uint64_t)> parts;
  std::memcpy(parts.data(), &bytes, sizeof bytes);
  std::uint64_t set = 0;
  for (const std::uint64_t part : parts) set |= part;
  return set != 0;
}

#if defined(__x86_64__)
inline bool has_avx2() noexcept {
  static const bool known = __builtin_cpu_supports("avx2") != 0;
  return known;
}
#endif

}  // namespace ccrules
