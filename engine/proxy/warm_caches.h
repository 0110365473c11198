#pragma once
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "chat/usage.h"
#include "config/snapshot.h"
#include "rules/counters.h"

namespace ccrules::proxy {

/// Which targets hold the prompt caches of which sessions, as far as their answers have said. Bounded memory; any thread.
class WarmCaches {
 public:
  /// Notes an answer: what it read from the cache and wrote to it stays there until the cache runs out.
  void answered(std::string_view session, const rules::Target& target, const chat::Usage& usage, std::int64_t wall_us,
                const config::Snapshot& config);
  /// Nothing when the session is not known. `cost_usd` is what reading the cached tokens anew costs more than from the cache, at
  /// the target's own prices.
  [[nodiscard]] std::optional<rules::Warmth> find(std::string_view session, const rules::Target& target,
                                                  std::int64_t wall_us) const;

 private:
  struct Cache {
    std::int64_t tokens = 0;
    std::int64_t until_us = 0;
    double cost_usd = 0;
  };
  /// "session \n provider,model".
  static std::string key_of(std::string_view session, const rules::Target& target);

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Cache> caches_;
  std::unordered_map<std::string, std::size_t> sessions_;  ///< how many of `caches_` each has
};

}  // namespace ccrules::proxy
