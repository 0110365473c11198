#include "core/json.h"

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "core/limits.h"

using namespace ccrules;

namespace {

json::Document open(std::string_view text) {
  auto document = json::Document::open(text);
  REQUIRE(document.ok());
  return *std::move(document);
}

/// The error of reading the whole text, or "".
std::string error_of(std::string_view text) {
  auto document = json::Document::open(text);
  if (!document.ok()) return document.error().message;
  const auto end = document->at_end();
  return end.ok() ? "" : end.error().message;
}

std::string escaped(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

std::string decoded(std::string_view literal) {
  auto document = open(literal);
  auto text = document.root()->string();
  REQUIRE(text.ok());
  return std::string(*text);
}

}  // namespace

TEST_CASE("texts and names of any length are written with the escapes they need, wherever those stand") {
  for (std::size_t size = 0; size <= 60; ++size) {
    for (std::size_t at = 0; at <= size; ++at) {
      for (const auto& [byte, spelt] : std::initializer_list<std::pair<const char*, const char*>>{{"a", "a"}, {"\"", "\\\""}, {"\\", "\\\\"}, {"\x1f", "\\u001f"}, {"\n", "\\n"}, {"\x7f", "\x7f"},
                                        {"\xc3\xbc", "\xc3\xbc"}, {"\xff", "\xef\xbf\xbd"}}) {
        const std::string before(at, 'x');
        const std::string behind(size - at, '~');
        const std::string literal = '"' + before + spelt + behind + '"';
        CAPTURE(literal);
        CHECK(escaped(before + byte + behind) == literal);
        std::string out;
        json::Writer(out).begin_object().member(before + byte + behind, 1).key(before + byte + behind).boolean(true).end_object();
        CHECK(out == "{" + literal + ":1," + literal + ":true}");
      }
    }
  }
}

TEST_CASE("an object is walked member by member, and what is not read is skipped") {
  auto document = open(R"({"model":"m","skipped":{"a":[1,{"b":2}]},"n":7,"list":[true,null,-2.5]})");
  auto root = document.root_object();
  REQUIRE(root.ok());
  std::vector<std::string> keys;
  while (root->next()) {
    keys.emplace_back(root->key());
    if (root->key() == "model") CHECK(*root->value().string() == "m");
    if (root->key() == "n") CHECK(*root->value().integer() == 7);
    if (root->key() == "list") {
      auto list = root->value().array();
      REQUIRE(list.ok());
      REQUIRE(list->next());
      CHECK(*list->value().boolean());
      REQUIRE(list->next());
      CHECK(list->value().is_null());
      REQUIRE(list->next());
      CHECK(*list->value().number() == -2.5);
      CHECK_FALSE(list->next());
      CHECK(list->done().ok());
    }
  }
  CHECK(root->done().ok());
  CHECK(document.at_end().ok());
  CHECK(keys == std::vector<std::string>{"model", "skipped", "n", "list"});
}

TEST_CASE("a container left half read is finished by the next step of its parent") {
  auto document = open(R"([[1,2,[3,4]],{"a":{"b":1},"c":2},5])");
  auto list = document.root()->array();
  REQUIRE(list->next());
  auto inner = list->value().array();
  REQUIRE(inner->next());
  CHECK(*inner->value().integer() == 1);
  REQUIRE(list->next());
  auto object = list->value().object();
  REQUIRE(object->next());
  auto deeper = object->value().object();
  REQUIRE(deeper.ok());
  REQUIRE(list->next());
  CHECK(*list->value().integer() == 5);
  CHECK_FALSE(list->next());
  CHECK(list->done().ok());
}

TEST_CASE("duplicate keys are both handed out") {
  auto document = open(R"({"a":1,"a":2})");
  auto root = document.root_object();
  int sum = 0;
  while (root->next()) sum = sum * 10 + static_cast<int>(*root->value().integer());
  CHECK(sum == 12);
}

TEST_CASE("malformed JSON shows in done(), also inside what was skipped") {
  for (const char* text : {R"({"a":1 "b":2})", R"({"a" 1})", R"({"a":1,})", R"({"a":[1,]})", R"({"a":[1 2]})", R"({"a":{"b"}})",
                           R"({"a":tru})", R"({"a":01})", R"({"a":1.})", R"({"a":-})", R"({"a":"\q"})", R"({"a":"\u12g4"})",
                           R"({a:1})", R"({"a":1]})", R"({"a":[1})", R"({"a":1)", R"({"a":)", R"({"a")", R"({)", R"({"a":"x"y})",
                           R"({"a":12"x"})", R"({"\q":1})", R"({"a":+1})", R"({"a":.5})", R"({"a":1e})", R"({"a":NaN})", R"({,})"}) {
    INFO(text);
    auto document = json::Document::open(text);
    if (!document.ok()) continue;  // found by the first stage
    auto root = document->root_object();
    REQUIRE(root.ok());
    while (root->next()) {
    }
    CHECK_FALSE(root->done().ok());
    CHECK(root->done().error().http_status == 400);
    CHECK_FALSE(json::is_valid(text));
  }
}

TEST_CASE("is_valid takes exactly one JSON value") {
  for (const char* text : {"1", " true ", "null", "\"x\"", "[]", "{}", "[1,2]", "-0", "1e5", "1E-5", "0.5", "\"\\u0000\\n\"", "[[],{}]"}) {
    INFO(text);
    CHECK(json::is_valid(text));
  }
  for (const char* text : {"", " ", "1 2", "{} {}", "[] ]", "x", "\"a", "01", "\xff", "\"\xff\"", "\"a\nb\"", "tr ue", "[1,2"}) {
    INFO(text);
    CHECK_FALSE(json::is_valid(text));
  }
}

TEST_CASE("an error names the place and what was there instead") {
  auto document = open(R"({"messages":[{"role":"user"},{"role":"user","content":5}]})");
  auto root = document.root_object();
  REQUIRE(root->next());
  auto messages = root->value().array();
  REQUIRE(messages->next());
  REQUIRE(messages->next());
  auto message = messages->value().object();
  REQUIRE(message->next());
  REQUIRE(message->next());
  CHECK(message->value().string().error().message == "messages[1].content must be a string, not a number");
  CHECK(message->value().path() == "messages[1].content");
  CHECK(*message->value().integer() == 5);
  CHECK(open("[1]").root_object().error().message == "the body must be an object, not an array");
  CHECK(open("-1.5").root_object().error().message == "the body must be an object, not a number");
  for (const char* none : {"model=m&x=1", "<xml/>", "\xef\xbb\xbf{}", "-", "tru", "'{}'"}) {
    INFO(none);
    CHECK(open(none).root_object().error().message == "the JSON is malformed at byte 0 (the body): expected a value");
  }
}

TEST_CASE("a malformed place is named by byte and path, without quoting the text") {
  CHECK(error_of(R"({"messages":[{"content":"secret" "x":1}]})") ==
        "the JSON is malformed at byte 33 (messages[0].content): expected ',' or '}'");
  CHECK(error_of("") == "the body is empty");
  CHECK(error_of("{\"a\":\"\xff\"}") == "the body is not valid UTF-8");
}

TEST_CASE("nesting beyond the limit is refused, read or skipped") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(json::is_valid(nested(limits::kJsonDepth)));
  CHECK_FALSE(json::is_valid(nested(limits::kJsonDepth + 1)));
  CHECK_FALSE(json::is_valid(nested(200000)));
}

TEST_CASE("strings are decoded: escapes, surrogate pairs, lone surrogates as U+FFFD, NUL kept") {
  CHECK(decoded(R"("plain")") == "plain");
  CHECK(decoded(R"("a\n\t\"\\\/\b\f\r")") == "a\n\t\"\\/\b\f\r");
  CHECK(decoded(R"("\u00e9\u20ac")") == "\xC3\xA9\xE2\x82\xAC");
  CHECK(decoded(R"("\ud83d\ude00")") == "\xF0\x9F\x98\x80");
  CHECK(decoded(R"("\ud83dx")") == "\xEF\xBF\xBDx");
  CHECK(decoded(R"("\ude00")") == "\xEF\xBF\xBD");
  CHECK(decoded(R"("\ud83d\u0041")") == "\xEF\xBF\xBD" "A");
  CHECK(decoded(R"("a\u0000b")") == std::string("a\0b", 3));
}

TEST_CASE("whole numbers are exact, and 5.0 and 1e3 count as whole") {
  const auto integer = [](std::string_view text) { return open(text).root()->integer(); };
  CHECK(*integer("9223372036854775807") == INT64_MAX);
  CHECK(*integer("-9223372036854775808") == INT64_MIN);
  CHECK(*integer("9007199254740993") == 9007199254740993);
  CHECK(*integer("5.0") == 5);
  CHECK(*integer("1e3") == 1000);
  CHECK(integer("5.5").error().message == "the body must be a whole number");
  CHECK_FALSE(integer("9223372036854775808").ok());
  CHECK_FALSE(integer("1e400").ok());
  CHECK_FALSE(integer("\"5\"").ok());
}

TEST_CASE("raw gives a value's own bytes, checked") {
  auto document = open(R"({"a": {"z": 1.50, "y": [ 9007199254740993 ]} , "b": "x\u00e9" , "c":12 })");
  auto root = document.root_object();
  REQUIRE(root->next());
  CHECK(*root->value().raw() == R"({"z": 1.50, "y": [ 9007199254740993 ]})");
  REQUIRE(root->next());
  CHECK(*root->value().raw() == R"("x\u00e9")");
  REQUIRE(root->next());
  CHECK(root->value().offset() == 68);
  CHECK(root->key_offset() == 64);
  CHECK(*root->value().raw() == "12");
  auto broken = open(R"({"a":[{"b":01}]})");
  auto object = broken.root_object();
  REQUIRE(object->next());
  CHECK_FALSE(object->value().raw().ok());
}

TEST_CASE("a tag that stands after what it describes can be peeked at") {
  auto document = open(R"([{"text":{"type":"inner"},"type":"text"},{"type":"t\n"},{"x":1,"t\u0079pe":"te\u0078t"},{"x":1},7])");
  auto list = document.root()->array();
  REQUIRE(list->next());
  CHECK(list->value().peek_string("type") == "text");
  auto object = list->value().object();
  REQUIRE(object->next());
  CHECK(object->key() == "text");
  REQUIRE(list->next());
  CHECK(list->value().peek_string("type") == "t\n");
  REQUIRE(list->next());
  CHECK(list->value().peek_string("type") == "text");
  CHECK(list->value().peek_string("xype") == std::nullopt);
  REQUIRE(list->next());
  CHECK(list->value().peek_string("type") == std::nullopt);
  REQUIRE(list->next());
  CHECK(list->value().peek_string("type") == std::nullopt);
  CHECK(*list->value().integer() == 7);
  auto wrong = open(R"({"type":"\q"})");
  CHECK(wrong.root()->peek_string("type") == std::nullopt);
}

TEST_CASE("documents nest: a text inside a text") {
  auto outer = open(R"({"user_id":"{\"session_id\":\"s-1\"}","after":3})");
  auto root = outer.root_object();
  REQUIRE(root->next());
  auto inner = open(*root->value().string());
  auto object = inner.root_object();
  REQUIRE(object->next());
  CHECK(object->key() == "session_id");
  CHECK(*object->value().string() == "s-1");
  REQUIRE(root->next());
  CHECK(*root->value().integer() == 3);
}

TEST_CASE("compact drops white space outside of strings and nothing else") {
  CHECK(json::compact("{ \"a b\" : [ 1.50 , \"x \\n y\" ] ,\n\t\"c\":null }") == R"({"a b":[1.50,"x \n y"],"c":null})");
}

TEST_CASE("written strings are valid JSON whatever the bytes (G-40)") {
  CHECK(escaped("plain text, 40 bytes long, no escapes at all") == "\"plain text, 40 bytes long, no escapes at all\"");
  CHECK(escaped("a\"b\\c\n\r\t\b\f\x01\x1f") == R"("a\"b\\c\n\r\t\b\f\u0001\u001f")");
  CHECK(escaped("\xC3\xA9\xF0\x9F\x98\x80") == "\"\xC3\xA9\xF0\x9F\x98\x80\"");
  CHECK(escaped("a\xE2\x80\xA8" "b\xE2\x80\xA9") == R"("a\u2028b\u2029")");
  CHECK(escaped("\xff" "a\xE2\x82") == "\"\xEF\xBF\xBD" "a\xEF\xBF\xBD\xEF\xBF\xBD\"");
  CHECK(escaped("\xED\xA0\x80") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
  for (std::size_t at = 0; at < 40; ++at) {
    std::string text(40, 'x');
    text[at] = '"';
    std::string expected(40, 'x');
    expected.replace(at, 1, "\\\"");
    CHECK(escaped(text) == '"' + expected + '"');
    CHECK(decoded(escaped(text)) == text);
  }
}

TEST_CASE("the writer puts commas where they belong") {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().member("a", 1).key("b").begin_array().integer(1).string("x").begin_object().end_object().null().end_array();
  writer.member("c", "text").member("d", true).member("e", 0.5).member_raw("f", "{\"g\":1}").key("h").number(1.0 / 0.0 * 0).end_object();
  CHECK(out == R"({"a":1,"b":[1,"x",{},null],"c":"text","d":true,"e":0.5,"f":{"g":1},"h":null})");
}

TEST_CASE("a second reading goes around what any first one passed over, and reads everything else") {
  const std::string deep = R"({"d":{"e":{"f":{"g":{"h":[[1],{}]}}}}})";
  const std::string text = R"({"a":{"x":[1,{"type":"no"}]},"b":[{"c":)" + deep + R"(,"type":"t"},{"c":[{"type":1}],"type":"u"}],"z":[ ]})";
  for (const int first : {0, 1, 2, 3}) {
    CAPTURE(first);
    auto document = json::Document::open_view(text, json::Escapes::kUnchecked);
    REQUIRE(document.ok());
    if (first == 1) CHECK(document->at_end().ok());
    if (first > 1) {
      auto root = document->root_object();
      while (root->next()) {
        if (root->key() != "b" || first == 2) {
          CHECK(root->value().raw().ok());
          continue;
        }
        auto items = root->value().array();
        while (items->next()) {
          auto item = items->value().object();
          while (item->next()) CHECK(item->value().raw().ok());
        }
      }
      CHECK(document->at_end().ok());
    }
    document->rewind();
    std::string seen;
    auto root = document->root_object();
    while (root->next()) {
      if (root->key() != "b") {
        seen += *root->value().raw();
        continue;
      }
      auto items = root->value().array();
      while (items->next()) {
        seen += *items->value().peek_string("type");
        CHECK_FALSE(items->value().peek("h").has_value());
        auto item = items->value().object();
        while (item->next()) seen += item->value().peek_raw();  // not read: next() passes over it
      }
    }
    CHECK(root->done().ok());
    CHECK(document->at_end().ok());
    CHECK(seen == R"({"x":[1,{"type":"no"}]}t)" + deep + R"("t"u[{"type":1}]"u"[ ])");
    document->rewind();  // once more, over what was read now
    auto again = document->root_object();
    std::string members;
    while (again->next()) members += *again->value().raw();
    CHECK(document->at_end().ok());
    CHECK(members == R"({"x":[1,{"type":"no"}]}[{"c":)" + deep + R"(,"type":"t"},{"c":[{"type":1}],"type":"u"}][ ])");
  }
}

TEST_CASE("a member is found at any depth of a value and not behind it, passed over before or not") {
  const std::string text = R"({"a":{"b":[{"c":"wanted"},[{"d":{ }}]],"e":1} ,"wanted":{},"f":[{"wanted":2}],"g":3})";
  const auto is_wanted = [](std::string_view key, const json::Value& value) { return key == "wanted" && !value.is(json::Type::kString); };
  for (const bool passed : {false, true}) {
    CAPTURE(passed);
    auto document = json::Document::open_view(text);
    if (passed) CHECK(document->at_end().ok());
    document->rewind();
    auto root = document->root();
    CHECK(root->peek_any(is_wanted));
    CHECK(root->peek_raw() == text);
    auto members = root->object();
    std::string found;
    while (members->next()) {
      if (members->value().peek_any(is_wanted)) found += members->key();
      if (members->key() == "a") CHECK(members->value().peek_raw() == R"({"b":[{"c":"wanted"},[{"d":{ }}]],"e":1})");
    }
    CHECK(members->done().ok());
    CHECK(found == "f");
  }
  auto open = json::Document::open_view(R"({"a":{"wanted":1)");
  CHECK(open->root()->peek_any(is_wanted));
  CHECK_FALSE(json::Document::open_view(R"({"a":[{)")->root()->peek_any(is_wanted));
}

TEST_CASE("a NUL where a value should be does not end the document for who looks ahead") {
  const std::string object("{\"b\":\0,\"c\":[1]}", 15);
  const std::string text = "[" + object + ",2]";
  auto document = json::Document::open_view(text);
  REQUIRE(document.ok());
  auto items = document->root()->array();
  REQUIRE((items.ok() && items->next()));
  CHECK(items->value().peek_raw() == object);
  CHECK(items->value().peek("c")->peek_raw() == "[1]");
  CHECK_FALSE(document->at_end().ok());
}

TEST_CASE("names of any length are read, found and checked, with an escape at any place and up to the end of the text") {
  for (std::size_t size = 0; size <= 40; ++size) {
    for (std::size_t at = 0; at <= size; ++at) {
      std::string name(size, 'n');
      std::string spelt = name;
      if (at < size) {
        name[at] = '"';
        spelt.replace(at, 1, "\\\"");
      }
      CAPTURE(spelt);
      const std::string text = R"({"a":{")" + spelt + R"(":1},")" + spelt + R"(":"\n"})";
      auto document = json::Document::open_view(text);
      CHECK(document->at_end().ok());
      document->rewind();
      auto root = document->root_object();
      REQUIRE(root->next());
      CHECK(root->value().peek(name).has_value());
      CHECK_FALSE(root->value().peek(name + 'n').has_value());
      auto inner = root->value().object();
      REQUIRE(inner->next());
      CHECK(inner->key() == name);
      REQUIRE(root->next());
      CHECK(root->key() == name);
      CHECK(*root->value().string() == "\n");
      CHECK_FALSE(root->next());
      CHECK(root->done().ok());
      if (at == size) continue;
      spelt[at + 1] = 'x';
      CHECK(error_of(R"({"a":[{")" + spelt + R"(":1}]})") == "the JSON is malformed at byte 7 (a[0]): expected a member name in quotes");
      CHECK(error_of(R"({")" + spelt + R"(":1})") == "the JSON is malformed at byte 1 (the body): expected a member name in quotes");
    }
  }
}

TEST_CASE("a watched name is seen wherever it stands, read or passed over") {
  const auto sees = [](const std::string& text, bool read) {
    auto document = json::Document::open_view(text, json::Escapes::kUnchecked);
    REQUIRE(document.ok());
    document->watch("ttl");
    auto root = document->root_object();
    while (read && root->next()) {
      if (root->value().is(json::Type::kObject)) CHECK(root->value().object()->done().ok());
    }
    CHECK(document->at_end().ok());
    return document->saw_watched();
  };
  for (const bool read : {false, true}) {
    CAPTURE(read);
    CHECK_FALSE(sees(R"({"a":"ttl","b":["ttl",{"ttls":1,"TTL":2}],"c":{"d":{}}})", read));
    CHECK(sees(R"({"a":[{"b":{"ttl":"1h"}}]})", read));
    CHECK(sees(R"({"ttl":1})", read));
    CHECK(sees(R"({"a":{"ttl":1}})", read));
    CHECK(sees(R"({"a":{"b":[{"t\u0074l":1}]}})", read));
  }
  CHECK_FALSE(sees(R"({"a":1})", true));  // a document is watched for itself
  auto document = json::Document::open_view(R"({"a":[{"ttl":1}]})");
  REQUIRE(document.ok());
  CHECK(document->at_end().ok());
  document->watch("ttl");  // also what an earlier reading passed over
  document->rewind();
  CHECK(document->at_end().ok());
  CHECK(document->saw_watched());
}
