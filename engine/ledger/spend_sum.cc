#include "ledger/spend_sum.h"

#include <limits>

#include "core/json.h"

namespace ccrules::ledger {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kHourUs = 3600 * kSecondUs;
constexpr std::int64_t kDayUs = 24 * kHourUs;
constexpr std::int64_t kWeekUs = 7 * kDayUs;
constexpr std::int64_t kMondayUs = 4 * kDayUs;  ///< 1970-01-05

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

std::int64_t saturating_add(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a < 0 ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
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
    case Span::kTotal:
      return 0;
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
    case Span::kTotal:
      return std::numeric_limits<std::int64_t>::min();
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
    case Span::kTotal:
      return std::numeric_limits<std::int64_t>::max();
    case Span::kMonth:
      break;
  }
  constexpr std::int64_t kLongestMonthUs = 31 * kDayUs;
  return span_begin_us(span, span_begin_us(span, wall_us) + kLongestMonthUs);
}

Sum Sum::of(std::int64_t amount_nanousd, std::int64_t wall_us) noexcept {
  Sum one;
  for (std::size_t i = 0; i < kSpans; ++i) one.number[i] = span_number(static_cast<Span>(i), wall_us);
  one.nanousd.fill(amount_nanousd);
  return one;
}

void Sum::add(const Sum& other) noexcept {
  for (std::size_t i = 0; i < kSpans; ++i) {
    if (other.number[i] < number[i]) continue;  // a clock that went back, or a row of the past: what is running counts
    if (other.number[i] > number[i]) nanousd[i] = 0;
    number[i] = other.number[i];
    nanousd[i] = saturating_add(nanousd[i], other.nanousd[i]);
  }
}

std::int64_t Sum::in(Span span, std::int64_t wall_us) const noexcept {
  const auto i = static_cast<std::size_t>(span);
  return number[i] >= span_number(span, wall_us) ? nanousd[i] : 0;
}

void each_scope(const Record& row, const std::function<void(std::size_t scope, std::string_view key)>& take) {
  std::array<std::string_view, kScopes.size() - 1> keys = {row.session, row.user,            row.project, row.client,
                                                                 row.agent,   row.requested_model, row.key,     row.subagent};
  std::string_view paying_tag;
  if (const std::size_t colon = row.payer.find(':'); colon != std::string::npos) {
    const std::string_view payer = row.payer;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (kScopes[i] == payer.substr(0, colon)) keys[i] = payer.substr(colon + 1);
    }
    if (payer.substr(0, colon) == kScopes.back()) paying_tag = payer.substr(colon + 1);
  }
  if (!paying_tag.empty()) take(kScopes.size() - 1, paying_tag);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!keys[i].empty()) take(i, keys[i]);
  }
  if (row.tags_json.empty()) return;
  auto document = json::Document::open(row.tags_json);
  if (!document) return;  // our own writing
  auto tags = document->root_object();
  while (tags.ok() && tags->next()) {
    std::string tag(tags->key());
    const auto value = tags->value().string();
    if (value.ok() && tag.append("=").append(*value) != paying_tag) take(kScopes.size() - 1, tag);
  }
}

void add_row(SumMap& sums, const Record& row) {
  if (!row.cost_nanousd || *row.cost_nanousd <= 0) return;
  const Sum spent = Sum::of(*row.cost_nanousd, row.at_us);
  sums[{}].add(spent);
  each_scope(row, [&](std::size_t scope, std::string_view key) {
    sums[{std::string(kScopes[scope]), std::string(key)}].add(spent);
  });
}

}  // namespace ccrules::ledger
