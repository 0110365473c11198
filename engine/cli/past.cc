#include "cli/past.h"

#include <ctime>

#include "cli/load.h"
#include "core/text.h"

namespace ccrules::cli {

constexpr std::int64_t kSecondUs = 1'000'000;

std::optional<std::int64_t> since_us(std::string_view since, std::int64_t now_us) {
  if (since == "all") return 0;
  if (since.size() == 10 && since[4] == '-' && since[7] == '-') {
    const auto year = text::to_int(since.substr(0, 4));
    const auto month = text::to_int(since.substr(5, 2));
    const auto day = text::to_int(since.substr(8, 2));
    if (!year || !month || !day || *month < 1 || *month > 12 || *day < 1 || *day > 31) return std::nullopt;
    std::tm date{};
    date.tm_year = static_cast<int>(*year) - 1900;
    date.tm_mon = static_cast<int>(*month) - 1;
    date.tm_mday = static_cast<int>(*day);
    return timegm(&date) * kSecondUs;
  }
  if (since.size() < 2) return std::nullopt;
  const auto count = text::to_int(since.substr(0, since.size() - 1));
  if (!count || *count < 0 || *count > 100'000) return std::nullopt;
  switch (since.back()) {
    case 'm':
      return now_us - *count * 60 * kSecondUs;
    case 'h':
      return now_us - *count * 3600 * kSecondUs;
    case 'd':
      return now_us - *count * 86400 * kSecondUs;
    case 'w':
      return now_us - *count * 7 * 86400 * kSecondUs;
    default:
      return std::nullopt;
  }
}

std::optional<std::int64_t> since_flag(const Arguments& arguments, Io& io, std::string_view usual) {
  const std::string since = arguments.has("since") ? arguments.value("since") : std::string(usual);
  const auto from = since_us(since, io.clock.wall_us());
  if (!from)
    usage_error(io, "--since takes 30m, 24h, 7d, 2w, all or a day like 2026-11-01 (got '" + since + "')");
  return from;
}

}  // namespace ccrules::cli
