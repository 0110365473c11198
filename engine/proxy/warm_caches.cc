#include "proxy/warm_caches.h"

#include <algorithm>
#include <chrono>

#include "core/limits.h"
#include "ledger/cost.h"

namespace ccrules::proxy {
namespace {

constexpr std::int64_t kHourUs = std::chrono::microseconds(std::chrono::hours(1)).count();
constexpr std::int64_t kWarmUs = std::chrono::microseconds(limits::kWarmTime).count();

/// How much more the tokens cost as plain input than from the cache; 0 when the prices are not known.
double advantage_usd(std::int64_t tokens, const rules::Target& target, const config::Snapshot& config) {
  chat::Usage plain;
  plain.input_tokens = tokens;
  chat::Usage cached;
  cached.cache_read_tokens = tokens;
  const auto plain_nanousd = ledger::cost_nanousd(plain, target.provider, target.model, config);
  const auto cached_nanousd = ledger::cost_nanousd(cached, target.provider, target.model, config);
  if (!plain_nanousd || !cached_nanousd || *plain_nanousd < *cached_nanousd) return 0;
  return static_cast<double>(*plain_nanousd - *cached_nanousd) / 1e9;
}

}  // namespace

std::string WarmCaches::key_of(std::string_view session, const rules::Target& target) {
  std::string key(session);
  return key.append("\n").append(target.provider).append(",").append(target.model);
}

void WarmCaches::answered(std::string_view session, const rules::Target& target, const chat::Usage& usage, std::int64_t wall_us,
                          const config::Snapshot& config) {
  const std::int64_t written = usage.cache_write_tokens.value_or(0);
  Cache cache;
  cache.tokens = usage.cache_read_tokens.value_or(0) + written;
  if (session.empty() || cache.tokens <= 0) return;
  const bool for_an_hour = usage.cache_write_1h_tokens.value_or(0) > 0;
  cache.until_us = wall_us + (for_an_hour ? kHourUs : kWarmUs);
  cache.cost_usd = advantage_usd(cache.tokens, target, config);
  std::string key = key_of(session, target);
  const std::lock_guard lock(mutex_);
  const auto known = caches_.find(key);
  if (known != caches_.end()) {
    // Reading renews what was written for an hour, too; how long it lives is not told again.
    cache.until_us = std::max(cache.until_us, known->second.until_us);
    known->second = cache;
    return;
  }
  if (caches_.size() >= limits::kWarmKeys) {
    std::erase_if(caches_, [wall_us](const auto& entry) { return entry.second.until_us <= wall_us; });
    if (caches_.size() >= limits::kWarmKeys) caches_.clear();  // all of them warm: better none than any of them
    sessions_.clear();
    for (const auto& [each, unused] : caches_) ++sessions_[each.substr(0, each.find('\n'))];
  }
  caches_.emplace(std::move(key), cache);
  ++sessions_[std::string(session)];
}

std::optional<rules::Warmth> WarmCaches::find(std::string_view session, const rules::Target& target, std::int64_t wall_us) const {
  if (session.empty()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (!sessions_.contains(std::string(session))) return std::nullopt;
  rules::Warmth warmth;
  const auto found = caches_.find(key_of(session, target));
  if (found == caches_.end() || found->second.until_us <= wall_us) return warmth;
  warmth.warm = true;
  warmth.tokens = found->second.tokens;
  warmth.cost_usd = found->second.cost_usd;
  return warmth;
}

}  // namespace ccrules::proxy
