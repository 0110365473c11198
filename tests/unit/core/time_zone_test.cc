#include "core/time_zone.h"

#include <cstdlib>
#include <ctime>
#include <optional>

#include <catch2/catch.hpp>

#include "support/memory_files.h"
#include "support/time_zone_file.h"

using namespace ccrules;
using test::time_zone_file;

namespace {

constexpr std::int64_t kNewYear2026 = 1'767'225'600;
constexpr std::int64_t kDay_s = 86400;
constexpr std::int32_t kHour_s = 3600;

/// Hours from UTC under a POSIX rule, `hours` after 2026 began.
double hours_from_utc(const std::string& rule, double hours) {
  const auto zone = TimeZone::parse(time_zone_file(rule));
  INFO(rule << ": " << (zone ? "" : zone.error().message));
  REQUIRE(zone.ok());
  return zone->offset_s(kNewYear2026 + static_cast<std::int64_t>(hours * kHour_s)) / 3600.0;
}

/// glibc's opinion, for as long as this lives.
class Glibc {
 public:
  explicit Glibc(const std::string& name) {
    setenv("TZ", (":" + name).c_str(), 1);
    tzset();
  }
  Glibc(const Glibc&) = delete;
  Glibc& operator=(const Glibc&) = delete;
  ~Glibc() {
    unsetenv("TZ");
    tzset();
  }
  [[nodiscard]] static std::int64_t offset_s(std::int64_t utc_s) {
    const std::time_t time = utc_s;
    std::tm parts{};
    localtime_r(&time, &parts);
    return parts.tm_gmtoff;
  }
};

}  // namespace

TEST_CASE("a fixed zone is always as far from UTC, and the default is UTC") {
  CHECK(TimeZone().offset_s(kNewYear2026) == 0);
  CHECK(TimeZone::fixed(-19800).offset_s(-5) == -19800);
  CHECK(TimeZone::fixed(-19800).offset_s(kNewYear2026) == -19800);
}

TEST_CASE("an offset is a sign, two digits, a colon and two digits") {
  const auto offset_s = [](const char* text) { return TimeZone::parse_offset(text).value_or(TimeZone::fixed(-1)).offset_s(0); };
  CHECK(offset_s("+05:30") == 19800);
  CHECK(offset_s("-03:00") == -3 * kHour_s);
  for (const char* other : {"", "05:30", "+5:30", "+0530", "+05-30", "+05:60", "+19:00", "+-0:30", "+-5:30", "+05:-0", "+ 5:30", "+05:3 "}) {
    INFO(other);
    CHECK_FALSE(TimeZone::parse_offset(other).has_value());
  }
}

TEST_CASE("summer time begins and ends when the last line of a zone says so") {
  const std::string berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
  const double begins = (31 + 28 + 28) * 24 + 1;  // 2026-03-29 01:00 UTC
  const double ends = (304 - 7) * 24 + 1;         // 2026-10-25 01:00 UTC
  CHECK(hours_from_utc(berlin, begins - 0.01) == 1);
  CHECK(hours_from_utc(berlin, begins) == 2);
  CHECK(hours_from_utc(berlin, ends - 0.01) == 2);
  CHECK(hours_from_utc(berlin, ends) == 1);
  const std::string sydney = "AEST-10AEDT,M10.1.0,M4.1.0/3";
  CHECK(hours_from_utc(sydney, 0) == 11);
  CHECK(hours_from_utc(sydney, 180 * 24) == 10);
  CHECK(hours_from_utc(sydney, 360 * 24) == 11);
}

TEST_CASE("every form of a yearly rule is understood") {
  CHECK(hours_from_utc("UTC0", 0) == 0);
  CHECK(hours_from_utc("<+0545>-5:45", 0) == 5.75);
  CHECK(hours_from_utc("<-03>3", 0) == -3);
  CHECK(hours_from_utc("EST5EDT,M3.2.0,M11.1.0", 180 * 24) == -4);
  CHECK(hours_from_utc("IST-1GMT0,M10.5.0,M3.5.0/1", 0) == 0);  // Ireland's winter is the exception
  CHECK(hours_from_utc("IST-1GMT0,M10.5.0,M3.5.0/1", 180 * 24) == 1);
  CHECK(hours_from_utc("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 180 * 24) == -1);
  CHECK(hours_from_utc("AAA0BBB,J60,J61", 59 * 24 + 2) == 1);      // 1 March, every year
  CHECK(hours_from_utc("AAA0BBB,59,60", 59 * 24 + 2) == 1);        // day 59 from 0: 1 March of a common year
  CHECK(hours_from_utc("AAA0BBB-1:30,0/0,J365/25:30", 0) == 1.5);  // all year
}

TEST_CASE("changes of the past count as they are listed, the last one until the yearly rule") {
  const auto zone = TimeZone::parse(time_zone_file("", {100, 3600, 7200}, {{1000, 1}, {2000, 2}, {3000, 1}}));
  REQUIRE(zone.ok());
  CHECK(zone->offset_s(-1'000'000'000'000) == 100);
  CHECK(zone->offset_s(999) == 100);
  CHECK(zone->offset_s(1000) == 3600);
  CHECK(zone->offset_s(1999) == 3600);
  CHECK(zone->offset_s(2000) == 7200);
  CHECK(zone->offset_s(3000) == 3600);
  CHECK(zone->offset_s(1'000'000'000'000) == 3600);
  const auto goes_on = TimeZone::parse(time_zone_file("EEE-5", {100, 3600}, {{1000, 1}}));
  REQUIRE(goes_on.ok());
  CHECK(goes_on->offset_s(999) == 100);
  CHECK(goes_on->offset_s(1000) == 5 * kHour_s);
}

TEST_CASE("the system's zones are read as the C library reads them") {
  for (const char* name :
       {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Europe/Dublin", "Asia/Kolkata",
        "America/Sao_Paulo", "Africa/Casablanca", "America/Nuuk", "Etc/GMT+12", "Pacific/Apia"}) {
    const auto zone = TimeZone::load(system_files(), name);
    INFO(name << ": " << (zone ? "" : zone.error().message));
    REQUIRE(zone.ok());
    const Glibc glibc(name);
    std::optional<std::int64_t> differs;
    for (std::int64_t utc_s = 0; utc_s < 130 * 365 * kDay_s && !differs; utc_s += 6 * kHour_s + 1) {
      if (zone->offset_s(utc_s) != Glibc::offset_s(utc_s)) differs = utc_s;
    }
    CHECK(differs.value_or(-1) == -1);
  }
}

TEST_CASE("a name that is no zone's is refused before a file is looked at") {
  const test::MemoryFiles files({{"/etc/passwd", time_zone_file("UTC0")},
                                 {"/usr/share/zoneinfo/../../../etc/passwd", time_zone_file("UTC0")},
                                 {"/usr/share/zoneinfo//etc/passwd", time_zone_file("UTC0")}});
  for (const std::string name : {"", "/etc/passwd", "../../../etc/passwd", "Europe/../x", "Europe//Berlin",
                                 ".", "Europe/", "Eur ope", "Europe/B\xC3\xA9rlin", "-x"}) {
    const auto zone = TimeZone::load(files, name);
    REQUIRE_FALSE(zone.ok());
    CHECK_THAT(zone.error().message, Catch::Contains("is not a time zone"));
  }
  CHECK_FALSE(TimeZone::load(files, std::string(65, 'A')).ok());
  CHECK_THAT(TimeZone::load(files, "Mars/Base").error().message,
             Catch::Contains("time zone 'Mars/Base' is not known to this system"));
}

TEST_CASE("a broken file is refused at whatever byte it is cut") {
  const std::string whole = time_zone_file("CET-1CEST,M3.5.0,M10.5.0/3", {0, 3600}, {{1, 1}, {2, 0}});
  REQUIRE(TimeZone::parse(whole).ok());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(TimeZone::parse(whole.substr(0, size)).ok());
  }
  CHECK_FALSE(TimeZone::parse(time_zone_file("", {0}, {{2, 0}, {1, 0}})).ok());  // times out of order
  CHECK_FALSE(TimeZone::parse(time_zone_file("", {0}, {{1, 7}})).ok());          // no such kind
  CHECK_FALSE(TimeZone::parse(time_zone_file("", {100'000})).ok());              // more than a day
  for (const char* rule :
       {"C-1", "CET", "CET-25", "CET-1CEST,M13.1.0,M1.1.0", "CET-1CEST,M3.5.0", "<CET-1", "CET-1x"})
    CHECK_FALSE(TimeZone::parse(time_zone_file(rule)).ok());
}
