#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "core/json.h"

using namespace ccrules;

namespace {

/// The text of a document that is one string, written into another.
std::string copied(std::string_view document_json) {
  auto document = json::Document::open(document_json);
  REQUIRE(document.ok());
  auto root = document->root();
  REQUIRE(root.ok());
  auto text = root->text();
  REQUIRE(text.ok());
  std::string out;
  json::append_string(out, *text);
  return out;
}

/// The same, read on the way.
std::string rewritten(std::string_view document_json) {
  auto document = json::Document::open(document_json);
  auto read = document->root()->string();
  REQUIRE(read.ok());
  std::string out;
  json::append_string(out, *read);
  return out;
}

json::Text spelt(std::string_view document_json) {
  auto document = json::Document::open(document_json);
  return *document->root()->text();
}

}  // namespace

TEST_CASE("a text that is copied from document to document is spelt as if it had been read and written") {
  const char* inside = GENERATE(
      "", "a", "fifteen letters", "sixteen letters!", "a\\nb", "\\\\", "\\\"quoted\\\" and a\\ttab\\r\\n", "\\b\\f",
      "a text of two blocks with its escape at the ve\\ny end\\\\", "fifteen letters\\n and more of them",
      "Gr\xc3\xbc\xc3\x9f" "e \xe2\x80\xa6 \xf0\x9f\x8c\x8d", "\\/", "\\u00e9", "\\u000a", "\\u0001", "\\ud83c\\udf0d", "\\ud83c",
      "a \xe2\x80\xa8 line", "sixteen letters \xe2\x80\xa9 and a paragraph", "\xe2\x82\xac and \\\\\\\\\\\\\\\\n", "\x7f");
  const std::string document = "\"" + std::string(inside) + "\"";
  CHECK(copied(document) == rewritten(document));
  for (std::size_t before = 1; before < 20; ++before) {
    const std::string moved = "\"" + std::string(before, 'x') + inside + "\"";
    CHECK(copied(moved) == rewritten(moved));
  }
}

TEST_CASE("a text says what it means, however it is kept") {
  json::Text text = spelt(R"("a\tb\\ \"c\"")");
  CHECK(json::TextView(text).starts_with("a"));
  CHECK(text == "a\tb\\ \"c\"");
  CHECK(text == spelt(R"("a\u0009b\\ \"c\"")"));
  std::string out;
  json::append_string(out, text);  // read meanwhile
  CHECK(out == R"("a\tb\\ \"c\"")");
  text += "\n";
  out.clear();
  json::Writer(out).begin_object().member("text", text).end_object();
  CHECK(out == R"({"text":"a\tb\\ \"c\"\n"})");
  json::Text plain = spelt(R"("plain")");
  plain.edit() = "\"";
  out.clear();
  json::append_string(out, plain);
  CHECK(out == R"("\"")");
}

TEST_CASE("a document that lends its texts copies none of them") {
  for (const std::string bytes : {R"("a text without escapes")", R"("a\ttext\nwith some")"}) {
    INFO(bytes);
    auto document = json::Document::open_view(bytes);
    document->lend_texts();
    for (int reading = 0; reading < 2; ++reading) {
      document->rewind();
      json::Text text = *document->root()->text();
      const json::Text copy = text;
      std::string out;
      json::append_string(out, text);
      CHECK(out == bytes);
      if (bytes.find('\\') == std::string::npos) CHECK(text.view().data() == bytes.data() + 1);
      CHECK(text == *document->root()->string());
      text += "!";
      CHECK(text.view().data() != bytes.data() + 1);
      CHECK(text == std::string(copy.view()) + "!");
      CHECK(copy == *document->root()->string());
    }
  }
}

TEST_CASE("a text owns what nobody lends, and what is spelt in another way than we write it") {
  const auto read_in = [](bool lends, std::string bytes) {
    auto document = json::Document::open_view(bytes);
    if (lends) document->lend_texts();
    json::Text text = *document->root()->text();
    std::fill(bytes.begin(), bytes.end(), '?');
    return text;
  };
  CHECK(read_in(false, R"("a text that is longer than a short one")") == "a text that is longer than a short one");
  CHECK(read_in(false, R"("a text\nthat is longer than a short one")") == "a text\nthat is longer than a short one");
  CHECK(read_in(true, R"("\u0061 text\nthat is longer than a short one")") == "a text\nthat is longer than a short one");
}

TEST_CASE("a text is blank when it holds blanks, tabs and line ends only, spelt or read") {
  for (const char* blank : {R"("")", R"(" ")", R"("\n\t \r\n")"}) {
    json::Text text = spelt(blank);
    CHECK(json::TextView(text).is_blank());
    (void)text.edit();
    CHECK(json::TextView(text).is_blank());
  }
  for (const char* said : {R"("a")", R"("  \n.")", R"("\\n")", R"(" \f")", R"("\"")"}) {
    json::Text text = spelt(said);
    CHECK_FALSE(json::TextView(text).is_blank());
    (void)text.edit();
    CHECK_FALSE(json::TextView(text).is_blank());
  }
}

TEST_CASE("a string with an escape that is not JSON's is no text") {
  const char* broken = GENERATE(R"("\x")", R"("fifteen letters\q and more")", R"("\u12")", R"("a\ud8zz")");
  auto document = json::Document::open(broken);
  REQUIRE(document.ok());
  CHECK_FALSE(document->root()->text().ok());
  auto number = json::Document::open("5");
  const auto text = number->root()->text();
  REQUIRE_FALSE(text.ok());
  CHECK(text.error().message == "the body must be a string, not a number");
}
