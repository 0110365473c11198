#include "proxy/warm_caches.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "core/limits.h"
#include "ledger/cost.h"

namespace ccrules::proxy {
namespace {

constexpr double kNanousdPerUsd = 1e9;
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
  return static_cast<double>(*plain_nanousd - *cached_nanousd) / kNanousdPerUsd;
}

/// A request with a prompt of which the cache holds a part.
struct Turn {
  std::int64_t prompt_tokens = 0;
  std::int64_t held_tokens = 0;
  std::int64_t output_tokens = 0;
};

/// Nothing when a price is not known. Who has no price for writing to the cache, or for reading, takes that of plain input.
std::optional<double> price_usd(const Turn& turn, const rules::Target& target, const config::Snapshot& config) {
  const std::int64_t held = std::min(turn.held_tokens, turn.prompt_tokens);
  const auto cost = [&](std::int64_t plain, std::int64_t read, std::int64_t written) {
    chat::Usage usage;
    usage.input_tokens = plain;
    usage.cache_read_tokens = read;
    usage.cache_write_tokens = written;
    usage.output_tokens = turn.output_tokens;
    return ledger::cost_nanousd(usage, target.provider, target.model, config);
  };
  auto nanousd = cost(0, held, turn.prompt_tokens - held);
  if (!nanousd) nanousd = cost(turn.prompt_tokens - held, held, 0);
  if (!nanousd) nanousd = cost(turn.prompt_tokens, 0, 0);
  if (!nanousd) return std::nullopt;
  return static_cast<double>(*nanousd) / kNanousdPerUsd;
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
  cache.added_tokens = written + usage.input_tokens.value_or(0);
  cache.output_tokens = usage.output_tokens.value_or(0);
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

std::optional<rules::Move> WarmCaches::move(std::string_view session, const Way& way, std::int64_t wall_us,
                                            const config::Snapshot& config) const {
  if (session.empty()) return std::nullopt;
  Cache here;
  Cache there;
  {
    const std::lock_guard lock(mutex_);
    const auto from = caches_.find(key_of(session, way.from));
    if (from == caches_.end()) return std::nullopt;
    here = from->second;
    const auto to = caches_.find(key_of(session, way.to));
    if (to != caches_.end()) there = to->second;
  }
  const std::int64_t prompt = here.tokens + here.added_tokens;
  const Turn later{prompt, here.tokens, here.output_tokens};
  const auto first_here = price_usd({prompt, here.held(wall_us), here.output_tokens}, way.from, config);
  const auto first_there = price_usd({prompt, std::min(there.held(wall_us), here.tokens), here.output_tokens}, way.to, config);
  const auto later_here = price_usd(later, way.from, config);
  const auto later_there = price_usd(later, way.to, config);
  if (!first_here || !first_there || !later_here || !later_there) return std::nullopt;
  rules::Move move;
  move.cost_usd = *first_there - *first_here;
  const double saved_usd = *later_here - *later_there;
  if (move.cost_usd <= 0) {
    move.turns = 1;
  } else {
    move.turns = saved_usd > 0 ? 1 + std::ceil(move.cost_usd / saved_usd) : std::numeric_limits<double>::infinity();
  }
  return move;
}

}  // namespace ccrules::proxy
