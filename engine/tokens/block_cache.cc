#include "tokens/block_cache.h"

namespace ccrules::tokens {

std::optional<std::uint32_t> BlockCache::find(digest::Hash128 key) {
  Shard& shard = shards_[key.high % kShards];
  const std::lock_guard lock(shard.mutex);
  if (shard.sets == nullptr) return std::nullopt;
  for (const Entry& entry : (*shard.sets)[key.low % kSets]) {
    if (entry.key == key) return entry.tokens;
  }
  return std::nullopt;
}

void BlockCache::keep(digest::Hash128 key, std::uint32_t tokens) {
  Shard& shard = shards_[key.high % kShards];
  const std::lock_guard lock(shard.mutex);
  if (shard.sets == nullptr) shard.sets = std::make_unique<std::array<std::array<Entry, kWays>, kSets>>();
  (*shard.sets)[key.low % kSets][shard.victim++ % kWays] = {key, tokens};
}

}  // namespace ccrules::tokens
