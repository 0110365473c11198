#include "tokens/prompt.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tokens/image.h"

using namespace ccrules;
using tokens::PartKind;

namespace {

/// The head of a PNG of that size, as base64; what follows is filler.
std::string png(unsigned width, unsigned height, std::size_t filler = 0) {
  std::string bytes("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
  for (const unsigned side : {width, height}) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(side >> shift & 0xFF);
  }
  bytes += std::string(8 + filler, 'x');
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i + 2 < bytes.size(); i += 3) {
    unsigned three = 0;
    for (std::size_t k = 0; k < 3; ++k) three = three << 8 | static_cast<unsigned char>(bytes[i + k]);
    for (int shift = 18; shift >= 0; shift -= 6) out += kDigits[three >> shift & 63];
  }
  return out;
}

std::int64_t image(std::string_view model, unsigned width, unsigned height) {
  return tokens::image_tokens(tokens::family_of(model), tokens::image_size(png(width, height)));
}

tokens::Prompt prompt_of(const std::string& body) {
  auto prompt = tokens::read_prompt(body);
  REQUIRE(prompt.ok());
  return *std::move(prompt);
}

}  // namespace

TEST_CASE("images cost what their provider's patches and tiles say") {
  CHECK(image("claude-opus-5-5", 200, 200) == 64);
  CHECK(image("claude-opus-5-5", 1000, 1000) == 1296);
  CHECK(image("claude-opus-5-5", 1920, 1080) == 2691);
  CHECK(image("claude-sonnet-4-6", 1920, 1080) == 1560);
  CHECK(image("claude-opus-5-5", 8000, 8000) <= 4784);
  CHECK(image("claude-sonnet-4-6", 8000, 100) <= 1568);
  CHECK(image("gpt-5.5", 1024, 1024) == 1229);
  CHECK(image("gpt-6.1-sol", 1920, 1080) == 2448);
  CHECK(image("gpt-4o", 1024, 1024) == 765);
  CHECK(image("gemini-3.8-flash", 64, 64) == 1100);
}

TEST_CASE("the size of a picture is read from its head, whatever kind it is, and nonsense is no picture") {
  CHECK_FALSE(tokens::image_size("").has_value());
  CHECK_FALSE(tokens::image_size("AAAAAAAAAAAAAAAAAAAA").has_value());
  const auto gif = tokens::image_size("R0lGODlhgAJAAYAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==");
  REQUIRE(gif.has_value());
  CHECK(gif->width == 640);
  CHECK(gif->height == 320);
  const auto jpeg = tokens::image_size("/9j/4AAQSkZJRgABAQAAAQABAAD/wAARCAEAAgADASIAAhEBAxEB");
  REQUIRE(jpeg.has_value());
  CHECK(jpeg->width == 512);
  CHECK(jpeg->height == 256);
}

TEST_CASE("an image inside a tool result costs what it costs outside, and its base64 is no text") {
  const std::string source =
      R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":")" +
      png(1000, 1000, 30000) + R"("}})";
  const tokens::Prompt outside =
      prompt_of(R"({"model":"claude-opus-5-5","messages":[{"role":"user","content":[)" + source + "]}]}");
  REQUIRE(outside.parts.size() == 1);
  CHECK(outside.parts[0].kind == PartKind::kImage);
  CHECK(outside.parts[0].tokens == 1296);
  const tokens::Prompt inside = prompt_of(
      R"({"model":"claude-opus-5-5","messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[)" +
      source + "]}]}]}");
  CHECK(inside.parts[0].kind == PartKind::kToolResult);
  CHECK(inside.parts[0].tokens == 1296);
}

TEST_CASE("OpenAI text without tools and pictures is exact, with its frames") {
  const tokens::Prompt prompt =
      prompt_of(R"({"model":"gpt-5.5","messages":[{"role":"user","content":"hello world"}]})");
  CHECK(prompt.grade == tokens::Grade::kExact);
  CHECK(prompt.p95 == 0);
  CHECK(prompt.tokens == 2 + 4 + 3);
}

TEST_CASE("a block is the same with and without a cache mark, alone and in a list") {
  const tokens::Prompt plain =
      prompt_of(R"({"model":"claude-opus-5-5","messages":[{"role":"user","content":"look \"here\""}]})");
  const tokens::Prompt marked = prompt_of(
      R"({"model":"claude-opus-5-5","messages":[{"role":"user","content":[{"type":"text","text":"look \"here\"","cache_control":{"type":"ephemeral"}}]}]})");
  CHECK(plain.parts[0].hash == marked.parts[0].hash);
  CHECK(plain.tokens == marked.tokens);
}

TEST_CASE("a tool with a cache mark is the tool without it, whichever of them was counted first") {
  const auto body = [](const std::string& name, const std::string& mark) {
    return R"({"model":"claude-opus-5-5","tools":[{"name":")" + name +
           R"(","description":"Reads a file.","input_schema":{"type":"object"})" + mark + R"(}],"messages":[{"role":"user","content":"a"}]})";
  };
  const std::string mark = R"(,"cache_control":{"type":"ephemeral","ttl":"1h"})";
  const tokens::Prompt marked = prompt_of(body("marked_first", mark));
  const tokens::Prompt plain = prompt_of(body("marked_first", ""));
  CHECK(marked.parts[0].hash == plain.parts[0].hash);
  CHECK(marked.tokens == plain.tokens);
  CHECK(prompt_of(body("plain_firsts", "")).tokens == prompt_of(body("plain_firsts", mark)).tokens);
  CHECK(marked.tokens < prompt_of(body("marked_first", R"(,"strict":{"type":"ephemeral","ttl":"1h"})")).tokens);
}

TEST_CASE("only a request that is all text is exact: not with sound, pages or pictures anywhere, functions or a schema") {
  const auto prompt = [](const std::string& content, const std::string& more = {}) {
    return prompt_of(R"({"model":"gpt-5.5",)" + more + R"("messages":[{"role":"user","content":"look"},)" + content + "]}");
  };
  const std::string text = R"({"role":"user","content":[{"type":"text","text":"here"}]})";
  CHECK(prompt(text).grade == tokens::Grade::kExact);
  CHECK(prompt(text, R"("response_format":{"type":"json_object"},)").grade == tokens::Grade::kExact);
  const std::string image = R"({"type":"image_url","image_url":{"url":"data:image/png;base64,)" + png(64, 64) + "\"}}";
  const std::vector<std::string> not_only_text = {
        R"({"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AAAAAAAAAAAAAAAAAAAAAAAA","format":"wav"}}]})",
        R"({"role":"user","content":[{"type":"container_upload","file_id":"f"}]})",
        R"({"role":"assistant","content":[{"type":"redacted_thinking","data":"AAAAAAAAAAAAAAAAAAAAAA"}]})",
        R"({"role":"tool","tool_call_id":"t","content":[)" + image + "]}",
        R"({"role":"user","content":[{"type":"tool_result","content":[)" + image + "]}]}"};
  for (const std::string& content : not_only_text) {
    INFO(content);
    CHECK(prompt(content).grade == tokens::Grade::kEstimated);
    CHECK(prompt(content).grade == tokens::Grade::kEstimated);  // once more, from the cache of blocks
  }
  const tokens::Prompt shown = prompt(R"({"role":"tool","tool_call_id":"t","content":[)" + image + "]}");
  CHECK(shown.has_media);
  CHECK(shown.p95 > 0);
  const tokens::Prompt functions = prompt(text, R"("functions":[{"name":"f","description":"Reads.","parameters":{"type":"object"}}],)");
  CHECK(functions.grade == tokens::Grade::kEstimated);
  CHECK(functions.tokens > prompt(text).tokens);
  CHECK(functions.p95 > 0);
  const tokens::Prompt schema = prompt(
      text, R"("response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{"a":{"type":"string"}}}}},)");
  CHECK(schema.grade == tokens::Grade::kEstimated);
  CHECK(schema.tokens > prompt(text).tokens);
  CHECK(schema.p95 > 0);
}

TEST_CASE("thinking of earlier turns counts only where the server keeps it") {
  const auto body = [](const std::string& model) {
    return R"({"model":")" + model +
           R"(","messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"one two three four five six","signature":"x"},{"type":"text","text":"b"}]},{"role":"user","content":"c"}]})";
  };
  CHECK(prompt_of(body("claude-haiku-4-5")).dropped_thinking_tokens > 0);
  CHECK(prompt_of(body("claude-opus-5-5")).dropped_thinking_tokens == 0);
}

TEST_CASE("deep nesting, nulls and odd types are counted or refused, never a fault") {
  std::string deep = R"({"model":"m","messages":[{"role":"user","content":)";
  for (int i = 0; i < 60; ++i) deep += R"([{"type":"tool_result","content":)";
  deep += "\"x\"";
  for (int i = 0; i < 60; ++i) deep += "}]";
  deep += "}]}";
  CHECK(tokens::read_prompt(deep).ok());
  CHECK(tokens::read_prompt(
            R"({"messages":[1,null,{"content":null},{"content":7},{"role":3,"content":[1,"x",null,[]]}]})")
            .ok());
  CHECK_FALSE(tokens::read_prompt("[1").ok());
  CHECK_FALSE(tokens::read_prompt("{\"messages\":[{\"content\":\"\xFF\"}]}").ok());
}
