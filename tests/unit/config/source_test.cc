#include "config/source.h"

#include <catch2/catch.hpp>

using namespace ccrules;

namespace {

std::string blanked(std::string_view text) {
  std::optional<std::size_t> unclosed;
  return config::blank_comments(text, unclosed);
}

/// "line:column message" of the only complaint; empty when there is none.
std::string complaint(const std::string& text) {
  std::vector<config::Diagnostic> diagnostics;
  const auto tree = config::Source("f", text).parse(diagnostics);
  if (tree) return "";
  REQUIRE(diagnostics.size() == 1);
  const config::Diagnostic& only = diagnostics.front();
  return std::to_string(only.where.line) + ":" + std::to_string(only.where.column) + " " + only.message;
}

}  // namespace

TEST_CASE("comments and trailing commas become spaces, and nothing moves") {
  CHECK(blanked("{\"a\": 1, // x\n}") == "{\"a\": 1      \n}");
  CHECK(blanked("[1,/*,*/]") == "[1      ]");
  CHECK(blanked("[1,,]") == "[1, ]");
  CHECK(blanked("\"//\\\" /* , ]\"") == "\"//\\\" /* , ]\"");
  CHECK(blanked("\xEF\xBB\xBF{}") == "   {}");
  CHECK(blanked("/* a\r\nb */1") == "    \r\n    1");
}

TEST_CASE("a syntax error is shown where it is, in words") {
  CHECK(complaint("{\"a\" 1}") == "1:6 expected ':' after the name, but there is '1'");
  CHECK(complaint("{\n  \"a\": 1\n  \"b\": 2\n}") ==
        "3:3 expected ',' or '}' after the value, but there is '\"'");
  CHECK(complaint("{\"a\": [1 2]}") == "1:10 expected ',' or ']' after the value, but there is '2'");
  CHECK(complaint("{\"a\": 1") == "1:1 this '{' is never closed");
  CHECK(complaint("{\"a\": [1") == "1:7 this '[' is never closed");
  CHECK(complaint("{a: 1}") == "1:2 expected a name in double quotes, but there is 'a'");
  CHECK(complaint("{\"a\": yes}") == "1:7 texts need double quotes");
  CHECK(complaint("{\"a\": 01}") == "1:7 '01' is not a number");
  CHECK(complaint("{\"a\": }") == "1:7 expected a value, but there is '}'");
  CHECK(complaint("{\"a\": \"x\n\"}") == "1:7 this text has no closing quote on its line");
  CHECK(complaint("{\"a\": \"\\x\"}") == "1:8 unknown escape; write \\\\ for a backslash");
  CHECK(complaint("{} {}") == "1:4 nothing may follow the configuration's closing '}', but there is '{'");
  CHECK(complaint("") == "1:1 expected a value, but the file ends here");
  CHECK(complaint("{ /* }") == "1:3 this comment is never closed");
  CHECK(complaint("{\"\xC3\xA4\": \xff}") == "1:7 the file is not UTF-8 here; save it as UTF-8");
  CHECK(complaint(std::string(300, '[')).find("values are nested too deeply") != std::string::npos);
}

TEST_CASE("columns count characters, whatever they take in bytes") {
  const config::Source source("f", "\xEF\xBB\xBF{\r\n\t\"\xE2\x82\xAC\": 1\r\n}");
  CHECK(source.where(3).column == 1);
  CHECK(source.where(13).line == 2);
  CHECK(source.where(13).column == 6);
  CHECK(source.line(13) == "\t\"\xE2\x82\xAC\": 1");
  CHECK(source.where(100000).line == 3);
}

TEST_CASE("a shown line stars out secrets and leaves their length and variables") {
  const auto line = [](const std::string& text) { return config::Source("f", text).line(0); };
  CHECK(line(R"({"api_key": "sk-1234", "port": "x"})") == R"({"api_key": "*******", "port": "x"})");
  CHECK(line(R"("Authorization":"Bearer abc)") == R"("Authorization":"**********)");
  CHECK(line(R"("api_key": "${KEY}")") == R"("api_key": "${KEY}")");
  CHECK(line(R"("x_token": "a\"b", "y": "c")") == R"("x_token": "****", "y": "c")");
  CHECK(line(R"({"api_keys": ["sk-A", "${B}", "sk-C"], "models": ["m"]})") == R"({"api_keys": ["****", "${B}", "****"], "models": ["m"]})");
  const std::string several = "{\n  \"api_keys\": [ // [ \"no\" ]\n    \"sk-1\",\n    \"sk-2\" ], \"x\": \"y\",\n  \"models\": [\n    \"m-1\"\n  ]\n}";
  const config::Source source("f", several);
  CHECK(source.line(several.find("sk-1")) == "    \"****\",");
  CHECK(source.line(several.find("sk-2")) == "    \"****\" ], \"x\": \"y\",");
  CHECK(source.line(several.find("m-1")) == "    \"m-1\"");
}

TEST_CASE("a tree keeps places, big numbers and order, and can be written again") {
  std::vector<config::Diagnostic> diagnostics;
  const config::Source source("f", R"({"b": 12345678901234567890, "a": [true, null, "\u00e4"], "b": 1})");
  const auto tree = source.parse(diagnostics);
  REQUIRE(tree);
  CHECK(tree->members[0].key_offset == 1);
  CHECK(tree->members[0].value.offset == 6);
  CHECK(config::to_json(*tree) == "{\"b\":12345678901234567890,\"a\":[true,null,\"\xC3\xA4\"],\"b\":1}");
}

TEST_CASE("a diagnostic is rendered with its line, a caret under the place, and a hint") {
  config::Diagnostic diagnostic;
  diagnostic.where = {"f.json", 3, 4};
  diagnostic.message = "wrong";
  diagnostic.hint = "right";
  diagnostic.source_line = "\t\"\xE2\x82\xAC\": 1";
  CHECK(config::render(diagnostic) ==
        "f.json:3:4: error: wrong\n  3 | \t\"\xE2\x82\xAC\": 1\n    | \t  ^\n  hint: right\n");
  diagnostic.warning = true;
  CHECK(config::render(diagnostic, true).find("\x1b[1;33mwarning:\x1b[0m wrong") != std::string::npos);
  diagnostic.where = {"CCRULES_PORT", 0, 0};
  CHECK(config::render(diagnostic) == "CCRULES_PORT: warning: wrong\n  hint: right\n");
}

TEST_CASE("of an endless line only the part around the place is shown") {
  config::Diagnostic diagnostic;
  diagnostic.where = {"f", 1, 5001};
  diagnostic.message = "m";
  diagnostic.source_line = std::string(5000, 'a') + "X" + std::string(5000, 'b');
  const std::string out = config::render(diagnostic);
  CHECK(out.size() < 500);
  const auto line = out.find(" | ");
  const auto caret = out.find('^') - out.rfind(" | ");
  CHECK(out[line + caret] == 'X');
}
