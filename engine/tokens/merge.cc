#include "tokens/merge.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <queue>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "core/assert.h"
#include "core/limits.h"

namespace ccrules::tokens {
namespace {

constexpr std::size_t kGroup = 16;  ///< keys whose least is kept
constexpr int kIndexBits = 8;       ///< of a position in a window
constexpr std::int32_t kNoKey = INT32_MAX;
static_assert(Merger::kWindow == std::size_t{1} << kIndexBits);
static_assert(format::kIdBits + kIndexBits < 31);
static_assert(Merger::kWindow == kGroup * kGroup && Merger::kWindow >= 2 * format::kTokenBytes);

/// Rank and position of a pair; its order is the order of merging.
std::int32_t key_of(std::uint32_t rank, std::size_t position) {
  return rank == format::kNoToken
             ? kNoKey
             : static_cast<std::int32_t>(rank << kIndexBits | static_cast<std::uint32_t>(position));
}

/// The least of kGroup keys (16-byte aligned).
#if defined(__SSE2__)
__m128i lesser(__m128i a, __m128i b) {
  const __m128i a_is_less = _mm_cmplt_epi32(a, b);
  return _mm_or_si128(_mm_and_si128(a_is_less, a), _mm_andnot_si128(a_is_less, b));
}

std::int32_t least(const std::int32_t* keys) {
  const auto* four = static_cast<const __m128i*>(static_cast<const void*>(keys));
  const __m128i halves = lesser(lesser(_mm_load_si128(four), _mm_load_si128(four + 1)),
                                lesser(_mm_load_si128(four + 2), _mm_load_si128(four + 3)));
  const __m128i two = lesser(halves, _mm_shuffle_epi32(halves, _MM_SHUFFLE(1, 0, 3, 2)));
  return _mm_cvtsi128_si32(lesser(two, _mm_shuffle_epi32(two, _MM_SHUFFLE(2, 3, 0, 1))));
}
#else
std::int32_t least(const std::int32_t* keys) {
  return *std::min_element(keys, keys + kGroup);
}
#endif

}  // namespace

/// Merges up to kGroup bytes, which most words are: all keys are one group.
std::size_t Merger::word(const unsigned char* bytes, std::size_t size, Token* out) const {
  alignas(16) std::int32_t keys[kGroup];
  std::uint32_t ids[kGroup];
  std::uint8_t next[kGroup + 1], before[kGroup + 1];
  for (std::size_t i = 0; i < kGroup; ++i) {
    keys[i] = i + 1 < size ? key_of(table_.of_bytes(bytes[i], bytes[i + 1]), i) : kNoKey;
  }
  for (std::size_t i = 0; i < size; ++i) {
    ids[i] = table_.single(bytes[i]);
    next[i] = static_cast<std::uint8_t>(i + 1);
    before[i] = static_cast<std::uint8_t>(i - 1);  // of 0: never read
  }
  for (std::int32_t best = least(keys); best != kNoKey; best = least(keys)) {
    const std::size_t at = static_cast<std::uint32_t>(best) & (kWindow - 1);
    const std::uint32_t merged = static_cast<std::uint32_t>(best) >> kIndexBits;
    const std::size_t eaten = next[at];
    const std::size_t after = next[eaten];
    ids[at] = merged;
    next[at] = static_cast<std::uint8_t>(after);
    before[after] = static_cast<std::uint8_t>(at);
    keys[eaten] = kNoKey;
    keys[at] = after < size ? key_of(table_.merged(merged, ids[after]), at) : kNoKey;
    if (at > 0) keys[before[at]] = key_of(table_.merged(ids[before[at]], merged), before[at]);
  }
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < size; i = next[i]) out[tokens++] = {ids[i], next[i]};
  return tokens;
}

/// Merges up to kWindow bytes. The keys of all pairs lie in groups with the least of each beside them, so
/// that finding the next merge looks at size / 16 numbers and a merge renews at most three groups.
std::size_t Merger::window(const unsigned char* bytes, std::size_t size, Token* out) const {
  CCR_ASSERT(size >= 1 && size <= kWindow);
  if (size <= kGroup) return word(bytes, size, out);
  // Plain arrays: every index is below kWindow, and checking each costs a tenth.
  alignas(16) std::int32_t keys[kWindow];
  alignas(16) std::int32_t group_least[kGroup];
  std::uint32_t ids[kWindow];
  std::uint16_t next[kWindow + 1], before[kWindow + 1];
  const std::size_t groups = (size + kGroup - 1) / kGroup;
  for (std::size_t i = 0; i < size; ++i) {
    ids[i] = table_.single(bytes[i]);
    next[i] = static_cast<std::uint16_t>(i + 1);
    before[i] = static_cast<std::uint16_t>(i - 1);  // of 0: never read
    keys[i] = i + 1 < size ? key_of(table_.of_bytes(bytes[i], bytes[i + 1]), i) : kNoKey;
  }
  for (std::size_t i = size; i < groups * kGroup; ++i) keys[i] = kNoKey;
  for (std::size_t group = 0; group < kGroup; ++group) {
    group_least[group] = group < groups ? least(&keys[group * kGroup]) : kNoKey;
  }

  for (;;) {
    const std::int32_t best = least(group_least);
    if (best == kNoKey) break;
    const std::size_t at = static_cast<std::uint32_t>(best) & (kWindow - 1);
    const std::uint32_t merged = static_cast<std::uint32_t>(best) >> kIndexBits;
    const std::size_t eaten = next[at];
    const std::size_t after = next[eaten];
    ids[at] = merged;
    next[at] = static_cast<std::uint16_t>(after);
    before[after] = static_cast<std::uint16_t>(at);
    keys[eaten] = kNoKey;
    keys[at] = after < size ? key_of(table_.merged(merged, ids[after]), at) : kNoKey;
    group_least[at / kGroup] = least(&keys[at / kGroup * kGroup]);
    if (eaten / kGroup != at / kGroup) group_least[eaten / kGroup] = least(&keys[eaten / kGroup * kGroup]);
    if (at > 0) {
      const std::size_t left = before[at];
      keys[left] = key_of(table_.merged(ids[left], merged), left);
      group_least[left / kGroup] = least(&keys[left / kGroup * kGroup]);
    }
  }
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < size; i = next[i]) out[tokens++] = {ids[i], next[i]};
  return tokens;
}

/// The same for more bytes, with a heap: only for texts whose seams do not settle.
std::size_t Merger::heap_window(const unsigned char* bytes, std::size_t size) {
  std::vector<std::uint32_t> ids(size), next(size), before(size);
  std::vector<std::uint64_t> first;
  for (std::size_t i = 0; i < size; ++i) {
    ids[i] = table_.single(bytes[i]);
    next[i] = static_cast<std::uint32_t>(i + 1);
    before[i] = static_cast<std::uint32_t>(i - 1);
    if (i + 1 == size) break;
    const std::uint32_t rank = table_.of_bytes(bytes[i], bytes[i + 1]);
    if (rank != format::kNoToken) first.push_back(std::uint64_t{rank} << 32 | i);
  }
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> pairs(std::greater<>(),
                                                                                       std::move(first));
  while (!pairs.empty()) {
    const auto at = static_cast<std::uint32_t>(pairs.top() & 0xFFFFFFFF);
    const auto rank = static_cast<std::uint32_t>(pairs.top() >> 32);
    pairs.pop();
    if (ids[at] == format::kNoToken || next[at] >= size) continue;
    const std::uint32_t eaten = next[at];
    if (table_.merged(ids[at], ids[eaten]) != rank) continue;  // one of the two has been merged meanwhile
    ids[at] = rank;
    ids[eaten] = format::kNoToken;
    next[at] = next[eaten];
    if (next[at] < size) {
      before[next[at]] = at;
      const std::uint32_t merged = table_.merged(rank, ids[next[at]]);
      if (merged != format::kNoToken) pairs.push(std::uint64_t{merged} << 32 | at);
    }
    if (at > 0) {
      const std::uint32_t merged = table_.merged(ids[before[at]], rank);
      if (merged != format::kNoToken) pairs.push(std::uint64_t{merged} << 32 | before[at]);
    }
  }
  wide_.clear();
  for (std::size_t i = 0; i < size; i = next[i]) wide_.push_back({ids[i], next[i]});
  return wide_.size();
}

std::size_t Merger::narrow_window(const unsigned char* bytes, std::size_t size) {
  if (size == same_size_ && std::memcmp(bytes, same_.data(), size) == 0) return same_count_;
  same_count_ = window(bytes, size, narrow_.data());
  same_size_ = size;
  std::memcpy(same_.data(), bytes, size);
  return same_count_;
}

/// True when the bytes of two neighbours merge to just these two.
bool Merger::stands(const unsigned char* bytes, Token left, std::uint32_t left_begin, Token right) {
  if (left.id == seam_left_ && right.id == seam_right_) return seam_stands_;
  std::array<Token, kWindow> merged;
  const std::size_t size = right.end - left_begin;
  seam_stands_ = window(bytes + left_begin, size, merged.data()) == 2 && merged[0].id == left.id &&
                 merged[1].id == right.id;
  seam_left_ = left.id;
  seam_right_ = right.id;
  return seam_stands_;
}

template <class Take>
void Merger::pieces(const unsigned char* bytes, std::size_t size, const Take& take) {
  settled_.clear();
  std::uint32_t base = 0;  // where settled_ begins
  std::size_t wanted = kWindow, undo = 1;
  for (;;) {
    const std::uint32_t begin = settled_.empty() ? base : settled_.back().end;
    if (begin == size) break;
    const std::size_t width = std::min(wanted, size - begin);
    const Token* tokens = narrow_.data();
    std::size_t count = 0;
    if (width <= kWindow) {
      count = narrow_window(bytes + begin, width);
    } else {
      count = heap_window(bytes + begin, width);
      tokens = wide_.data();
    }
    const Token first{tokens[0].id, tokens[0].end + begin};
    if (!settled_.empty() && !stands(bytes, settled_.back(),
                                     settled_.size() > 1 ? settled_[settled_.size() - 2].end : base, first)) {
      // What comes later reaches back over the seam: take some tokens back and look at more at once.
      settled_.resize(settled_.size() - std::min(undo, settled_.size()));
      undo *= 2;
      wanted *= 2;
      continue;
    }
    if (begin + width < size) {
      // The last tokens may yet become others: leave them to the next window. There is always a first: no
      // token is longer than half a window.
      const std::size_t sure = width - width / 8;
      while (count > 1 && tokens[count - 1].end > sure) --count;
    }
    for (std::size_t i = 0; i < count; ++i) settled_.push_back({tokens[i].id, tokens[i].end + begin});
    wanted = kWindow;
    undo = 1;
    if (settled_.size() > 2 * limits::kMergeUndo) {
      // No chain of merges reaches so far back: its ranks would have to rise token by token.
      const auto done = static_cast<std::ptrdiff_t>(settled_.size() - limits::kMergeUndo);
      take(settled_.data(), static_cast<std::size_t>(done));
      base = settled_[static_cast<std::size_t>(done) - 1].end;
      settled_.erase(settled_.begin(), settled_.begin() + done);
    }
  }
  take(settled_.data(), settled_.size());
}

void Merger::merge(const unsigned char* bytes, std::size_t size, std::vector<Token>& out) {
  if (size <= kWindow) {
    std::array<Token, kWindow> tokens;
    const std::size_t count = window(bytes, size, tokens.data());
    out.insert(out.end(), tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count));
    return;
  }
  pieces(bytes, size,
         [&out](const Token* tokens, std::size_t count) { out.insert(out.end(), tokens, tokens + count); });
}

std::size_t Merger::count(const unsigned char* bytes, std::size_t size) {
  if (size <= kWindow) {
    std::array<Token, kWindow> tokens;
    return window(bytes, size, tokens.data());
  }
  std::size_t total = 0;
  pieces(bytes, size, [&total](const Token*, std::size_t count) { total += count; });
  return total;
}

}  // namespace ccrules::tokens
