#include "cli/past.h"

#include "cli/load.h"
#include "core/text.h"
#include "core/utc.h"
#include "ledger/days.h"
#include "proxy/budget.h"

namespace ccrules::cli {
namespace {

constexpr std::int64_t kMinuteUs = 60'000'000;
constexpr std::int64_t kDayUs = 24 * 60 * kMinuteUs;

/// "2026-11-01" by its form: there may be no such day.
bool is_date(std::string_view since) {
  return since.size() == 10 && since[4] == '-' && since[7] == '-' && since.find_first_not_of("0123456789-") == std::string_view::npos;
}

}  // namespace

std::optional<std::int64_t> since_us(std::string_view since, std::int64_t now_us, const ledger::Calendar& calendar) {
  if (since == "all") return 0;
  if (const auto day = parse_day(since)) return ledger::day_begin_us(calendar, *day);
  if (since.size() < 2 || since.starts_with('-')) return std::nullopt;
  const auto count = text::to_int(since.substr(0, since.size() - 1));
  if (!count || *count > 100'000) return std::nullopt;
  switch (since.back()) {
    case 'm':
      return now_us - *count * kMinuteUs;
    case 'h':
      return now_us - *count * 60 * kMinuteUs;
    case 'd':
      return now_us - *count * kDayUs;
    case 'w':
      return now_us - *count * 7 * kDayUs;
    default:
      return std::nullopt;
  }
}

std::optional<std::int64_t> since_flag(const Arguments& arguments, Io& io, const config::Snapshot& config, std::string_view usual) {
  const std::string since = arguments.has("since") ? arguments.value("since") : std::string(usual);
  const auto from = since_us(since, io.clock.wall_us(), proxy::calendar_of(config));
  if (!from && is_date(since)) {
    usage_error(io, "--since " + since + ": there is no such day");
  } else if (!from) {
    usage_error(io, "--since takes 30m, 24h, 7d, 2w, all or a day like 2026-11-01 (got '" + since + "')");
  }
  return from;
}

}  // namespace ccrules::cli
