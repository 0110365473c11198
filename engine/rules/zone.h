#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ccrules::rules {

/// A time zone as rules write it: "UTC", "+01:00" or an IANA name. Immutable, cheap to copy.
class Zone {
 public:
  Zone() = default;  ///< UTC
  /// Nothing when there is no such zone.
  static std::optional<Zone> find(std::string_view name);
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Local time minus UTC at that moment.
  [[nodiscard]] std::int64_t offset_s(std::int64_t wall_us) const;

 private:
  std::string name_ = "UTC";
  std::int64_t fixed_s_ = 0;
};

/// Wall clock of a zone.
struct LocalTime {
  int hour = 0;    ///< 0 to 23
  int minute = 0;  ///< of the day: 0 to 1439
  int wday = 1;    ///< 1 (Monday) to 7
};
LocalTime local_time(const Zone& zone, std::int64_t wall_us);

}  // namespace ccrules::rules
