#include "rules/zone.h"

#include <utility>

#include "core/limits.h"

namespace ccrules::rules {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kMinuteS = 60;
constexpr std::int64_t kHourS = 3600;
constexpr std::int64_t kDayS = 24 * kHourS;

}  // namespace

Zone::Zone(std::string name, TimeZone zone)
    : name_(std::move(name)), zone_(std::make_shared<const TimeZone>(std::move(zone))) {}

std::int64_t Zone::offset_s(std::int64_t wall_us) const {
  return zone_ == nullptr ? 0 : zone_->offset_s(wall_us / kSecondUs);
}

Result<Zone> Zones::load(std::string_view name) {
  if (name == "UTC" || name == "Z") return Zone();
  if (auto fixed = TimeZone::parse_offset(name)) return Zone(std::string(name), *std::move(fixed));
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
