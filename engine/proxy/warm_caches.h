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
  struct Way {
    const rules::Target& from;
    const rules::Target& to;
  };
  /// What moving the session brings, at the prices of `config`, if the next requests add and answer as much as the last one.
  [[nodiscard]] std::optional<rules::Move> move(std::string_view session, const Way& way, std::int64_t wall_us,
                                                const config::Snapshot& config) const;

 private:
  struct Cache {
    std::int64_t tokens = 0;
    std::int64_t until_us = 0;
    double cost_usd = 0;
    std::int64_t added_tokens = 0;   ///< of the prompt, that the last request did not find in the cache
    std::int64_t output_tokens = 0;  ///< of its answer

    [[nodiscard]] std::int64_t held(std::int64_t wall_us) const { return until_us > wall_us ? tokens : 0; }
  };
  /// "session \n provider,model".
  static std::string key_of(std::string_view session, const rules::Target& target);

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Cache> caches_;
  std::unordered_map<std::string, std::size_t> sessions_;  ///< how many of `caches_` each has
};

}  // namespace ccrules::proxy
