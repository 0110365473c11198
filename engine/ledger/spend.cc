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

void Spend::forget_some(Sums& sums) {
  // A tenth at once, so that a flood of new sessions costs little each. Who has spent least this month is missed least.
  std::vector<Sums::iterator> all;
  all.reserve(sums.size());
  for (auto at = sums.begin(); at != sums.end(); ++at) all.push_back(at);
  const auto tenth = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 10);
  std::nth_element(all.begin(), tenth, all.end(), [](const auto& a, const auto& b) {
    return std::pair(a->second.number[kMonthIndex], a->second.nanousd[kMonthIndex]) <
           std::pair(b->second.number[kMonthIndex], b->second.nanousd[kMonthIndex]);
  });
  for (auto at = all.begin(); at != tenth; ++at) sums.erase(*at);
}

Sum& Spend::sum_of(Sums& sums, std::string_view key) {
  const auto found = sums.find(key);
  if (found != sums.end()) return found->second;
  if (sums.size() >= limits::kSpendKeys) forget_some(sums);
  return sums.emplace(std::string(key), Sum()).first->second;
}

void Spend::add(const Record& row) {
  if (!row.cost_nanousd || *row.cost_nanousd <= 0) return;
  const Sum spent = Sum::of(*row.cost_nanousd, row.at_us, row.at_us + row.duration_us, calendar_);
  const std::lock_guard lock(mutex_);
  all_.go_on(spent, calendar_);
  each_scope(row, [&](std::size_t scope, std::string_view key) { sum_of(scopes_[scope], key).go_on(spent, calendar_); });
}

void Spend::add(const SumMap& sums) {
  const std::lock_guard lock(mutex_);
  for (const auto& [whose, sum] : sums) {
    if (whose.first.empty()) {
      all_.add(sum);
    } else if (const auto scope = scope_index(whose.first)) {
      sum_of(scopes_[*scope], whose.second).add(sum);
    }
  }
}

std::optional<std::int64_t> Spend::nanousd(std::string_view by, std::string_view key, Span span, std::int64_t wall_us) const {
  const std::lock_guard lock(mutex_);
  return spent(by, key, span, wall_us);
}

std::string Spend::name_of(const Cap& cap) {
  std::string name = cap.by;
  return name.append("\n").append(cap.key).append("\n").append(std::to_string(static_cast<int>(cap.span)));
}

std::int64_t Spend::left(const Cap& cap, std::int64_t wall_us) const {
  constexpr std::int64_t kMost = Spend::kNever / 4;  // differences of three such numbers do not run over
  const auto reserved = reserved_.find(name_of(cap));
  return std::min(cap.nanousd, kMost) - std::min(spent(cap.by, cap.key, cap.span, wall_us).value_or(0), kMost) -
         (reserved == reserved_.end() ? 0 : std::min(reserved->second, kMost));
}

std::int64_t Spend::left_nanousd(const Cap& cap, std::int64_t wall_us) const {
  const std::lock_guard lock(mutex_);
  return left(cap, wall_us);
}

std::optional<Cap> Spend::reserve(const std::vector<Cap>& caps, std::int64_t worst_nanousd, std::int64_t wall_us) {
  const std::lock_guard lock(mutex_);
  for (const Cap& cap : caps) {
    if (left(cap, wall_us) < worst_nanousd) return cap;
  }
  for (const Cap& cap : caps) reserved_[name_of(cap)] += worst_nanousd;
  return std::nullopt;
}

void Spend::release(const std::vector<Cap>& caps, std::int64_t worst_nanousd) {
  const std::lock_guard lock(mutex_);
  for (const Cap& cap : caps) {
    const auto found = reserved_.find(name_of(cap));
    if (found != reserved_.end() && (found->second -= worst_nanousd) <= 0) reserved_.erase(found);
  }
}

std::optional<std::int64_t> Spend::spent(std::string_view by, std::string_view key, Span span, std::int64_t wall_us) const {
  if (by.empty()) return all_.in(span, wall_us, calendar_);
  const std::optional<std::size_t> scope = scope_index(by);
  if (!scope) return std::nullopt;
  const auto found = scopes_[*scope].find(key);
  return found == scopes_[*scope].end() ? 0 : found->second.in(span, wall_us, calendar_);
}

void Spend::known_since(std::int64_t wall_us) {
  const std::lock_guard lock(mutex_);
  known_since_us_ = wall_us;
}

std::int64_t Spend::known_since() const {
  const std::lock_guard lock(mutex_);
  return known_since_us_;
}

bool Spend::knows(const Cap& cap, std::int64_t wall_us) const {
  return known_since() <= calendar_.begin_us(cap.span, wall_us);
}

}  // namespace ccrules::ledger
