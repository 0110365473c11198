#include "ledger/days.h"

#include <string>

#include "core/utc.h"

namespace ccrules::ledger {
namespace {

constexpr std::int64_t kDayUs = 86'400'000'000;

void local_day(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  const auto& calendar = *static_cast<const Calendar*>(sqlite3_user_data(context));
  constexpr int kDateBytes = 10;
  const std::string text = rfc3339(calendar.number(Span::kDay, sqlite3_value_int64(values[0])) * kDayUs);
  sqlite3_result_text(context, text.c_str(), kDateBytes, SQLITE_TRANSIENT);
}

}  // namespace

Result<void> add_local_day(const Connection& connection, const Calendar& calendar) {
  void* const shared = const_cast<Calendar*>(&calendar);  // SQLite hands it back as it is
  if (sqlite3_create_function_v2(connection.get(), "local_day", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, shared, &local_day, nullptr, nullptr,
                                 nullptr) == SQLITE_OK)
    return {};
  Error error;
  error.code = ErrorCode::kInternal;
  error.message = sqlite3_errmsg(connection.get());
  return error;
}

std::int64_t day_begin_us(const Calendar& calendar, std::int64_t day) noexcept {
  std::int64_t at_us = day * kDayUs + kDayUs / 2;  // noon of UTC, at most a day away from that day everywhere
  at_us += (day - calendar.number(Span::kDay, at_us)) * kDayUs;
  return calendar.begin_us(Span::kDay, at_us);
}

}  // namespace ccrules::ledger
