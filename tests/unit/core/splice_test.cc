#include "core/splice.h"

#include <catch2/catch.hpp>

#include "core/json.h"

using namespace ccrules;
using json::Edit;

namespace {

std::string spliced(std::string_view text, const std::vector<Edit>& edits) {
  auto out = json::splice(text, edits);
  REQUIRE(out.ok());
  INFO(*out);
  CHECK(json::is_valid(*out));
  return *std::move(out);
}

}  // namespace

TEST_CASE("a replaced member leaves every other byte as it came") {
  CHECK(spliced("{ \"model\" : \"a\",\n\t\"n\": 1.50, \"x\":\"\\u00e9\" }", {{{"model"}, "\"b\""}}) ==
        "{ \"model\" : \"b\",\n\t\"n\": 1.50, \"x\":\"\\u00e9\" }");
  CHECK(spliced(R"({"a":{"model":1},"model":2})", {{{"model"}, "3"}}) == R"({"a":{"model":1},"model":3})");
}

TEST_CASE("a missing member is appended, a missing parent is created") {
  CHECK(spliced("{}", {{{"a"}, "1"}}) == R"({"a":1})");
  CHECK(spliced(" { } ", {{{"a"}, "1"}}) == R"( {"a":1 } )");
  CHECK(spliced(R"({"a":1})", {{{"b"}, "2"}, {{"c"}, "3"}}) == R"({"a":1,"b":2,"c":3})");
  CHECK(spliced(R"({"a":1})", {{{"t", "x"}, "2"}, {{"t", "y"}, "3"}}) == R"({"a":1,"t":{"x":2,"y":3}})");
  CHECK(spliced(R"({"t":{"x":1}})", {{{"t", "y"}, "3"}}) == R"({"t":{"x":1,"y":3}})");
  CHECK(spliced(R"({"t":null,"z":0})", {{{"t", "y"}, "3"}}) == R"({"t":{"y":3},"z":0})");
}

TEST_CASE("a removed member takes one comma along, wherever it stands") {
  CHECK(spliced(R"({"a":1, "b":2, "c":3})", {{{"a"}, ""}}) == R"({"b":2, "c":3})");
  CHECK(spliced(R"({"a":1, "b":2, "c":3})", {{{"b"}, ""}}) == R"({"a":1, "c":3})");
  CHECK(spliced(R"({"a":1, "b":2, "c":3})", {{{"c"}, ""}}) == R"({"a":1, "b":2})");
  CHECK(spliced(R"({"a":1, "b":2, "c":3})", {{{"a"}, ""}, {{"b"}, ""}}) == R"({"c":3})");
  CHECK(spliced(R"({"a":1, "b":2, "c":3})", {{{"b"}, ""}, {{"c"}, ""}}) == R"({"a":1})");
  CHECK(spliced(R"({"a":1, "b":2, "c":3})", {{{"a"}, ""}, {{"b"}, ""}, {{"c"}, ""}}) == "{}");
  CHECK(spliced(R"({"a":1})", {{{"b"}, ""}, {{"c", "d"}, ""}}) == R"({"a":1})");
  CHECK(spliced(R"({"t":{"x":1}})", {{{"t", "x"}, ""}}) == R"({"t":{}})");
}

TEST_CASE("removing and appending meet without losing a comma") {
  CHECK(spliced(R"({"a":1})", {{{"a"}, ""}, {{"b"}, "2"}}) == R"({"b":2})");
  CHECK(spliced(R"({"a":1,"b":2})", {{{"b"}, ""}, {{"c"}, "3"}}) == R"({"a":1,"c":3})");
  CHECK(spliced(R"({"a":1,"b":2,"x":9})", {{{"a"}, ""}, {{"x"}, ""}, {{"c"}, "3"}}) == R"({"b":2,"c":3})");
}

TEST_CASE("edits apply in order: a later one sees the earlier one's result") {
  CHECK(spliced(R"({"a":1})", {{{"a"}, "2"}, {{"a"}, "3"}}) == R"({"a":3})");
  CHECK(spliced(R"({"t":{"x":1}})", {{{"t"}, R"({"type":"enabled"})"}, {{"t", "budget"}, "9"}}) ==
        R"({"t":{"type":"enabled","budget":9}})");
  CHECK(spliced(R"({"t":{"x":1}})", {{{"t", "x"}, "2"}, {{"t"}, "null"}}) == R"({"t":null})");
  CHECK(spliced(R"({"t":{"x":1}})", {{{"t"}, ""}, {{"t", "y"}, "2"}}) == R"({"t":{"y":2}})");
  CHECK(spliced(R"({"t":{"x":1}})", {{{"t"}, ""}, {{"t", "y"}, ""}}) == "{}");
}

TEST_CASE("all occurrences of a duplicated key are edited") {
  CHECK(spliced(R"({"m":1,"x":0,"m":2})", {{{"m"}, "3"}}) == R"({"m":3,"x":0,"m":3})");
  CHECK(spliced(R"({"m":1,"x":0,"m":2})", {{{"m"}, ""}}) == R"({"x":0})");
  CHECK(spliced(R"({"m":1,"m":2})", {{{"m"}, ""}}) == "{}");
}

TEST_CASE("names are compared decoded and written escaped") {
  CHECK(spliced(R"({"mod\u0065l":1})", {{{"model"}, "2"}}) == R"({"mod\u0065l":2})");
  CHECK(spliced("{}", {{{"a\"b"}, "2"}}) == R"({"a\"b":2})");
}

TEST_CASE("what is not a valid object is refused") {
  for (const char* text : {"", "[]", "1", "{", "{} x", R"({"a":tru})", R"({"a":1}})"}) {
    INFO(text);
    CHECK_FALSE(json::splice(text, {{{"a"}, "1"}}).ok());
  }
}

TEST_CASE("nothing to change gives the same bytes") {
  const std::string text = R"( {"a" : [1 , 2]} )";
  CHECK(spliced(text, {}) == text);
  CHECK(spliced(text, {{{"a"}, "[1 , 2]"}}) == text);
}
