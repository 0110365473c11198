#include "rules/rates.h"

#include <algorithm>

#include "core/limits.h"

namespace ccrules::rules {
namespace {

/// What a request is counted under; nothing when it has no such fact or nobody counts by it.
std::optional<std::string_view> key_of(std::string_view by, const Identity& who, std::string_view model) {
  std::string_view key;
  if (by.empty()) return key;
  if (by == "session") key = who.session;
  if (by == "user") key = who.user;
  if (by == "project") key = who.project;
  if (by == "client") key = who.client;
  if (by == "agent") key = who.agent;
  if (by == "request_class") key = who.request_class;
  if (by == "model") key = model;
  return key.empty() ? std::nullopt : std::optional(key);
}

bool counts_by(std::string_view by) {
  for (const char* known : {"", "session", "user", "project", "client", "agent", "request_class", "model"}) {
    if (by == known) return true;
  }
  return false;
}

}  // namespace

void Rates::Ring::advance(std::int64_t part) {
  if (part - newest >= static_cast<std::int64_t>(kParts)) parts.fill(0);
  for (; newest < part; ++newest) {
    if (part - newest >= static_cast<std::int64_t>(kParts)) newest = part - static_cast<std::int64_t>(kParts);
    parts[static_cast<std::size_t>(newest + 1) % kParts] = 0;
  }
}

double Rates::Ring::sum() const {
  double total = 0;
  for (const std::uint32_t part : parts) total += part;
  return total;
}

std::int64_t Rates::Meter::part_of(std::int64_t wall_us) const {
  const std::int64_t part_us = std::max<std::int64_t>(std::chrono::microseconds(window).count() / static_cast<std::int64_t>(kParts), 1);
  return wall_us / part_us;
}

Rates::Ring& Rates::Meter::ring(const std::string& key, std::int64_t part) {
  const auto found = rings.find(key);
  if (found != rings.end()) {
    found->second.advance(part);
    return found->second;
  }
  if (rings.size() >= limits::kRateKeys) {
    std::erase_if(rings, [part](const auto& entry) { return part - entry.second.newest >= static_cast<std::int64_t>(kParts); });
    if (rings.size() >= limits::kRateKeys) rings.erase(rings.begin());
  }
  Ring& made = rings[key];
  made.newest = part;
  return made;
}

void Rates::arrived(const Identity& who, std::string_view model, std::int64_t wall_us) {
  if (!used_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  for (Meter& meter : meters_) {
    const std::optional<std::string_view> key = key_of(meter.by, who, model);
    if (!key) continue;
    const std::int64_t part = meter.part_of(wall_us);
    Ring& ring = meter.ring(std::string(*key), part);
    ++ring.parts[static_cast<std::size_t>(ring.newest) % kParts];
  }
}

std::optional<double> Rates::count(const Scope& scope, std::chrono::milliseconds window, std::int64_t wall_us) {
  if (!counts_by(scope.by)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  auto meter = std::find_if(meters_.begin(), meters_.end(),
                            [&scope, window](const Meter& each) { return each.window == window && each.by == scope.by; });
  if (meter == meters_.end()) {
    if (meters_.size() >= limits::kRateMeters) return std::nullopt;
    Meter made;
    made.by = scope.by;
    made.window = window;
    meters_.push_back(std::move(made));
    used_.store(true, std::memory_order_relaxed);
    meter = meters_.end() - 1;
    Ring& first = meter->ring(std::string(scope.key), meter->part_of(wall_us));
    first.parts[static_cast<std::size_t>(first.newest) % kParts] = 1;
    return 1;
  }
  return meter->ring(std::string(scope.key), meter->part_of(wall_us)).sum();
}

}  // namespace ccrules::rules
