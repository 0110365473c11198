#include "ledger/spend.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "ledger/sqlite.h"

namespace ccrules::ledger {
namespace {

constexpr int kBusyMs = 1000;
constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kHourUs = 3600 * kSecondUs;
constexpr std::int64_t kDayUs = 24 * kHourUs;
constexpr std::int64_t kWeekUs = 7 * kDayUs;
constexpr auto kMonthIndex = static_cast<std::size_t>(Span::kMonth);
constexpr std::int64_t kMondayUs = 4 * kDayUs;  ///< 1970-01-05

/// The groupings, by their column; the index is Spend's.
constexpr std::array<std::string_view, 6> kColumns = {"session", "user", "project", "client", "agent", "requested_model"};

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

/// Year and month of a day since 1970 (Howard Hinnant's civil_from_days).
struct Month {
  std::int64_t year = 1970;
  int month = 1;
  int day = 1;
};
Month month_of(std::int64_t day) {
  constexpr std::int64_t kEraDays = 146097;
  const std::int64_t shifted = day + 719468;
  const std::int64_t era = floor_div(shifted, kEraDays);
  const std::int64_t of_era = shifted - era * kEraDays;
  const std::int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const std::int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted_month = (5 * of_year + 2) / 153;
  Month out;
  out.day = static_cast<int>(of_year - (153 * shifted_month + 2) / 5 + 1);
  out.month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  out.year = year_of_era + era * 400 + (out.month <= 2 ? 1 : 0);
  return out;
}

}  // namespace

std::int64_t span_number(Span span, std::int64_t wall_us) noexcept {
  switch (span) {
    case Span::kHour:
      return floor_div(wall_us, kHourUs);
    case Span::kDay:
      return floor_div(wall_us, kDayUs);
    case Span::kWeek:
      return floor_div(wall_us - kMondayUs, kWeekUs);
    case Span::kMonth:
      break;
  }
  const Month month = month_of(floor_div(wall_us, kDayUs));
  return month.year * 12 + month.month - 1;
}

std::int64_t span_begin_us(Span span, std::int64_t wall_us) noexcept {
  switch (span) {
    case Span::kHour:
      return span_number(span, wall_us) * kHourUs;
    case Span::kDay:
      return span_number(span, wall_us) * kDayUs;
    case Span::kWeek:
      return span_number(span, wall_us) * kWeekUs + kMondayUs;
    case Span::kMonth:
      break;
  }
  const std::int64_t day = floor_div(wall_us, kDayUs);
  return (day - (month_of(day).day - 1)) * kDayUs;
}

std::int64_t span_end_us(Span span, std::int64_t wall_us) noexcept {
  switch (span) {
    case Span::kHour:
      return span_begin_us(span, wall_us) + kHourUs;
    case Span::kDay:
      return span_begin_us(span, wall_us) + kDayUs;
    case Span::kWeek:
      return span_begin_us(span, wall_us) + kWeekUs;
    case Span::kMonth:
      break;
  }
  constexpr std::int64_t kLongestMonthUs = 31 * kDayUs;
  return span_begin_us(span, span_begin_us(span, wall_us) + kLongestMonthUs);
}

void Spend::Sum::add(std::int64_t amount_nanousd, std::int64_t wall_us) {
  for (std::size_t i = 0; i < kSpans; ++i) {
    const std::int64_t now = span_number(static_cast<Span>(i), wall_us);
    if (now < number[i]) continue;  // a clock that went back: what is running counts
    if (now > number[i]) nanousd[i] = 0;
    number[i] = now;
    nanousd[i] += amount_nanousd;
  }
}

std::optional<std::size_t> Spend::grouping(std::string_view by) {
  if (by == "model") by = "requested_model";
  const auto found = std::find(kColumns.begin(), kColumns.end(), by);
  if (found == kColumns.end()) return std::nullopt;
  return static_cast<std::size_t>(found - kColumns.begin());
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

void Spend::add_to(Sums& sums, std::string_view key, std::int64_t amount_nanousd, std::int64_t wall_us) {
  if (key.empty()) return;
  auto found = sums.find(key);
  if (found == sums.end()) {
    if (sums.size() >= limits::kSpendKeys) forget_some(sums);
    found = sums.emplace(std::string(key), Sum()).first;
  }
  found->second.add(amount_nanousd, wall_us);
}

void Spend::add(const Record& row) {
  if (!row.cost_nanousd || *row.cost_nanousd <= 0) return;
  const std::array<std::string_view, kGroupings> keys = {row.session, row.user,  row.project,
                                                         row.client,  row.agent, row.requested_model};
  const std::lock_guard lock(mutex_);
  all_.add(*row.cost_nanousd, row.at_us);
  for (std::size_t i = 0; i < kGroupings; ++i) add_to(groups_[i], keys[i], *row.cost_nanousd, row.at_us);
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
  const auto reserved = reserved_.find(name_of(cap));
  return cap.nanousd - spent(cap.by, cap.key, cap.span, wall_us).value_or(0) -
         (reserved == reserved_.end() ? 0 : reserved->second);
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
  const std::optional<std::size_t> group = grouping(by);
  if (!by.empty() && !group) return std::nullopt;
  const auto i = static_cast<std::size_t>(span);
  const Sum* sum = &all_;
  if (group) {
    const auto found = groups_[*group].find(key);
    if (found == groups_[*group].end()) return 0;
    sum = &found->second;
  }
  return sum->number[i] >= span_number(span, wall_us) ? sum->nanousd[i] : 0;
}

Result<void> Spend::restore(const std::string& path, std::int64_t wall_us) {
  CCR_TRY(connection, Connection::open(path, Connection::Mode::kReadOnly, kBusyMs));
  std::array<std::int64_t, kSpans> begins{};
  std::array<std::int64_t, kSpans> numbers{};
  for (std::size_t i = 0; i < kSpans; ++i) {
    begins[i] = span_begin_us(static_cast<Span>(i), wall_us);
    numbers[i] = span_number(static_cast<Span>(i), wall_us);
  }
  // What every grouping asks: its key, then a sum for each span.
  const auto read = [&](const std::string& key, const auto& take) -> Result<void> {
    std::string sums;
    for (std::size_t i = 0; i < kSpans; ++i)
      sums += ", sum(CASE WHEN at_us >= ?" + std::to_string(i + 1) + " THEN cost_nanousd ELSE 0 END)";
    CCR_TRY(rows, Statement::prepare(connection, "SELECT " + key + sums +
                                                     " FROM requests WHERE at_us >= min(?3, ?4) AND cost_nanousd > 0 GROUP BY 1 ORDER BY 5 DESC LIMIT " +
                                                     std::to_string(limits::kSpendKeys)));
    for (std::size_t i = 0; i < kSpans; ++i) rows.bind(static_cast<int>(i) + 1, begins[i]);
    for (;;) {
      CCR_TRY(more, rows.step());
      if (!more) return {};
      Sum sum;
      sum.number = numbers;
      for (std::size_t i = 0; i < kSpans; ++i) sum.nanousd[i] = rows.number(static_cast<int>(i) + 1);
      take(rows.text(0), sum);
    }
  };
  Sum all;
  std::array<Sums, kGroupings> groups;
  CCR_CHECK(read("''", [&all](std::string, const Sum& sum) { all = sum; }));
  for (std::size_t i = 0; i < kGroupings; ++i) {
    CCR_CHECK(read(std::string(kColumns[i]), [&groups, i](std::string key, const Sum& sum) {
      if (!key.empty()) groups[i].emplace(std::move(key), sum);
    }));
  }
  const std::lock_guard lock(mutex_);
  all_ = all;
  groups_ = std::move(groups);
  return {};
}

}  // namespace ccrules::ledger
