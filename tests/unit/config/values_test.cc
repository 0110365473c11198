#include "config/values.h"

#include <catch2/catch.hpp>

using namespace ccrules;
using namespace std::chrono_literals;

TEST_CASE("durations are a number with a unit, and zero needs none") {
  CHECK(config::parse_duration("250ms") == 250ms);
  CHECK(config::parse_duration("30s") == 30s);
  CHECK(config::parse_duration("1.5h") == 90min);
  CHECK(config::parse_duration("2 m") == 2min);
  CHECK(config::parse_duration("1d") == 24h);
  CHECK(config::parse_duration("0") == 0ms);
  for (const char* wrong :
       {"", "30", "s", "-1s", "1w", "1e3s", "inf", "nan", "99999999999999999d", "1s1s", " 1s"}) {
    INFO(wrong);
    CHECK_FALSE(config::parse_duration(wrong));
  }
}

TEST_CASE("sizes are bytes, or a number with a unit of 1024") {
  CHECK(config::parse_size("64KB") == 65536);
  CHECK(config::parse_size("500MB") == 524288000);
  CHECK(config::parse_size("1GiB") == 1073741824);
  CHECK(config::parse_size("1.5k") == 1536);
  CHECK(config::parse_size("17") == 17);
  CHECK(config::parse_size("17B") == 17);
  for (const char* wrong : {"", "-1", "KB", "1TB", "1e9MB x", "99999999999999GB"}) {
    INFO(wrong);
    CHECK_FALSE(config::parse_size(wrong));
  }
}

TEST_CASE("a value that does not fit leaves the setting alone and says what would fit") {
  int port = 7;
  const config::Bounds bounds{0, 65535};
  CHECK(config::assign(&port, "70000", bounds) == "must be a whole number from 0 to 65535");
  CHECK(config::assign(&port, "80a", bounds) == "must be a whole number from 0 to 65535");
  CHECK(config::assign(&port, "99999999999999999999", bounds).has_value());
  CHECK(port == 7);
  CHECK_FALSE(config::assign(&port, "80", bounds));
  CHECK(port == 80);
  bool flag = false;
  CHECK(config::assign(&flag, "yes", {}) == "must be true or false");
  std::vector<std::string> list;
  CHECK_FALSE(config::assign(&list, "a, b,,c ", {}));
  CHECK(list == std::vector<std::string>{"a", "b", "c"});
}
