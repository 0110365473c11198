#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time_zone.h"
#include "core/world.h"

namespace ccrules::rules {

/// A time zone as rules write it: "UTC", "+01:00" or an IANA name. Immutable, cheap to copy.
class Zone {
 public:
  Zone() = default;  ///< UTC
  Zone(std::string name, TimeZone zone);
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Local time minus UTC at that moment.
  [[nodiscard]] std::int64_t offset_s(std::int64_t wall_us) const;

 private:
  std::string name_ = "UTC";
  std::shared_ptr<const TimeZone> zone_;  ///< null: UTC
};

/// The zones that a rule set names, read when it loads: decisions read no files.
class Zones {
 public:
  explicit Zones(const Files& files) : files_(&files) {}
  /// For loading. Error: one sentence for who wrote the name.
  Result<Zone> load(std::string_view name);
  /// From now on only what was loaded is known, and offsets.
  void seal() { files_ = nullptr; }

 private:
  const Files* files_;
  std::map<std::string, Zone, std::less<>> known_;
};

/// Wall clock of a zone.
struct LocalTime {
  int hour = 0;    ///< 0 to 23
  int minute = 0;  ///< of the day: 0 to 1439
  int wday = 1;    ///< 1 (Monday) to 7
};
LocalTime local_time(const Zone& zone, std::int64_t wall_us);

}  // namespace ccrules::rules
