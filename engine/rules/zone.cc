#include "rules/zone.h"

#include <optional>
#include <utility>

#include "core/limits.h"
#include "core/text.h"

namespace ccrules::rules {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kMinuteS = 60;
constexpr std::int64_t kHourS = 3600;
constexpr std::int64_t kDayS = 24 * kHourS;
constexpr std::int64_t kLargestOffsetHours = 18;

/// "+01:00" in seconds.
std::optional<std::int32_t> fixed_offset(std::string_view name) {
  if (name.size() != 6 || (name[0] != '+' && name[0] != '-') || name[3] != ':') return std::nullopt;
  const auto hours = text::to_int(name.substr(1, 2));
  const auto minutes = text::to_int(name.substr(4, 2));
  if (!hours || !minutes || *hours < 0 || *minutes < 0 || *hours > kLargestOffsetHours || *minutes > 59) return std::nullopt;
  const auto offset_s = static_cast<std::int32_t>(*hours * kHourS + *minutes * kMinuteS);
  return name[0] == '-' ? -offset_s : offset_s;
}

}  // namespace

Zone::Zone(std::string name, TimeZone zone)
    : name_(std::move(name)), zone_(std::make_shared<const TimeZone>(std::move(zone))) {}

std::int64_t Zone::offset_s(std::int64_t wall_us) const {
  return zone_ == nullptr ? 0 : zone_->offset_s(wall_us / kSecondUs);
}

Result<Zone> Zones::load(std::string_view name) {
  if (name == "UTC" || name == "Z") return Zone();
  if (const auto offset_s = fixed_offset(name)) return Zone(std::string(name), TimeZone::fixed(*offset_s));
  const auto found = known_.find(name);
  if (found != known_.end()) return found->second;
  if (files_ == nullptr || known_.size() >= limits::kRuleZones) {
    return bad_request("time zone '" + std::string(name) + "' was not read when the rules were loaded");
  }
  CCR_TRY(read, TimeZone::load(*files_, name));
  Zone zone(std::string(name), std::move(read));
  known_.emplace(std::string(name), zone);
  return zone;
}

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
