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

TEST_CASE("so are the shortest needles") {
  for (std::size_t length = 3; length < 600; length += 3) {
    const std::string without(length, 'h');
    for (const std::string_view needle : {std::string_view("1h"), std::string_view("\\u0")}) {
      CHECK_FALSE(holds_rare(without, needle));
      for (std::size_t at = 0; at + needle.size() <= length; at += 7) {
        std::string with = without;
        with.replace(at, needle.size(), needle);
        CHECK(holds_rare(with, needle));
        with[at] = 'x';
        CHECK_FALSE(holds_rare(with, needle));
      }
    }
  }
}
