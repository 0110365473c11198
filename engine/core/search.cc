#include "core/search.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include "core/vectors.h"

namespace ccrules {
namespace {

constexpr std::size_t kStride = 64;
constexpr std::size_t kBlock = 4 * kStride;  ///< One look at the result, and one turn of the loop, for so many bytes.

/// The last two bytes of a needle, each all over a vector.
template <std::size_t kWidth>
struct Pair {
  typename Vector<kWidth>::Bytes first, second;
};

/// Marks where pairs begin in a vector's worth of text.
template <std::size_t kWidth, std::size_t kNeedles>
CCR_INLINED void mark(typename Vector<kWidth>::Bytes& found, const char* from, const std::array<Pair<kWidth>, kNeedles>& pairs) {
  using Bytes = typename Vector<kWidth>::Bytes;
  Bytes here;
  Bytes next;
  load(here, from);
  load(next, from + 1);
  for (const Pair<kWidth>& pair : pairs) found |= reinterpret_cast<Bytes>((here == pair.first) & (next == pair.second));
}

template <std::size_t kWidth, std::size_t kNeedles, std::size_t... kParts>
CCR_INLINED bool holds_pair(const char* from, const std::array<Pair<kWidth>, kNeedles>& pairs, std::index_sequence<kParts...> /*parts*/) {
  typename Vector<kWidth>::Bytes found{};
  (mark<kWidth>(found, from + kParts * kWidth, pairs), ...);  // no loop: g++ leaves one as it is at -O2
  return any(found);
}

/// True when one of the pairs begins somewhere in `kBytes`.
template <std::size_t kBytes, std::size_t kWidth, std::size_t kNeedles>
CCR_INLINED bool holds_pair(const char* from, const std::array<Pair<kWidth>, kNeedles>& pairs) {
  return holds_pair<kWidth>(from, pairs, std::make_index_sequence<kBytes / kWidth>());
}

/// True when one of the needles ends with a pair that begins in text[from, end).
bool ends_within(std::string_view text, std::size_t from, std::size_t end, std::span<const std::string_view> needles) {
  for (const std::string_view needle : needles) {
    const std::size_t before = needle.size() - 2;
    for (std::size_t at = std::max(from, before); at < end; ++at) {
      if (text.substr(at - before, needle.size()) == needle) return true;
    }
  }
  return false;
}

template <std::size_t kWidth, std::size_t kNeedles>
CCR_INLINED bool search(std::string_view text, const std::array<std::string_view, kNeedles>& needles) {
  if (text.size() <= kStride) return ends_within(text, 0, text.size(), needles);
  std::array<Pair<kWidth>, kNeedles> pairs;
  for (std::size_t i = 0; i < kNeedles; ++i) {
    const std::string_view needle = needles[i];
    pairs[i].first = typename Vector<kWidth>::Bytes{} + each(needle[needle.size() - 2]);
    pairs[i].second = typename Vector<kWidth>::Bytes{} + each(needle[needle.size() - 1]);
  }
  const std::size_t last = text.size() - kStride - 1;  // the last stride looks again at what the one before it saw
  for (std::size_t at = 0; at < text.size() - 1; at += kStride) {
    while (at + kBlock < text.size() && !holds_pair<kBlock>(text.data() + at, pairs)) at += kBlock;
    const std::size_t from = std::min(at, last);
    if (holds_pair<kStride>(text.data() + from, pairs) && ends_within(text, from, from + kStride, needles)) return true;
  }
  return false;
}

template <std::size_t kNeedles>
bool search_anywhere(std::string_view text, const std::array<std::string_view, kNeedles>& needles) {
  return search<16, kNeedles>(text, needles);
}

#if defined(__x86_64__)
template <std::size_t kNeedles>
[[gnu::target("avx2")]] bool search_avx2(std::string_view text, const std::array<std::string_view, kNeedles>& needles) {
  return search<32, kNeedles>(text, needles);
}
#endif

template <std::size_t kNeedles>
bool holds_any(std::string_view text, const std::array<std::string_view, kNeedles>& needles) {
#if defined(__x86_64__)
  if (has_avx2()) return search_avx2(text, needles);
#endif
  return search_anywhere(text, needles);
}

}  // namespace

bool holds_rare(std::string_view text, std::string_view needle) noexcept { return holds_any<1>(text, {needle}); }

bool holds_either_rare(std::string_view text, std::string_view needle, std::string_view other) noexcept {
  return holds_any<2>(text, {needle, other});
}

}  // namespace ccrules
