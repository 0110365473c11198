#include "core/time_zone.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

#include "core/limits.h"
#include "core/text.h"
#include "core/utc.h"

namespace ccrules {
namespace {

constexpr std::int32_t kHour_s = 3600;
constexpr std::int64_t kLargestOffsetHours = 18;
constexpr std::int64_t kDay_s = 86400;
constexpr std::string_view kFolder = "/usr/share/zoneinfo/";

Error broken(std::string_view what) {
  return bad_request("the time zone file is broken: " + std::string(what));
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Letters, digits, "_", "-" and "+" in parts that a slash divides: "America/Argentina/Ushuaia", "Etc/GMT+1".
bool is_zone_name(std::string_view name) {
  if (name.empty() || name.size() > limits::kZoneNameBytes) return false;
  const auto parts = text::split(name, '/');
  return std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
    return !part.empty() && is_letter(part.front()) && std::all_of(part.begin(), part.end(), [](char c) {
      return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '+';
    });
  });
}

std::int64_t days_since_1970(std::chrono::sys_days day) {
  return day.time_since_epoch().count();
}

}  // namespace

// --- the rule of the coming years

std::int64_t TimeZone::Change::local_s(int year) const noexcept {
  using namespace std::chrono;
  const std::chrono::year in{year};
  std::int64_t days = 0;
  if (kind == Kind::kWeekday) {
    const auto of_month = in / std::chrono::month(static_cast<unsigned>(month));
    const std::chrono::weekday on(static_cast<unsigned>(weekday));
    days = week == 5 ? days_since_1970(sys_days(of_month / on[last]))
                     : days_since_1970(sys_days(of_month / on[static_cast<unsigned>(week)]));
  } else {
    days = days_since_1970(sys_days(in / January / 1));
    const bool after_leap_day = kind == Kind::kDayWithoutLeap && in.is_leap() && day >= 60;
    days += kind == Kind::kDay ? day : day - 1 + (after_leap_day ? 1 : 0);
  }
  return days * kDay_s + time_s;
}

std::int32_t TimeZone::Yearly::offset_s(std::int64_t utc_s) const noexcept {
  if (!has_summer) return standard_s;
  using namespace std::chrono;
  // Far outside what the calendar can say, summer time is not worth an overflow.
  constexpr std::int64_t kFarthest_s = 30000 * 366 * kDay_s;
  if (utc_s < -kFarthest_s || utc_s > kFarthest_s) return standard_s;
  const year_month_day today(floor<days>(sys_seconds(seconds(utc_s + standard_s))));
  const int year = static_cast<int>(today.year());
  const std::int64_t begins_s = begin.local_s(year) - standard_s;
  const std::int64_t ends_s = end.local_s(year) - summer_s;
  // In the south summer lasts over the turn of the year.
  const bool summer =
      begins_s < ends_s ? begins_s <= utc_s && utc_s < ends_s : !(ends_s <= utc_s && utc_s < begins_s);
  return summer ? summer_s : standard_s;
}

/// Reads "CET-1CEST,M3.5.0,M10.5.0/3". Offsets are written with the sign turned round: west is positive.
class TimeZone::PosixReader {
 public:
  explicit PosixReader(std::string_view text) : left_(text) {}

  std::optional<Yearly> read() {
    Yearly yearly;
    if (!skip_name()) return std::nullopt;
    const auto standard = time(24);
    if (!standard) return std::nullopt;
    yearly.standard_s = -*standard;
    if (left_.empty()) return yearly;

    yearly.has_summer = true;
    yearly.summer_s = yearly.standard_s + kHour_s;
    if (!skip_name()) return std::nullopt;
    if (!left_.starts_with(',')) {
      const auto summer = time(24);
      if (!summer) return std::nullopt;
      yearly.summer_s = -*summer;
    }
    if (!read_change(yearly.begin) || !read_change(yearly.end) || !left_.empty()) return std::nullopt;
    return yearly;
  }

 private:
  bool take(char expected) {
    if (!left_.starts_with(expected)) return false;
    left_.remove_prefix(1);
    return true;
  }

  /// "CET" or "<+03>": at least three characters.
  bool skip_name() {
    std::size_t size = 0;
    if (take('<')) {
      while (size < left_.size() && left_[size] != '>') ++size;
      if (size == left_.size()) return false;
      left_.remove_prefix(size + 1);
    } else {
      while (size < left_.size() && is_letter(left_[size])) ++size;
      left_.remove_prefix(size);
    }
    return size >= 3;
  }

  std::optional<int> number(int most) {
    std::size_t size = 0;
    while (size < left_.size() && size < 4 && is_digit(left_[size])) ++size;
    const auto value = text::to_int(left_.substr(0, size));
    if (!value || *value > most) return std::nullopt;
    left_.remove_prefix(size);
    return static_cast<int>(*value);
  }

  /// [+-]hh[:mm[:ss]] in seconds.
  std::optional<std::int32_t> time(int most_hours) {
    const bool negative = take('-');
    if (!negative) take('+');
    const auto hours = number(most_hours);
    if (!hours) return std::nullopt;
    std::int32_t seconds = *hours * kHour_s;
    for (const int unit_s : {60, 1}) {
      if (!take(':')) break;
      const auto part = number(59);
      if (!part) return std::nullopt;
      seconds += *part * unit_s;
    }
    return negative ? -seconds : seconds;
  }

  /// ",M3.5.0/2", ",J60", ",59/-1".
  bool read_change(Change& change) {
    if (!take(',')) return false;
    if (take('M')) {
      change.kind = Change::Kind::kWeekday;
      const auto month = number(12);
      if (!month || *month < 1 || !take('.')) return false;
      const auto week = number(5);
      if (!week || *week < 1 || !take('.')) return false;
      const auto weekday = number(6);
      if (!weekday) return false;
      change.month = *month;
      change.week = *week;
      change.weekday = *weekday;
    } else {
      const bool without_leap = take('J');
      change.kind = without_leap ? Change::Kind::kDayWithoutLeap : Change::Kind::kDay;
      const auto day = number(365);
      if (!day || (without_leap && *day < 1)) return false;
      change.day = *day;
    }
    if (!take('/')) return true;
    const auto time_s = time(167);
    if (time_s) change.time_s = *time_s;
    return time_s.has_value();
  }

  std::string_view left_;
};

// --- the compiled file

/// Reads the parts of a TZif file in order; every length is checked before it is believed.
class TimeZone::TzifReader {
 public:
  explicit TzifReader(std::string_view bytes) : left_(bytes) {}

  Result<TimeZone> read() {
    CCR_TRY(first, header());
    if (first.version == 0) {
      CCR_CHECK(block(first, 4));
      return std::move(zone_);
    }
    // The first block is for readers that know no other: the second says the same with wider numbers.
    const std::size_t skipped = first.changes * 5 + first.kinds * 6 + first.name_bytes + first.leaps * 8 +
                                first.standard_marks + first.utc_marks;
    if (skipped > left_.size()) return broken("it ends too early");
    left_.remove_prefix(skipped);
    CCR_TRY(second, header());
    CCR_CHECK(block(second, 8));
    CCR_CHECK(footer());
    return std::move(zone_);
  }

 private:
  struct Header {
    char version = 0;
    std::size_t utc_marks = 0, standard_marks = 0, leaps = 0, changes = 0, kinds = 0, name_bytes = 0;
  };

  /// A big-endian number of `size` bytes, sign extended. The bytes must be there.
  std::int64_t number(std::size_t size) {
    std::uint64_t value = (static_cast<unsigned char>(left_.front()) & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    for (const char byte : left_.substr(0, size)) value = value << 8 | static_cast<unsigned char>(byte);
    left_.remove_prefix(size);
    return static_cast<std::int64_t>(value);
  }

  Result<Header> header() {
    constexpr std::size_t kHeaderBytes = 44;
    if (left_.size() < kHeaderBytes || !left_.starts_with("TZif"))
      return broken("it does not begin with TZif");
    Header header;
    header.version = left_[4];
    left_.remove_prefix(20);
    for (std::size_t* count : {&header.utc_marks, &header.standard_marks, &header.leaps, &header.changes,
                               &header.kinds, &header.name_bytes}) {
      const std::int64_t value = number(4);
      if (value < 0 || value > static_cast<std::int64_t>(limits::kZoneFileBytes))
        return broken("it counts too much");
      *count = static_cast<std::size_t>(value);
    }
    if (header.kinds == 0) return broken("it has no local time");
    return header;
  }

  Result<void> block(const Header& header, std::size_t time_bytes) {
    const std::size_t size = header.changes * (time_bytes + 1) + header.kinds * 6 + header.name_bytes +
                             header.leaps * (time_bytes + 4) + header.standard_marks + header.utc_marks;
    if (size > left_.size()) return broken("it ends too early");
    for (std::size_t i = 0; i < header.changes; ++i) {
      zone_.changes_s_.push_back(number(time_bytes));
      if (i > 0 && zone_.changes_s_[i] <= zone_.changes_s_[i - 1])
        return broken("its times are not in order");
    }
    const std::string_view kinds = left_.substr(0, header.changes);
    left_.remove_prefix(header.changes);
    std::vector<std::int32_t> offsets_s;
    for (std::size_t i = 0; i < header.kinds; ++i) {
      const std::int64_t offset = number(4);
      if (offset < -26 * kHour_s || offset > 26 * kHour_s) return broken("it is more than a day from UTC");
      offsets_s.push_back(static_cast<std::int32_t>(offset));
      left_.remove_prefix(2);
    }
    for (const char kind : kinds) {
      const std::size_t at = static_cast<unsigned char>(kind);
      if (at >= offsets_s.size()) return broken("it names a local time that is not in it");
      zone_.offsets_after_s_.push_back(offsets_s[at]);
    }
    zone_.offset_before_s_ = offsets_s.front();
    left_.remove_prefix(header.name_bytes + header.leaps * (time_bytes + 4) + header.standard_marks +
                        header.utc_marks);
    return {};
  }

  Result<void> footer() {
    const std::size_t end = left_.size() < 2 ? std::string_view::npos : left_.find('\n', 1);
    if (end == std::string_view::npos || left_.front() != '\n') return broken("it has no last line");
    const std::string_view rule = left_.substr(1, end - 1);
    if (rule.empty()) return {};  // nothing is known about the years to come
    const auto yearly = PosixReader(rule).read();
    if (!yearly) return broken("its last line is no POSIX time zone");
    zone_.yearly_ = *yearly;
    zone_.has_yearly_ = true;
    return {};
  }

  std::string_view left_;
  TimeZone zone_;
};

TimeZone TimeZone::fixed(std::int32_t offset_s) {
  TimeZone zone;
  zone.offset_before_s_ = offset_s;
  return zone;
}

std::optional<TimeZone> TimeZone::parse_offset(std::string_view text) {
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
  const auto clock_s = parse_clock_s(text.substr(1));
  if (!clock_s || *clock_s >= (kLargestOffsetHours + 1) * kHour_s) return std::nullopt;
  const auto offset_s = static_cast<std::int32_t>(*clock_s);
  return fixed(text[0] == '-' ? -offset_s : offset_s);
}

Result<TimeZone> TimeZone::parse(std::string_view tzif) {
  if (tzif.size() > limits::kZoneFileBytes) return broken("it is too large");
  return TzifReader(tzif).read();
}

Result<TimeZone> TimeZone::load(const Files& files, std::string_view name) {
  if (auto fixed = parse_offset(name)) return *std::move(fixed);
  const std::string shown = text::to_valid_utf8(name.substr(0, limits::kZoneNameBytes));
  if (!is_zone_name(name)) {
    return bad_request(
        "'" + shown +
        "' is not a time zone; write UTC, an offset such as +01:00 or a name such as Europe/Berlin");
  }
  auto bytes = files.read(std::string(kFolder) + std::string(name));
  if (!bytes) {
    return bad_request("time zone '" + shown +
                       "' is not known to this system; write a name such as Europe/Berlin (the "
                       "package tzdata has them) or an offset such as +01:00");
  }
  auto zone = parse(*bytes);
  if (!zone) return bad_request(std::string(kFolder) + shown + ": " + zone.error().message);
  return zone;
}

std::int32_t TimeZone::offset_s(std::int64_t utc_s) const noexcept {
  const auto next = std::upper_bound(changes_s_.begin(), changes_s_.end(), utc_s);
  if (next == changes_s_.end() && has_yearly_) return yearly_.offset_s(utc_s);
  if (next == changes_s_.begin()) return offset_before_s_;
  return offsets_after_s_[static_cast<std::size_t>(next - changes_s_.begin()) - 1];
}

}  // namespace ccrules
