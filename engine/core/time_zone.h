#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/world.h"

namespace ccrules {

/// How far local time is from UTC, at any moment. Immutable; safe on any thread.
class TimeZone {
 public:
  /// UTC.
  TimeZone() = default;
  /// The same distance at all times.
  /// @param offset_s east of Greenwich is positive
  static TimeZone fixed(std::int32_t offset_s);
  /// "+05:30": hours, at most 18, and minutes east of Greenwich; nullopt when it is written otherwise.
  static std::optional<TimeZone> parse_offset(std::string_view text);
  /// An offset as above, or a zone of the IANA database, "Europe/Berlin", from the system's compiled files (/usr/share/zoneinfo,
  /// Debian package tzdata). Error: one sentence for who wrote the name. Names that are no names of zones
  /// (absolute, with "..") are refused before any file is looked at.
  static Result<TimeZone> load(const Files& files, std::string_view name);
  /// A compiled zone: TZif of RFC 8536, any version, hostile bytes included. Leap seconds are not counted.
  static Result<TimeZone> parse(std::string_view tzif);

  /// Seconds to add to UTC at this moment (seconds since 1970-01-01 UTC).
  [[nodiscard]] std::int32_t offset_s(std::int64_t utc_s) const noexcept;

 private:
  /// The moment of a year at which summer time begins or ends, in the local time that ends then.
  struct Change {
    enum class Kind : std::uint8_t { kWeekday, kDay, kDayWithoutLeap };
    Kind kind = Kind::kDay;
    int month = 1, week = 1, weekday = 0;  ///< kWeekday: "M3.5.0" is the last Sunday of March
    int day = 0;                           ///< kDay from 0, kDayWithoutLeap from 1 and never 29 February
    std::int32_t time_s = 7200;
    /// Seconds since 1970 of that local time.
    [[nodiscard]] std::int64_t local_s(int year) const noexcept;
  };
  /// What repeats every year: the POSIX TZ string at the end of a file (IEEE 1003.1, RFC 8536 3.3).
  struct Yearly {
    std::int32_t standard_s = 0;
    std::int32_t summer_s = 0;
    bool has_summer = false;
    Change begin, end;
    [[nodiscard]] std::int32_t offset_s(std::int64_t utc_s) const noexcept;
  };
  class PosixReader;
  class TzifReader;

  std::vector<std::int64_t> changes_s_;        ///< ascending
  std::vector<std::int32_t> offsets_after_s_;  ///< one per change
  std::int32_t offset_before_s_ = 0;           ///< before the first change
  bool has_yearly_ = false;                    ///< what `yearly_` says counts after the last change
  Yearly yearly_;
};

}  // namespace ccrules
