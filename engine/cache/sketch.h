#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ccrules::cache {

/// How often something was asked for lately, about: a count-min sketch of 4-bit counters (TinyLFU) that halves them all once
/// it has counted ten times as much as it has room for, so that yesterday's favourites do not stay for ever. Estimates are
/// never too small before they are halved, and at most 15. One thread.
class Sketch {
 public:
  /// @param things so many are told apart well; 8 to 16 bytes each
  explicit Sketch(std::size_t things);
  void count(std::uint64_t hash) noexcept;
  [[nodiscard]] unsigned estimate(std::uint64_t hash) const noexcept;
  [[nodiscard]] std::size_t bytes() const noexcept { return table_.size() * sizeof(std::uint64_t); }

 private:
  void halve() noexcept;
  [[nodiscard]] std::size_t slot(std::uint64_t hash, unsigned row) const noexcept;

  std::vector<std::uint64_t> table_;  ///< 16 counters each, a power of two of them
  std::size_t counted_ = 0;
  std::size_t most_;
};

}  // namespace ccrules::cache
