#include "core/search.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ccrules {

bool holds_rare(std::string_view text, std::string_view needle) noexcept {
  // g++ and clang make vector instructions of this type on every processor; of a plain loop only some do.
  using Bytes = unsigned char __attribute__((vector_size(16)));
  constexpr std::size_t kStride = 64;
  const std::size_t before = needle.size() - 2;
  const auto first = static_cast<unsigned char>(needle[before]);
  const auto second = static_cast<unsigned char>(needle[before + 1]);
  const auto begins_at = [&](std::size_t at) {
    return at >= before && text.substr(at - before, needle.size()) == needle;
  };
  std::size_t at = 0;
  for (; at + kStride < text.size(); at += kStride) {
    Bytes pairs{};
    for (std::size_t part = 0; part < kStride; part += sizeof(Bytes)) {
      Bytes here;
      Bytes next;
      std::memcpy(&here, text.data() + at + part, sizeof(Bytes));
      std::memcpy(&next, text.data() + at + part + 1, sizeof(Bytes));
      pairs |= reinterpret_cast<Bytes>((here == first) & (next == second));
    }
    std::uint64_t halves[2];
    std::memcpy(halves, &pairs, sizeof(halves));
    if ((halves[0] | halves[1]) == 0) continue;
    for (std::size_t i = 0; i < kStride; ++i) {
      if (begins_at(at + i)) return true;
    }
  }
  for (; at + 1 < text.size(); ++at) {
    if (begins_at(at)) return true;
  }
  return false;
}

}  // namespace ccrules
