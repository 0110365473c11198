#include "core/search.h"

#include <algorithm>
#include <cstddef>
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

/// Marks where the pair begins in a vector's worth of text.
template <std::size_t kWidth>
CCR_INLINED void mark(typename Vector<kWidth>::Bytes& found, const char* from, const Pair<kWidth>& pair) {
  using Bytes = typename Vector<kWidth>::Bytes;
  Bytes here;
  Bytes next;
  load(here, from);
  load(next, from + 1);
  found |= reinterpret_cast<Bytes>((here == pair.first) & (next == pair.second));
}

template <std::size_t kWidth, std::size_t... kParts>
CCR_INLINED bool holds_pair(const char* from, const Pair<kWidth>& pair, std::index_sequence<kParts...> /*parts*/) {
  typename Vector<kWidth>::Bytes found{};
  (mark<kWidth>(found, from + kParts * kWidth, pair), ...);  // no loop: g++ leaves one as it is at -O2
  return any(found);
}

/// True when the pair begins somewhere in `kBytes`.
template <std::size_t kBytes, std::size_t kWidth>
CCR_INLINED bool holds_pair(const char* from, const Pair<kWidth>& pair) {
  return holds_pair<kWidth>(from, pair, std::make_index_sequence<kBytes / kWidth>());
}

/// True when the needle ends with a pair that begins in text[from, end).
bool ends_within(std::string_view text, std::size_t from, std::size_t end, std::string_view needle) {
  const std::size_t before = needle.size() - 2;
  for (std::size_t at = std::max(from, before); at < end; ++at) {
    if (text.substr(at - before, needle.size()) == needle) return true;
  }
  return false;
}

template <std::size_t kWidth>
CCR_INLINED bool search(std::string_view text, std::string_view needle) {
  if (text.size() <= kStride) return ends_within(text, 0, text.size(), needle);
  Pair<kWidth> pair;
  pair.first = typename Vector<kWidth>::Bytes{} + each(needle[needle.size() - 2]);
  pair.second = typename Vector<kWidth>::Bytes{} + each(needle[needle.size() - 1]);
  const std::size_t last = text.size() - kStride - 1;  // the last stride looks again at what the one before it saw
  for (std::size_t at = 0; at < text.size() - 1; at += kStride) {
    while (at + kBlock < text.size() && !holds_pair<kBlock>(text.data() + at, pair)) at += kBlock;
    const std::size_t from = std::min(at, last);
    if (holds_pair<kStride>(text.data() + from, pair) && ends_within(text, from, from + kStride, needle)) return true;
  }
  return false;
}

bool search_anywhere(std::string_view text, std::string_view needle) { return search<16>(text, needle); }

#if defined(__x86_64__)
[[gnu::target("avx2")]] bool search_avx2(std::string_view text, std::string_view needle) { return search<32>(text, needle); }
#endif

}  // namespace

bool holds_rare(std::string_view text, std::string_view needle) noexcept {
#if defined(__x86_64__)
  if (has_avx2()) return search_avx2(text, needle);
#endif
  return search_anywhere(text, needle);
}

}  // namespace ccrules
