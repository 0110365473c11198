#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/time_zone.h"
#include "ledger/record.h"

namespace ccrules::ledger {

/// kTotal: all time is one period.
enum class Span : std::uint8_t { kHour, kDay, kWeek, kMonth, kTotal };
inline constexpr std::size_t kSpans = 5;

/// The periods of a time zone. A day is as long as its clocks make it (23 to 25 hours when they change), a week begins on
/// Monday; hours are those of UTC, so that one that clocks show twice is two. Immutable; any thread.
class Calendar {
 public:
  /// UTC.
  Calendar() = default;
  /// @param name what tells this zone from others, "Europe/Berlin"
  Calendar(TimeZone zone, std::string name) : zone_(std::move(zone)), name_(std::move(name)), utc_(name_ == "UTC") {}
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// Number of the period that a moment belongs to; neighbours have neighbouring numbers.
  [[nodiscard]] std::int64_t number(Span span, std::int64_t wall_us) const noexcept;
  /// When the period of a moment began; kTotal: the least number there is.
  [[nodiscard]] std::int64_t begin_us(Span span, std::int64_t wall_us) const noexcept;
  /// When the next one begins; kTotal: the greatest number there is.
  [[nodiscard]] std::int64_t end_us(Span span, std::int64_t wall_us) const noexcept;

 private:
  [[nodiscard]] std::int64_t first_moment_us(Span span, std::int64_t number, std::int64_t near_us) const noexcept;
  TimeZone zone_;
  std::string name_ = "UTC";
  bool utc_ = true;
};

/// What one session, project ... has spent in the last period of each kind in which it spent something. Sums saturate.
struct Sum {
  std::array<std::int64_t, kSpans> number{};
  std::array<std::int64_t, kSpans> nanousd{};
  /// The periods before: for requests that came in them and are still on the way, and in case a clock goes back to them. Not stored:
  /// who is recalled from the file has none.
  std::array<std::int64_t, kSpans> number_before{};
  std::array<std::int64_t, kSpans> nanousd_before{};
  std::int64_t until_us = 0;  ///< when the last of it was known; not stored

  /// What one request cost that came at `at_us` and ended at `ended_us`.
  [[nodiscard]] static Sum of(std::int64_t amount_nanousd, std::int64_t at_us, std::int64_t ended_us, const Calendar& calendar) noexcept;
  /// Adds what was spent since, in the order in which it became known. When the clock has gone back meanwhile, what was spent in
  /// its future counts as spent now: nothing is forgotten.
  void go_on(const Sum& since, const Calendar& calendar) noexcept;
  /// Adds what was spent in the past, in any order: periods that ended before ours are nobody's any more.
  void add(const Sum& other) noexcept;
  /// What was spent in the period of a moment. Of one before the last that is kept, the greater of the two that are: rather too much
  /// than free for all.
  [[nodiscard]] std::int64_t in(Span span, std::int64_t wall_us, const Calendar& calendar) const noexcept;
  bool operator==(const Sum&) const = default;

 private:
  void move_to(std::size_t i, std::int64_t other, std::int64_t with_nanousd) noexcept;
};

/// By what spending is grouped, apart from all of it: the index is Spend's, the names are those of budgets and of the table
/// `spend`.
inline constexpr std::array<std::string_view, 9> kScopes = {"session", "user", "project",  "client", "agent",
                                                            "model",   "key",  "subagent", "tag"};
inline constexpr std::size_t kSessionScope = 0;

/// True when the scope of a budget or a limit takes in a key of a row in the same scope: without a key of its own it takes in each,
/// `tag:run` (a tag without a value) each value of that tag, any other that one.
/// @param key of the budget or limit; empty: none
[[nodiscard]] bool takes_in(std::string_view by, std::string_view key, std::string_view key_of_row) noexcept;
/// True when a scope means one sum: everybody's, or that of one key. False: each key that it takes in has its own.
[[nodiscard]] bool is_one_sum(std::string_view by, std::string_view key) noexcept;

/// Its own key in the scope `model`.
[[nodiscard]] std::string_view model_key(const Record& row) noexcept;

/// The keys of a row in the scopes of which it has one; empty: it has none. Record::payer stands in place of
/// its own key in its scope.
struct RowKeys {
  explicit RowKeys(const Record& row) noexcept;
  std::array<std::string_view, kScopes.size() - 1> keys;
  std::string_view paying_tag;
};
/// The tags of a row ("team=core") but for the one that pays.
void each_tag(const Record& row, std::string_view paying_tag,
              const std::function<void(std::string_view tag)>& take);

/// The scopes that a row counts in, each with its key; a row has several tags or none.
/// @param take void(std::size_t scope, std::string_view key)
template <class Take>
void each_scope(const Record& row, const Take& take) {
  const RowKeys own(row);
  if (!own.paying_tag.empty()) take(kScopes.size() - 1, own.paying_tag);
  for (std::size_t i = 0; i < own.keys.size(); ++i) {
    if (!own.keys[i].empty()) take(i, own.keys[i]);
  }
  if (row.tags_json.empty()) return;
  each_tag(row, own.paying_tag, [&take](std::string_view tag) { take(kScopes.size() - 1, tag); });
}

/// By the name of a scope, then by key; looks names up without making strings of them.
struct NameLess {
  using is_transparent = void;
  template <class Left, class Right>
  bool operator()(const Left& left, const Right& right) const noexcept {
    const int order = std::string_view(left.first).compare(right.first);
    return order != 0 ? order < 0 : std::string_view(left.second) < std::string_view(right.second);
  }
};

/// Sums of several rows, by the name of a scope (empty: all) and key.
using SumMap = std::map<std::pair<std::string, std::string>, Sum, NameLess>;
/// Adds what requests cost, in the order in which they ended. What does not count or is not positive adds nothing.
void add_row(SumMap& sums, const Record& row, const Calendar& calendar);
/// The same for requests of the past, in any order.
void add_past_row(SumMap& sums, const Record& row, const Calendar& calendar);

}  // namespace ccrules::ledger
