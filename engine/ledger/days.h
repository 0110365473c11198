#pragma once
#include <cstdint>

#include "core/result.h"
#include "ledger/spend_sum.h"
#include "ledger/sqlite.h"

/// The days of a time zone in queries and on command lines: those that budgets go by.
namespace ccrules::ledger {

/// Lets queries of the connection ask local_day(at_us): "2026-11-21", the day in the calendar's zone. The calendar must outlive the
/// connection.
Result<void> add_local_day(const Connection& connection, const Calendar& calendar);

/// When a day of the calendar's zone begins; of one that its clocks left out, when a neighbour of it does.
/// @param day since 1970-01-01, as of parse_day()
[[nodiscard]] std::int64_t day_begin_us(const Calendar& calendar, std::int64_t day) noexcept;

}  // namespace ccrules::ledger
