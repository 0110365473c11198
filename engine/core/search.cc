#include "core/search.h"

#include <algorithm>
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
  const auto holds_pair = [&](const char* from) {
    Bytes pairs{};
    for (std::size_t part = 0; part < kStride; part += sizeof(Bytes)) {
      Bytes here;
      Bytes next;
      std::memcpy(&here, from + part, sizeof(Bytes));
      std::memcpy(&next, from + part + 1, sizeof(Bytes));
      pairs |= reinterpret_cast<Bytes>((here == first) & (next == second));
    }
    std::uint64_t halves[2];
    std::memcpy(halves, &pairs, sizeof(halves));
    return (halves[0] | halves[1]) != 0;
  };
  const auto begins_within = [&](std::size_t from, std::size_t end) {
    for (std::size_t at = from; at < end; ++at) {
      if (at >= before && text.substr(at - before, needle.size()) == needle) return true;
    }
    return false;
  };
  if (text.size() <= kStride) return begins_within(0, text.size());
  const std::size_t last = text.size() - kStride - 1;  // the last stride looks again at what the one before it saw
  for (std::size_t at = 0; at < text.size() - 1; at += kStride) {
    const std::size_t from = std::min(at, last);
    if (holds_pair(text.data() + from) && begins_within(from, from + kStride)) return true;
  }
  return false;
}

}  // namespace ccrules
