#include <catch2/catch.hpp>

#include "packs/version.h"

using ccrules::packs::Range;
using ccrules::packs::Version;

namespace {

Version version(const char* text) { return Version::parse(text).value(); }
bool fits(const char* range, const char* text) { return Range::parse(range).value().contains(version(text)); }

}  // namespace

TEST_CASE("a version is three numbers, perhaps with a pre-release; build metadata is dropped") {
  CHECK(version("1.2.3").text() == "1.2.3");
  CHECK(version("1.2.3-beta.2+build.7").text() == "1.2.3-beta.2");
  for (const char* wrong : {"", "1", "1.2", "1.2.3.4", "v1.2.3", "01.2.3", "1.2.x", "1.2.3-", "1.2.3-01", "1.2.3+", "-1.2.3",
                            "1.2.3 ", "99999999999.0.0", "1.2.3-a..b"}) {
    INFO(wrong);
    CHECK_FALSE(Version::parse(wrong));
  }
}

TEST_CASE("versions order as semver.org orders its own examples") {
  const char* const order[] = {"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
                               "1.0.0-rc.1",  "1.0.0",         "1.0.1",            "1.2.0",      "1.10.0",       "2.0.0"};
  for (std::size_t i = 0; i + 1 < std::size(order); ++i) {
    INFO(order[i] << " < " << order[i + 1]);
    CHECK(version(order[i]) < version(order[i + 1]));
    CHECK_FALSE(version(order[i + 1]) < version(order[i]));
  }
}

TEST_CASE("ranges: comparators, caret, tilde, open parts and alternatives") {
  CHECK(fits(">=1.2 <2", "1.2.0"));
  CHECK(fits(">= 1.2, < 2", "1.99.0"));
  CHECK_FALSE(fits(">=1.2 <2", "2.0.0"));
  CHECK(fits("^1.2.3", "1.9.0"));
  CHECK_FALSE(fits("^1.2.3", "1.2.2"));
  CHECK_FALSE(fits("^1.2.3", "2.0.0"));
  CHECK(fits("^0.2.3", "0.2.9"));
  CHECK_FALSE(fits("^0.2.3", "0.3.0"));
  CHECK_FALSE(fits("^0.0.3", "0.0.4"));
  CHECK(fits("~1.2", "1.2.9"));
  CHECK_FALSE(fits("~1.2.3", "1.3.0"));
  CHECK(fits("1.x", "1.7.0"));
  CHECK(fits("1.2", "1.2.7"));
  CHECK_FALSE(fits("1.2", "1.3.0"));
  CHECK(fits(">1.2", "1.3.0"));
  CHECK_FALSE(fits(">1.2", "1.2.9"));
  CHECK(fits("<=1.2", "1.2.9"));
  CHECK(fits("*", "0.0.1"));
  CHECK(fits("1.0.0 || >=3", "3.1.0"));
  CHECK_FALSE(fits("1.0.0 || >=3", "2.0.0"));
}

TEST_CASE("a pre-release fits only a range that names a pre-release of the same version") {
  CHECK_FALSE(fits(">=1.0.0", "2.0.0-beta"));
  CHECK(fits(">=2.0.0-alpha", "2.0.0-beta"));
  CHECK_FALSE(fits(">=2.0.0-alpha", "2.1.0-beta"));
}

TEST_CASE("what is no range is refused") {
  for (const char* wrong : {"", " ", "latest", ">=", "1.2.3.4", "^", "^x", "1.x.3", ">>1", "||", "1 ||", "1.2-beta"}) {
    INFO(wrong);
    CHECK_FALSE(Range::parse(wrong));
  }
}
