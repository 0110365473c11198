#include "ledger/spend.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/limits.h"

namespace ccrules::ledger {
namespace {

constexpr auto kMonthIndex = static_cast<std::size_t>(Span::kMonth);

}  // namespace

std::optional<std::size_t> Spend::scope_index(std::string_view by) {
  if (by == "requested_model") by = "model";
  const auto found = std::find(kScopes.begin(), kScopes.end(), by);
  if (found == kScopes.end()) return std::nullopt;
  return static_cast<std::size_t>(found - kScopes.begin());
}

void Spend::forget_some(std::size_t scope) {
  // A tenth at once, so that a flood of new sessions costs little each. Who has spent least this month is missed least; what was
  // spent a moment ago may not be in the table yet.
  constexpr std::int64_t kMomentUs = 10'000'000;
  Sums& sums = scopes_[scope];
  const std::string by(kScopes[scope]);
  std::int64_t newest_us = 0;
  for (const auto& [key, kept] : sums) newest_us = std::max(newest_us, kept.sum.until_us);
  std::vector<Sums::iterator> old, all;
  for (auto at = sums.begin(); at != sums.end(); ++at) {
    if (!named_.empty() && named_.contains(Name(by, at->first))) continue;
    all.push_back(at);
    if (at->second.sum.until_us < newest_us - kMomentUs) old.push_back(at);
  }
  std::vector<Sums::iterator>& from = old.size() >= all.size() / 10 ? old : all;
  const auto tenth = from.begin() + static_cast<std::ptrdiff_t>(all.size() / 10);
  std::nth_element(from.begin(), tenth, from.end(), [](const auto& a, const auto& b) {
    return std::pair(a->second.sum.number[kMonthIndex], a->second.sum.nanousd[kMonthIndex]) <
           std::pair(b->second.sum.number[kMonthIndex], b->second.sum.nanousd[kMonthIndex]);
  });
  forgot_[scope] = true;
  for (auto at = from.begin(); at != tenth; ++at) sums.erase(*at);
}

Spend::Kept& Spend::kept_of(std::size_t scope, std::string_view key) {
  Sums& sums = scopes_[scope];
  const auto found = sums.find(key);
  if (found != sums.end()) return found->second;
  if (sums.size() >= limits::kSpendKeys) forget_some(scope);
  Kept& kept = sums.emplace(std::string(key), Kept()).first->second;
  kept.partial = forgot_[scope];
  return kept;
}

void Spend::add(const Record& row) {
  if (row.counted_nanousd() <= 0) return;
  const Sum spent = Sum::of(row.counted_nanousd(), row.at_us, row.at_us + row.duration_us, calendar_);
  const std::lock_guard lock(mutex_);
  all_.go_on(spent, calendar_);
  each_scope(row, [&](std::size_t scope, std::string_view key) { kept_of(scope, key).sum.go_on(spent, calendar_); });
}

void Spend::add(const SumMap& sums) {
  const std::lock_guard lock(mutex_);
  for (const auto& [whose, sum] : sums) {
    if (whose.first.empty()) {
      all_.add(sum);
    } else if (const auto scope = scope_index(whose.first)) {
      kept_of(*scope, whose.second).sum.add(sum);
    }
  }
}

std::optional<std::int64_t> Spend::nanousd(std::string_view by, std::string_view key, Span span, std::int64_t wall_us) const {
  const std::lock_guard lock(mutex_);
  return spent(by, key, span, wall_us);
}

std::int64_t Spend::left(const Cap& cap, std::int64_t wall_us) const {
  constexpr std::int64_t kMost = Spend::kNever / 4;  // differences of three such numbers do not run over
  const auto reserved = reserved_.find(cap);
  return std::min(cap.nanousd, kMost) - std::min(spent(cap.by, cap.key, cap.span, wall_us).value_or(0), kMost) -
         (reserved == reserved_.end() ? 0 : std::min(reserved->second, kMost));
}

std::int64_t Spend::left_nanousd(const Cap& cap, std::int64_t wall_us) const {
  const std::lock_guard lock(mutex_);
  return left(cap, wall_us);
}

const Cap* Spend::without_room(const std::vector<Cap>& caps, std::int64_t nanousd,
                               std::int64_t wall_us) const {
  const auto found =
      std::find_if(caps.begin(), caps.end(), [&](const Cap& cap) { return nanousd > 0 && left(cap, wall_us) < nanousd; });
  return found == caps.end() ? nullptr : &*found;
}

void Spend::set_aside(const std::vector<Cap>& caps, std::int64_t nanousd) {
  for (const Cap& cap : caps) {
    const auto found = reserved_.find(cap);
    if (found != reserved_.end()) {
      found->second += nanousd;
    } else {
      reserved_.emplace(Reserved{cap.by, cap.key, cap.span}, nanousd);
    }
  }
}

std::optional<Cap> Spend::reserve(const std::vector<Cap>& caps, std::int64_t worst_nanousd,
                                  std::int64_t wall_us) {
  const std::lock_guard lock(mutex_);
  if (const Cap* full = without_room(caps, worst_nanousd, wall_us)) return *full;
  set_aside(caps, worst_nanousd);
  return std::nullopt;
}

bool Spend::reserve_amply(const std::vector<Cap>& caps, std::int64_t worst_nanousd,
                          std::int64_t ample_nanousd, std::int64_t wall_us) {
  const std::lock_guard lock(mutex_);
  if (without_room(caps, ample_nanousd, wall_us) != nullptr) return false;
  set_aside(caps, worst_nanousd);
  return true;
}

void Spend::release(const std::vector<Cap>& caps, std::int64_t worst_nanousd) {
  const std::lock_guard lock(mutex_);
  for (const Cap& cap : caps) {
    const auto found = reserved_.find(cap);
    if (found != reserved_.end() && (found->second -= worst_nanousd) <= 0) reserved_.erase(found);
  }
}

std::optional<std::int64_t> Spend::spent(std::string_view by, std::string_view key, Span span, std::int64_t wall_us) const {
  if (by.empty()) return all_.in(span, wall_us, calendar_);
  const std::optional<std::size_t> scope = scope_index(by);
  if (!scope) return std::nullopt;
  const auto found = scopes_[*scope].find(key);
  return found == scopes_[*scope].end() ? 0 : found->second.sum.in(span, wall_us, calendar_);
}

void Spend::keep(const std::vector<Name>& named) {
  const std::lock_guard lock(mutex_);
  named_.insert(named.begin(), named.end());
}

std::vector<Spend::Name> Spend::kept() const {
  const std::lock_guard lock(mutex_);
  return {named_.begin(), named_.end()};
}

void Spend::forgets(std::string_view by) {
  if (const auto scope = scope_index(by)) forgot_[*scope] = true;
}

bool Spend::remembers(std::string_view by, std::string_view key) const {
  const auto scope = scope_index(by);
  if (!scope || !forgot_[*scope]) return true;
  const std::lock_guard lock(mutex_);
  const auto found = scopes_[*scope].find(key);
  return found != scopes_[*scope].end() && !found->second.partial;
}

Sum Spend::remembered(std::string_view by, std::string_view key) const {
  const std::lock_guard lock(mutex_);
  const auto scope = scope_index(by);
  if (!scope) return {};
  const auto found = scopes_[*scope].find(key);
  return found == scopes_[*scope].end() ? Sum() : found->second.sum;
}

bool Spend::recall(std::string_view by, std::string_view key, const Sum& stored, const Sum& before) {
  const std::lock_guard lock(mutex_);
  const auto scope = scope_index(by);
  if (!scope) return true;
  Kept& kept = kept_of(*scope, key);
  kept.partial = false;
  bool exact = true;
  for (std::size_t i = 0; i < kSpans; ++i) {
    const bool same_period = kept.sum.number[i] == before.number[i];
    const std::int64_t since = kept.sum.nanousd[i] - (same_period ? before.nanousd[i] : 0);
    exact = exact && same_period && since == 0;
    if (stored.number[i] < kept.sum.number[i]) continue;
    const std::int64_t more = stored.number[i] == kept.sum.number[i] ? since : 0;
    kept.sum.number[i] = stored.number[i];
    kept.sum.nanousd[i] = std::min(stored.nanousd[i], kNever - std::max<std::int64_t>(more, 0)) + more;
  }
  return exact;
}

void Spend::known_since(std::int64_t wall_us) {
  known_since_us_ = wall_us;
}

std::int64_t Spend::known_since() const {
  return known_since_us_;
}

bool Spend::knows(const Cap& cap, std::int64_t wall_us) const {
  const std::int64_t since_us = known_since();
  return since_us == kAlways || since_us <= calendar_.begin_us(cap.span, wall_us);
}

}  // namespace ccrules::ledger
