#include "rules/zone.h"

#include "core/text.h"

namespace ccrules::rules {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kMinuteS = 60;
constexpr std::int64_t kHourS = 3600;
constexpr std::int64_t kDayS = 24 * kHourS;
constexpr std::int64_t kLargestOffsetHours = 18;

/// "+01:00" in seconds.
std::optional<std::int64_t> fixed_offset(std::string_view name) {
  if (name.size() != 6 || (name[0] != '+' && name[0] != '-') || name[3] != ':') return std::nullopt;
  const auto hours = text::to_int(name.substr(1, 2));
  const auto minutes = text::to_int(name.substr(4, 2));
  if (!hours || !minutes || *hours < 0 || *minutes < 0 || *hours > kLargestOffsetHours || *minutes > 59) return std::nullopt;
  const std::int64_t offset_s = *hours * kHourS + *minutes * kMinuteS;
  return name[0] == '-' ? -offset_s : offset_s;
}

}  // namespace

std::optional<Zone> Zone::find(std::string_view name) {
  Zone zone;
  if (name == "UTC" || name == "Z") return zone;
  const std::optional<std::int64_t> offset_s = fixed_offset(name);
  if (!offset_s) return std::nullopt;
  zone.name_ = name;
  zone.fixed_s_ = *offset_s;
  return zone;
}

std::int64_t Zone::offset_s(std::int64_t) const { return fixed_s_; }

LocalTime local_time(const Zone& zone, std::int64_t wall_us) {
  const std::int64_t local_s = wall_us / kSecondUs + zone.offset_s(wall_us);
  std::int64_t days = local_s / kDayS;
  std::int64_t rest_s = local_s % kDayS;
  if (rest_s < 0) {
    rest_s += kDayS;
    --days;
  }
  LocalTime local;
  local.hour = static_cast<int>(rest_s / kHourS);
  local.minute = static_cast<int>(rest_s / kMinuteS);
  local.wday = static_cast<int>(((days + 3) % 7 + 7) % 7) + 1;  // 1970-01-01 was a Thursday
  return local;
}

}  // namespace ccrules::rules
