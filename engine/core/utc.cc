#include "core/utc.h"

#include <array>
#include <chrono>
#include <ctime>

#include "core/text.h"

namespace ccrules {
namespace {

constexpr std::int64_t kMinute_s = 60;
constexpr std::int64_t kHour_s = 60 * kMinute_s;
constexpr std::int64_t kDay_s = 24 * kHour_s;

/// A number of so many digits and nothing else: no sign, no blanks.
std::optional<std::int64_t> digits(std::string_view text, std::size_t count) {
  if (text.size() != count || text.starts_with('-')) return std::nullopt;
  return text::to_int(text);
}

}  // namespace

std::string rfc3339(std::int64_t wall_us) {
  const std::time_t seconds = wall_us / 1'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), size};
}

std::optional<std::int64_t> parse_day(std::string_view text) {
  const auto parts = text::split(text, '-');
  if (parts.size() != 3) return std::nullopt;
  const auto year = digits(parts[0], 4);
  const auto month = digits(parts[1], 2);
  const auto day = digits(parts[2], 2);
  if (!year || !month || !day) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(*year)), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

std::optional<std::int64_t> parse_clock_s(std::string_view text) {
  const auto parts = text::split(text, ':');
  if (parts.size() < 2 || parts.size() > 3) return std::nullopt;
  const auto hours = digits(parts[0], parts[0].size() == 1 ? 1 : 2);
  const auto minutes = digits(parts[1], 2);
  const auto seconds = parts.size() == 3 ? digits(parts[2], 2) : std::optional<std::int64_t>(0);
  if (!hours || !minutes || !seconds || *minutes > 59 || *seconds > 59) return std::nullopt;
  const std::int64_t since_midnight_s = *hours * kHour_s + *minutes * kMinute_s + *seconds;
  return since_midnight_s <= kDay_s ? std::optional(since_midnight_s) : std::nullopt;
}

}  // namespace ccrules
