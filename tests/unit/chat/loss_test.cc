#include <catch2/catch.hpp>
#include <string>

#include "chat/loss.h"

using namespace ccrules;

TEST_CASE("losses that a client names by the thousand are neither a long header nor much work") {
  chat::LossNotes losses;
  losses.add("stop", "why");
  for (int i = 0; i < 100'000; ++i) losses.add("response_format." + std::to_string(i), "not known there");
  losses.add(std::string(1'000'000, 'x'), "long");
  losses.add("stop", "told already");
  CHECK(losses.header_value().starts_with("stop, response_format.0, "));
  CHECK(losses.header_value().ends_with(", others"));
  CHECK(losses.header_value().size() < 10'000);

  chat::LossNotes one;
  one.add(std::string(1'000'000, 'x'), "long");
  CHECK(one.header_value().size() < 1000);
}
