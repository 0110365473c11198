#include "core/search.h"

#include <catch2/catch.hpp>

#include <string>

using namespace ccrules;

TEST_CASE("a rare needle is found wherever it stands, and nothing else is taken for it") {
  constexpr std::string_view kNeedle = "\"ccr1.";
  for (std::size_t length = 0; length < 600; ++length) {
    const std::string without(length, 'c');
    CHECK_FALSE(holds_rare(without, kNeedle));
    for (std::size_t at = 0; at + kNeedle.size() <= length; at += 7) {
      std::string with = without;
      with.replace(at, kNeedle.size(), kNeedle);
      CHECK(holds_rare(with, kNeedle));
      with[at] = 'x';  // its last bytes alone are not it
      CHECK_FALSE(holds_rare(with, kNeedle));
    }
    if (length < kNeedle.size()) continue;
    std::string at_end = without;
    at_end.replace(length - kNeedle.size(), kNeedle.size(), kNeedle);
    CHECK(holds_rare(at_end, kNeedle));
    CHECK_FALSE(holds_rare(std::string_view(at_end).substr(0, length - 1), kNeedle));
  }
  CHECK_FALSE(holds_rare("1.", kNeedle));
  CHECK_FALSE(holds_rare("", kNeedle));
}

TEST_CASE("either of two rare needles is found wherever it stands") {
  constexpr std::string_view kHour = "1h";
  constexpr std::string_view kEscape = "\\u0";
  for (std::size_t length = 3; length < 600; length += 3) {
    const std::string without(length, 'h');
    CHECK_FALSE(holds_either_rare(without, kHour, kEscape));
    for (std::size_t at = 0; at + kEscape.size() <= length; at += 7) {
      for (const std::string_view needle : {kHour, kEscape}) {
        std::string with = without;
        with.replace(at, needle.size(), needle);
        CHECK(holds_either_rare(with, kHour, kEscape));
        CHECK(holds_either_rare(with, kEscape, kHour));
        with[at] = 'x';
        CHECK_FALSE(holds_either_rare(with, kHour, kEscape));
      }
    }
  }
}
