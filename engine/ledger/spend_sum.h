#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "ledger/record.h"

namespace ccrules::ledger {

/// Calendar periods in UTC; a week begins on Monday. kTotal: all time is one period.
enum class Span : std::uint8_t { kHour, kDay, kWeek, kMonth, kTotal };
inline constexpr std::size_t kSpans = 5;
/// Number of the period that a moment belongs to; neighbours have neighbouring numbers.
std::int64_t span_number(Span span, std::int64_t wall_us) noexcept;
/// When the period of a moment began; kTotal: the least number there is.
std::int64_t span_begin_us(Span span, std::int64_t wall_us) noexcept;
/// When the next one begins; kTotal: the greatest number there is.
std::int64_t span_end_us(Span span, std::int64_t wall_us) noexcept;

/// What one session, project ... has spent in the last period of each kind in which it spent something. Adding does not depend
/// on the order of what is added. Sums saturate.
struct Sum {
  std::array<std::int64_t, kSpans> number{};
  std::array<std::int64_t, kSpans> nanousd{};
  /// Of one amount spent at one moment.
  [[nodiscard]] static Sum of(std::int64_t amount_nanousd, std::int64_t wall_us) noexcept;
  void add(const Sum& other) noexcept;
  [[nodiscard]] std::int64_t in(Span span, std::int64_t wall_us) const noexcept;
};

/// By what spending is grouped, apart from all of it: the index is Spend's, the names are those of budgets and of the table
/// `spend`.
inline constexpr std::array<std::string_view, 9> kScopes = {"session", "user", "project",  "client", "agent",
                                                            "model",   "key",  "subagent", "tag"};
inline constexpr std::size_t kSessionScope = 0;

/// The scopes that a row counts in, each with its key; a row has several tags ("team=core") or none. Record::payer stands in
/// place of the row's own key in its scope.
void each_scope(const Record& row, const std::function<void(std::size_t scope, std::string_view key)>& take);

/// Sums of several rows, by the name of a scope (empty: all) and key.
using SumMap = std::map<std::pair<std::string, std::string>, Sum>;
/// Adds what a finished request cost. Costs that are not known or not positive add nothing.
void add_row(SumMap& sums, const Record& row);

}  // namespace ccrules::ledger
