#include "ledger/spend_sum.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/json.h"

namespace ccrules::ledger {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kHourS = 3600;
constexpr std::int64_t kDayS = 24 * kHourS;
constexpr std::int64_t kWeekS = 7 * kDayS;
constexpr std::int64_t kMondayS = 4 * kDayS;  ///< 1970-01-05

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

/// Months since the year 0 of a day since 1970 (Howard Hinnant's civil_from_days).
std::int64_t month_of(std::int64_t day) {
  constexpr std::int64_t kEraDays = 146097;
  const std::int64_t shifted = day + 719468;
  const std::int64_t era = floor_div(shifted, kEraDays);
  const std::int64_t of_era = shifted - era * kEraDays;
  const std::int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const std::int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t from_march = (5 * of_year + 2) / 153;
  const std::int64_t month = from_march < 10 ? from_march + 2 : from_march - 10;
  return (year_of_era + era * 400 + (month <= 1 ? 1 : 0)) * 12 + month;
}

/// The first day of a month (his days_from_civil).
std::int64_t first_day_of(std::int64_t month_number) {
  const std::int64_t month = month_number - floor_div(month_number, 12) * 12;
  const std::int64_t year = floor_div(month_number, 12) - (month <= 1 ? 1 : 0);
  const std::int64_t era = floor_div(year, 400);
  const std::int64_t of_era = year - era * 400;
  const std::int64_t of_year = (153 * (month > 1 ? month - 2 : month + 10) + 2) / 5;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/// The period of a moment of local time.
std::int64_t number_at(Span span, std::int64_t local_s) {
  switch (span) {
    case Span::kHour:
      return floor_div(local_s, kHourS);
    case Span::kDay:
      return floor_div(local_s, kDayS);
    case Span::kWeek:
      return floor_div(local_s - kMondayS, kWeekS);
    case Span::kMonth:
      return month_of(floor_div(local_s, kDayS));
    case Span::kTotal:
      break;
  }
  return 0;
}

/// When a period begins, in local time.
std::int64_t local_begin_s(Span span, std::int64_t number) {
  switch (span) {
    case Span::kHour:
      return number * kHourS;
    case Span::kDay:
      return number * kDayS;
    case Span::kWeek:
      return number * kWeekS + kMondayS;
    case Span::kMonth:
      return first_day_of(number) * kDayS;
    case Span::kTotal:
      break;
  }
  return 0;
}

std::int64_t saturating_add(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a < 0 ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
}

}  // namespace

std::int64_t Calendar::number(Span span, std::int64_t wall_us) const noexcept {
  const std::int64_t utc_s = floor_div(wall_us, kSecondUs);
  return number_at(span, utc_ || span == Span::kHour ? utc_s : utc_s + zone_.offset_s(utc_s));
}

/// Where clocks change at midnight, a day begins later than at the distance from UTC of its other hours, or earlier.
std::int64_t Calendar::first_moment_us(Span span, std::int64_t number, std::int64_t near_us) const noexcept {
  const std::int64_t local_s = local_begin_s(span, number);
  if (utc_ || span == Span::kHour) return local_s * kSecondUs;
  const std::int64_t guess_s = local_s - zone_.offset_s(floor_div(near_us, kSecondUs));
  const auto begun = [&](std::int64_t utc_s) { return number_at(span, utc_s + zone_.offset_s(utc_s)) >= number; };
  constexpr std::int64_t kFarthestS = 27 * kHourS;  // between the offsets of any two zones
  std::int64_t before_s = guess_s - kFarthestS;
  std::int64_t after_s = guess_s + kFarthestS;
  if (begun(guess_s)) {
    if (!begun(guess_s - 1)) return guess_s * kSecondUs;
    after_s = guess_s;
  } else {
    before_s = guess_s;
  }
  while (after_s - before_s > 1) {
    const std::int64_t middle_s = before_s + (after_s - before_s) / 2;
    (begun(middle_s) ? after_s : before_s) = middle_s;
  }
  return after_s * kSecondUs;
}

std::int64_t Calendar::begin_us(Span span, std::int64_t wall_us) const noexcept {
  if (span == Span::kTotal) return std::numeric_limits<std::int64_t>::min();
  return first_moment_us(span, number(span, wall_us), wall_us);
}

std::int64_t Calendar::end_us(Span span, std::int64_t wall_us) const noexcept {
  if (span == Span::kTotal) return std::numeric_limits<std::int64_t>::max();
  return first_moment_us(span, number(span, wall_us) + 1, wall_us);
}

Sum Sum::of(std::int64_t amount_nanousd, std::int64_t at_us, std::int64_t ended_us, const Calendar& calendar) noexcept {
  Sum one;
  for (std::size_t i = 0; i < kSpans; ++i) one.number[i] = calendar.number(static_cast<Span>(i), at_us);
  one.nanousd.fill(amount_nanousd);
  one.until_us = ended_us;
  return one;
}

/// Goes to another period, with what is known of it from before.
void Sum::move_to(std::size_t i, std::int64_t other, std::int64_t with_nanousd) noexcept {
  const std::int64_t known = number_before[i] == other ? nanousd_before[i] : 0;
  number_before[i] = std::exchange(number[i], other);
  nanousd_before[i] = std::exchange(nanousd[i], saturating_add(known, with_nanousd));
}

void Sum::go_on(const Sum& since, const Calendar& calendar) noexcept {
  // Two workers' requests that end within it may be told in the other order, and clocks are set right by so much.
  constexpr std::int64_t kSlackUs = 600 * kSecondUs;
  for (std::size_t i = 0; i < kSpans; ++i) {
    const auto span = static_cast<Span>(i);
    if (since.number[i] > number[i]) {
      move_to(i, since.number[i], 0);
      nanousd[i] = saturating_add(nanousd[i], since.nanousd[i]);
      continue;
    }
    if (since.number[i] < number[i]) {
      const std::int64_t now = calendar.number(span, since.until_us);
      if (now >= number[i]) {  // a request that came before our period began: only others that did ask for that one
        if (since.number[i] > number_before[i]) {
          number_before[i] = since.number[i];
          nanousd_before[i] = 0;
        }
        if (since.number[i] == number_before[i]) nanousd_before[i] = saturating_add(nanousd_before[i], since.nanousd[i]);
        continue;
      }
      if (calendar.number(span, since.until_us + kSlackUs) < number[i]) move_to(i, now, nanousd[i]);
    }
    nanousd[i] = saturating_add(nanousd[i], since.nanousd[i]);
  }
  until_us = since.until_us;
}

void Sum::add(const Sum& other) noexcept {
  for (std::size_t i = 0; i < kSpans; ++i) {
    if (other.number[i] < number[i]) continue;  // a row of the past
    if (other.number[i] > number[i]) nanousd[i] = 0;
    number[i] = other.number[i];
    nanousd[i] = saturating_add(nanousd[i], other.nanousd[i]);
  }
}

std::int64_t Sum::in(Span span, std::int64_t wall_us, const Calendar& calendar) const noexcept {
  const auto i = static_cast<std::size_t>(span);
  const std::int64_t asked = calendar.number(span, wall_us);
  if (number[i] <= asked) return number[i] == asked ? nanousd[i] : 0;
  // Who came before our period began is still on the way, or the clock has gone back: rather too much than free for all.
  return number_before[i] >= asked ? std::max(nanousd[i], nanousd_before[i]) : nanousd[i];
}

bool takes_in(std::string_view by, std::string_view key, std::string_view key_of_row) noexcept {
  if (key.empty() || key == key_of_row) return true;
  return !is_one_sum(by, key) && key_of_row.starts_with(key) && key_of_row.substr(key.size()).starts_with('=');
}

bool is_one_sum(std::string_view by, std::string_view key) noexcept {
  return by.empty() || (!key.empty() && (by != kScopes.back() || key.find('=') != std::string_view::npos));
}

std::string_view model_key(const Record& row) noexcept { return row.billed_model.empty() ? row.requested_model : row.billed_model; }

RowKeys::RowKeys(const Record& row) noexcept
    : keys{row.session, row.user, row.project, row.client, row.agent, model_key(row), row.key, row.subagent} {
  const std::string_view payer = row.payer;
  const std::size_t colon = payer.find(':');
  if (colon == std::string_view::npos) return;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (kScopes[i] == payer.substr(0, colon)) keys[i] = payer.substr(colon + 1);
  }
  if (payer.substr(0, colon) == kScopes.back()) paying_tag = payer.substr(colon + 1);
}

void each_tag(const Record& row, std::string_view paying_tag,
              const std::function<void(std::string_view tag)>& take) {
  auto document = json::Document::open(row.tags_json);
  if (!document) return;  // our own writing
  auto tags = document->root_object();
  while (tags.ok() && tags->next()) {
    std::string tag(tags->key());
    const auto value = tags->value().string();
    if (value.ok() && tag.append("=").append(*value) != paying_tag) take(tag);
  }
}

namespace {

Sum sum_of_row(const Record& row, const Calendar& calendar) noexcept {
  return Sum::of(row.counted_nanousd(), row.at_us, row.at_us + row.duration_us, calendar);
}

Sum& sum_at(SumMap& sums, std::string_view scope, std::string_view key) {
  const auto found = sums.find(std::pair(scope, key));
  return found != sums.end() ? found->second : sums[{std::string(scope), std::string(key)}];
}

}  // namespace

void add_row(SumMap& sums, const Record& row, const Calendar& calendar) {
  if (row.counted_nanousd() <= 0) return;
  const Sum one = sum_of_row(row, calendar);
  sums[{}].go_on(one, calendar);
  each_scope(row, [&](std::size_t scope, std::string_view key) { sum_at(sums, kScopes[scope], key).go_on(one, calendar); });
}

void add_past_row(SumMap& sums, const Record& row, const Calendar& calendar) {
  if (row.counted_nanousd() <= 0) return;
  const Sum one = sum_of_row(row, calendar);
  sums[{}].add(one);
  each_scope(row, [&](std::size_t scope, std::string_view key) { sum_at(sums, kScopes[scope], key).add(one); });
}

}  // namespace ccrules::ledger
