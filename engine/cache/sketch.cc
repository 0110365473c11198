#include "cache/sketch.h"

#include <algorithm>
#include <array>
#include <bit>

namespace ccrules::cache {
namespace {

constexpr unsigned kRows = 4;
constexpr unsigned kMost = 15;
constexpr std::size_t kCountedPerThing = 10;
constexpr std::array<std::uint64_t, kRows> kMultipliers = {0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9, 0xd6e8feb86659fd93};

/// The counter of a row: each row has 4 of a word's 16 for itself.
unsigned shift(std::uint64_t hash, unsigned row) noexcept {
  return (row * 4 + static_cast<unsigned>((hash >> (row * 2)) & 3)) * 4;
}

}  // namespace

Sketch::Sketch(std::size_t things) : table_(std::bit_ceil(std::max<std::size_t>(things, 16))), most_(kCountedPerThing * table_.size()) {}

std::size_t Sketch::slot(std::uint64_t hash, unsigned row) const noexcept {
  std::uint64_t mixed = (hash + row) * kMultipliers[row];
  mixed ^= mixed >> 32;
  return mixed & (table_.size() - 1);
}

void Sketch::count(std::uint64_t hash) noexcept {
  for (unsigned row = 0; row < kRows; ++row) {
    std::uint64_t& word = table_[slot(hash, row)];
    const unsigned at = shift(hash, row);
    if (((word >> at) & kMost) == kMost) continue;
    word += std::uint64_t{1} << at;
  }
  if (++counted_ >= most_) halve();  // also what counters are too full for: favourites age, too
}

unsigned Sketch::estimate(std::uint64_t hash) const noexcept {
  unsigned least = kMost;
  for (unsigned row = 0; row < kRows; ++row) {
    least = std::min(least, static_cast<unsigned>((table_[slot(hash, row)] >> shift(hash, row)) & kMost));
  }
  return least;
}

void Sketch::halve() noexcept {
  constexpr std::uint64_t kWithoutLowestBits = 0x7777777777777777;
  for (std::uint64_t& word : table_) word = (word >> 1) & kWithoutLowestBits;
  counted_ /= 2;
}

}  // namespace ccrules::cache
