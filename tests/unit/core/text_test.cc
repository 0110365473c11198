#include "core/text.h"

#include <catch2/catch.hpp>

using namespace ccrules;

TEST_CASE("a glob's star takes any run, also none, and everything else stands for itself") {
  CHECK(text::glob_match("claude-*", "claude-"));
  CHECK(text::glob_match("*haiku*", "claude-haiku-5-5"));
  CHECK(text::glob_match("a?c", "abc"));
  CHECK_FALSE(text::glob_match("a?c", "ac"));
  CHECK_FALSE(text::glob_match("claude-*", "Claude-x"));
  CHECK(text::glob_match("claude-*", "Claude-x", true));
  CHECK(text::glob_match("*,*", "openai,gpt-6"));
}

TEST_CASE("did_you_mean offers a near word and keeps silent about far ones") {
  const std::vector<std::string> words = {"base_url", "api_key", "models"};
  CHECK(text::did_you_mean("base_ulr", words) == "base_url");
  CHECK(text::did_you_mean("completely", words).empty());
  const std::vector<std::string> short_words = {"host", "port"};
  CHECK(text::did_you_mean("prot", short_words) == "port");
}

TEST_CASE("bytes that are not UTF-8 become U+FFFD and the rest stays") {
  CHECK(text::to_valid_utf8("a\xff"
                            "b") == "a\xEF\xBF\xBD"
                                    "b");
  CHECK(text::is_valid_utf8("h\xC3\xA9llo \xF0\x9F\x98\x80"));
  CHECK_FALSE(text::is_valid_utf8("\xED\xA0\x80"));
}
