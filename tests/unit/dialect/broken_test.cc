#include "dialect/broken.h"

#include <catch2/catch.hpp>

using namespace ccrules;
using dialect::described;

TEST_CASE("what came instead of an answer is named in few words") {
  CHECK(described("") == "nothing");
  CHECK(described(" \n") == "nothing");
  CHECK(described("<!DOCTYPE html><HTML><head><title>Sign in</title>") == "a page of HTML (\"Sign in\")");
  CHECK(described("\xEF\xBB\xBF<html></html>") == "a page of HTML");
  CHECK(described("<?xml version=\"1.0\"?><Error/>") == "markup");
  CHECK(described("{\"a\":1}") == "JSON");
  CHECK(described("{\"a\":") == "JSON that breaks off or is wrong");
  CHECK(described("upstream timed out\nline two") == "text (\"upstream timed out\")");
  CHECK(described(std::string("\x1f\x8b\x00", 3)) == "bytes that are no text");
}

TEST_CASE("what is shown of it is short, whole characters, and without keys") {
  const std::string umlauts = described("a" + [] {
    std::string text;
    for (std::size_t i = 0; i < 120; ++i) text += "ä";
    return text;
  }());
  CHECK(umlauts.size() < 140);
  CHECK(umlauts.ends_with("ä …\")"));
  CHECK(described("wrong key sk-ant-0123456789abcdef") == "text (\"wrong key [key removed]\")");
}
