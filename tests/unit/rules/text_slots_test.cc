#include "rules/text_slots.h"

#include <catch2/catch.hpp>
#include <string>

using ccrules::rules::TextSlots;

TEST_CASE("a text is held from when it is kept until another one needs its slot") {
  TextSlots texts;
  const std::size_t slot = TextSlots::slot_of("claude-sonnet-5-5");
  CHECK_FALSE(texts.holds(slot, "claude-sonnet-5-5"));
  CHECK(texts.keep(slot, "claude-sonnet-5-5"));
  CHECK(texts.holds(slot, "claude-sonnet-5-5"));
  CHECK_FALSE(texts.holds(slot, "claude-sonnet-5-6"));
  CHECK_FALSE(texts.holds(slot, "claude-sonnet-5"));
  texts.keep(slot, "gpt-6.1-sol");
  CHECK_FALSE(texts.holds(slot, "claude-sonnet-5-5"));
  CHECK(texts.holds(slot, "gpt-6.1-sol"));
  texts.forget(slot);
  CHECK_FALSE(texts.holds(slot, "gpt-6.1-sol"));
}

TEST_CASE("texts of every length have a slot, and only short ones are kept") {
  TextSlots texts;
  for (std::size_t length = 0; length < 300; ++length) {
    const std::string text(length, 'x');
    const std::size_t slot = TextSlots::slot_of(text);
    REQUIRE(slot < TextSlots::kSlots);
    CHECK_FALSE(texts.holds(slot, text));
    CHECK(texts.keep(slot, text) == (length <= TextSlots::kLongestText));
    CHECK(texts.holds(slot, text) == (length <= TextSlots::kLongestText));
  }
}
