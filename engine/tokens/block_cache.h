#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "core/digest.h"
#include "core/limits.h"

namespace ccrules::tokens {

/// Counts of content blocks by their hash: limits::kCountedBlocks at most, 1.5 MB, made on first use. Shared
/// by all threads. A block that was forgotten is only counted again.
class BlockCache {
 public:
  std::optional<std::uint32_t> find(digest::Hash128 key);
  void keep(digest::Hash128 key, std::uint32_t tokens);

 private:
  static constexpr std::size_t kWays = 4;
  static constexpr std::size_t kShards = 16;
  static constexpr std::size_t kSets = limits::kCountedBlocks / kWays / kShards;
  struct Entry {
    digest::Hash128 key;
    std::uint32_t tokens = 0;
  };
  struct Shard {
    std::mutex mutex;
    std::unique_ptr<std::array<std::array<Entry, kWays>, kSets>> sets;
    unsigned victim = 0;
  };
  std::array<Shard, kShards> shards_;
};

}  // namespace ccrules::tokens
