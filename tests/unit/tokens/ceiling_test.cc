#include "tokens/ceiling.h"

#include <optional>
#include <random>
#include <string>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"
#include "tokens/tokenizer.h"

using namespace ccrules;
using namespace ccrules::tokens;

namespace {

Ceiling ceiling(const dialect::Dialect& spoken, const std::string& body) {
  std::string padded = body;
  auto document = json::Document::open(padded);
  REQUIRE(document.ok());
  const auto outline = spoken.outline(*document);
  REQUIRE(outline.ok());
  padded.reserve(body.size() + json::kPadding);
  auto again = json::Document::open_view(padded);
  REQUIRE(again.ok());
  return ceiling_of(*outline, *again);
}

std::string saying(const std::string& content, const std::string& more = {}) {
  return R"({"model":"gpt-5.5","max_tokens":9,)" + more + R"("messages":[{"role":"user","content":)" + content + "}]}";
}

std::string quoted(const std::string& text) {
  std::string out;
  json::Writer writer(out);
  writer.string(text);
  return out;
}

}  // namespace

TEST_CASE("no text makes more tokens than its ceiling, whatever it is made of") {
  std::mt19937 dice(11);
  const std::string letters[] = {"a", " ", "\n", "\t", "é", "漢", "😀", "\"", "\\", "{", "0", "ﷺ", "\x01", "zz", "th", "   ", "\u200b"};
  for (const Encoding encoding : {Encoding::kO200k, Encoding::kCl100k}) {
    Tokenizer& tokenizer = Tokenizer::local(encoding);
    for (int round = 0; round < 300; ++round) {
      std::string text;
      for (auto i = dice() % 400; i > 0; --i) text += letters[dice() % std::size(letters)];
      const Ceiling most = ceiling(dialect::openai_chat(), saying(quoted(text)));
      CAPTURE(text);
      CHECK_FALSE(most.open);
      CHECK(most.text_tokens >= tokenizer.count(text) + 11);
    }
  }
}

TEST_CASE("a picture is as large as its model takes it, and its base64 is no text") {
  const std::string picture = R"([{"type":"image","source":{"type":"base64","media_type":"image/png","data":")" + std::string(90'000, 'A') + "\"}}]";
  const Ceiling most = ceiling(dialect::anthropic(), saying(picture));
  CHECK(most.images == 1);
  CHECK(most.text_tokens < 500);
  CHECK(most_tokens(most, "claude-opus-5-5", 1'000'000) < 5500);
  CHECK(most_tokens(most, "claude-opus-5-5", 1'000'000) > 4784);
  CHECK(most_tokens(most, "gpt-5.5", std::nullopt) > 36'000);
}

TEST_CASE("what only the context bounds is as large as the context") {
  const std::string page = R"([{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"}}])";
  CHECK(most_tokens(ceiling(dialect::anthropic(), saying(page)), "claude-opus-5-5", 400'000) == 400'000);
  CHECK(most_tokens(ceiling(dialect::anthropic(), saying(page)), "nobody", std::nullopt) == 1'000'000);
  const std::string sound = R"([{"type":"input_audio","input_audio":{"data":"AAAA","format":"mp3"}}])";
  CHECK(ceiling(dialect::openai_chat(), saying(sound)).open);
  CHECK(ceiling(dialect::openai_chat(),
                R"({"model":"gpt-5.5","messages":[{"role":"user","content":"hi"},{"role":"assistant","audio":{"id":"audio_1"}}]})").open);
  for (const char* item : {R"({"type":"item_reference","id":"rs_1"})", R"({"type":"reasoning","id":"rs_1","summary":[]})",
                           R"({"type":"computer_call_output","call_id":"c","output":{"type":"computer_screenshot","file_id":"f"}})"}) {
    CHECK(ceiling(dialect::openai_responses(), R"({"model":"gpt-5.5","input":[{"role":"user","content":"hi"},)" + std::string(item) + "]}").open);
  }
  CHECK_FALSE(ceiling(dialect::openai_responses(), R"({"model":"gpt-5.5","input":[{"role":"user","content":"hi"}]})").open);
  CHECK(ceiling(dialect::openai_chat(), saying(R"([{"type":"video_url","video_\u0075rl":{"url":"https://a/b"}}])")).open);
  for (const char* part : {R"({"type":"input_f\u0069le","file_id":"file-1"})", R"({"type":"input_text","type":"input_file","file_id":"file-1"})"}) {
    CHECK(ceiling(dialect::openai_responses(),
                  R"({"model":"gpt-5.5","input":[{"role":"user","content":[)" + std::string(part) + "]}]}").open);
  }
  const Ceiling earlier = ceiling(dialect::openai_responses(), R"({"model":"gpt-5.5","input":"more","previous_response_id":"resp_1"})");
  CHECK(earlier.open);
  CHECK_FALSE(earlier.all_here);
  CHECK_FALSE(ceiling(dialect::openai_responses(), R"({"model":"gpt-5.5","input":"more","previous_response_id":null})").open);
  CHECK(ceiling(dialect::openai_responses(), R"({"model":"gpt-5.5","input":"more","previous\u005fresponse_id":"resp_1"})").open);
}

TEST_CASE("pictures and files in the results of Gemini's tools count like those beside them") {
  const auto result = [](const std::string& parts) {
    return ceiling(dialect::gemini_dialect(), R"({"contents":[{"parts":[{"functionResponse":{"name":"f","response":{"output":"x"})" + parts + "}}]}]}");
  };
  CHECK_FALSE(result("").open);
  CHECK(result(R"(,"parts":[{"fileData":{"mimeType":"application/pdf","fileUri":"gs://a/b"}}])").open);
  const Ceiling picture = result(R"(,"parts":[{"inline_data":{"mime_type":"image/png","data":"AAAA"}}])");
  CHECK_FALSE(picture.open);
  CHECK(picture.images == 1);
}

TEST_CASE("a text longer than the context is refused by its provider, so the context is the most it can be") {
  Ceiling most;
  most.text_tokens = 900'000;
  CHECK(most_tokens(most, "gpt-5.5", 400'000) == 400'000);
  CHECK(most_tokens(most, "claude-sonnet-4-5", 200'000) == 900'000);  // a header lifts its context
  CHECK(most_tokens(most, "nobody", std::nullopt) == 900'000);
  most.each_alone = true;
  CHECK(most_tokens(most, "gpt-5.5", 400'000) == 900'000);
}

TEST_CASE("tools that a provider runs itself add to the prompt, those of the client do not") {
  const auto with = [](const std::string& tool) {
    return ceiling(dialect::anthropic(), saying("\"hi\"", R"("tools":[)" + tool + "],")).text_tokens;
  };
  CHECK(with(R"({"name":"t","input_schema":{"type":"object"}})") < 2000);
  CHECK(with(R"({"type":"bash_20250124","name":"bash"})") < 2000);
  CHECK(with(R"({"type":"web_search_20250305","name":"web_search"})") > 100'000);
  CHECK(with(R"({"type":"web_search_2025\u0030305","name":"web_search"})") > 100'000);
  CHECK(with(R"({"type":"custom","type":"web_search_20250305","name":"web_search"})") > 100'000);
  CHECK(with(R"({"type":"shell","environment":{"type":"container_auto"}})") > 100'000);
  CHECK(with(R"({"type":"shell","environment":{"type":"local"}})") < 2000);
  const auto gemini = [](const std::string& tools) {
    return ceiling(dialect::gemini_dialect(), R"({"contents":[{"parts":[{"text":"hi"}]}],"tools":)" + tools + "}").text_tokens;
  };
  CHECK(gemini(R"({"urlContext":{}})") > 100'000);
  CHECK(gemini(R"([{"functionDeclarations":[{"name":"f"}],"googleSearch":{}}])") > 100'000);
  CHECK(gemini(R"([{"functionDeclarations":[{"name":"f"}]}])") < 2000);
  CHECK(ceiling(dialect::openai_chat(), saying("\"hi\"", R"("web_search_options":{},)")).text_tokens > 100'000);
  CHECK(with(R"({"type":null,"name":"t","input_schema":{"type":"object"}})") < 2000);
}

TEST_CASE("a request has the standard tier when it says so and nothing else") {
  const auto with = [](const std::string& member) { return ceiling(dialect::openai_chat(), saying("\"hi\"", member)); };
  for (const char* standard : {R"("service_tier":"default",)", R"("service_tier": "standard_only" ,)", R"("service\u005ftier":"default",)"})
    CHECK(with(standard).standard_tier);
  for (const char* other : {"", R"("service_tier":null,)", R"("service_tier":"priority",)", R"("service_tier":"auto",)",
                            R"("service_tier":"default","service_tier":"priority",)", R"("service_tier":"priority","service_tier":"default",)"})
    CHECK_FALSE(with(other).standard_tier);
  CHECK(with(R"("speed":"fast",)").names_speed);
  CHECK_FALSE(with(R"("speed":"standard",)").names_speed);
  CHECK_FALSE(with(R"("service_tier":"priority",)").names_speed);
}

TEST_CASE("a provider may run once more for each model it falls back to or asks, and all of it once more to sum up") {
  const auto with = [](const std::string& member) { return ceiling(dialect::anthropic(), saying("\"hi\"", member)); };
  CHECK(with("").runs == 1);
  CHECK(with(R"("context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},)").runs == 1);
  CHECK(with(R"("context_management":{"edits":[{"type":"compact_20260112"}]},)").runs == 2);
  CHECK(with(R"("context_management":{"edits":[{"type":"c\u006fmpact_20260112"}]},)").runs == 2);
  CHECK(with(R"("compaction":{"type":"summarize"},)").runs == 2);
  CHECK(with(R"("compaction":{"type":"summarize"},"fallbacks":"default",)").runs == 4);
  CHECK(with(R"("compaction":null,"fallbacks":null,)").runs == 1);
  CHECK(with(R"("fallbacks":"default",)").runs == 2);
  CHECK(with(R"("fallbacks":"default",)").other_models == std::vector<std::string>{"claude-opus-4-8"});  // the provider chooses it
  const Ceiling two = with(R"("fallbacks":[{"model":"claude-opus-5-5","max_tokens":64000,"speed":"fast"},{"model":"claude-haiku-5-5"}],)");
  CHECK(two.runs == 3);
  CHECK(two.other_models == std::vector<std::string>{"claude-opus-5-5", "claude-haiku-5-5"});
  CHECK(two.other_output_tokens == 64000);
  CHECK(two.names_speed);
  const Ceiling advised = with(R"("tools":[{"type":"advisor_20260301","name":"advisor","model":"claude-opus-5-5","max_uses":3}],)");
  CHECK(advised.runs == 4);
  CHECK(advised.other_models == std::vector<std::string>{"claude-opus-5-5"});
  CHECK(advised.text_tokens > 100'000);
  const Ceiling routed = ceiling(dialect::openai_chat(), saying("\"hi\"", R"("models":["dear/one",7],)"));
  CHECK(routed.runs == 1);
  CHECK(routed.other_models == std::vector<std::string>{"dear/one"});
  std::string many = R"("models":["m")";
  for (int i = 0; i < 5000; ++i) many += R"(,"m")";
  CHECK(ceiling(dialect::openai_chat(), saying("\"hi\"", many + "],")).other_models.size() == 100);
}

TEST_CASE("tools that come again behind a full list of models still name theirs to the next request") {
  const auto with = [](const std::string& member) { return ceiling(dialect::anthropic(), saying("\"hi\"", member)); };
  const std::string tools = R"("tools":[{"type":"advisor_1","name":"a","model":"claude-dear","model":null,"x":")" + std::string(1200, 'x') + R"("}],)";
  std::string many = R"("fallbacks":[{"model":"m"})";
  for (int i = 0; i < 100; ++i) many += R"(,{"model":"m"})";
  const std::vector<std::string> afresh = with(tools).other_models;
  const std::string other = tools.substr(0, tools.size() - 5) + R"(y"}],)";
  CHECK(with(many + "]," + other).other_models.size() == 100);
  CHECK(with(other).other_models == afresh);
}

TEST_CASE("a counted prompt is bounded by its own tokenizer, or by what its beginning was billed as") {
  Calibration calibration;
  const std::string first = saying(quoted(std::string(4000, 'x')));
  auto exact = read_prompt(first, "gpt-5.5");
  REQUIRE(exact.ok());
  const auto bytes = static_cast<std::int64_t>(first.size());
  const auto counted = most_tokens(*exact, bytes, "openai,gpt-5.5", chain_of(*exact), calibration);
  REQUIRE(counted.has_value());
  CHECK(*counted < 800);  // 500 tokens, and the bytes around the text
  CHECK(*counted >= exact->tokens);

  auto claude = read_prompt(first, "claude-opus-5-5");
  REQUIRE(claude.ok());
  CHECK_FALSE(most_tokens(*claude, bytes, "anthropic,claude-opus-5-5", chain_of(*claude), calibration).has_value());
  Calibration::Anchor anchor;
  anchor.prompt_tokens = 1234;
  anchor.output_tokens = 50;
  calibration.keep("anthropic,claude-opus-5-5", chain_of(*claude).back(), anchor);
  std::string more = first;
  more.insert(more.size() - 2, R"(,{"role":"assistant","content":"yes"},{"role":"user","content":")" + std::string(300, 'y') + "\"}");
  auto later = read_prompt(more, "claude-opus-5-5");
  REQUIRE(later.ok());
  const auto known = most_tokens(*later, static_cast<std::int64_t>(more.size()), "anthropic,claude-opus-5-5", chain_of(*later), calibration);
  REQUIRE(known.has_value());
  CHECK(*known > 1234 + 50 + 300);
  CHECK(*known < 1234 + 50 + 300 + 1500);
  CHECK_FALSE(most_tokens(*later, static_cast<std::int64_t>(more.size()), "bedrock,claude-opus-5-5", chain_of(*later), calibration).has_value());
  // What was billed with earlier tool results taken out says nothing of the same conversation with them.
  const std::string edits = R"("context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]},)";
  const auto edited = read_prompt("{" + edits + more.substr(1), "claude-opus-5-5");
  REQUIRE(edited.ok());
  CHECK_FALSE(most_tokens(*edited, static_cast<std::int64_t>(more.size()), "anthropic,claude-opus-5-5", chain_of(*edited), calibration).has_value());
  const auto edited_first = read_prompt("{" + edits + first.substr(1), "claude-opus-5-5");
  REQUIRE(edited_first.ok());
  CHECK(chain_of(*edited)[1] == chain_of(*edited_first)[1]);
  CHECK(chain_of(*edited)[1] != chain_of(*claude)[1]);
}

TEST_CASE("tools that come again add what they added, those that name models too") {
  const std::string about(2000, 'd');
  const auto asks = [&](const std::string& tool) {
    return ceiling(dialect::anthropic(), R"({"model":"m","max_tokens":9,"tools":[{"name":"a","description":")" + about + R"("},)" + tool +
                                             R"(],"messages":[{"role":"user","content":"x"}]})");
  };
  const Ceiling plain = asks(R"({"name":"b"})");
  const Ceiling searches = asks(R"({"type":"web_search_20250305","name":"b"})");
  const Ceiling advised = asks(R"({"type":"advisor_20260301","name":"b","model":"claude-opus-4-7","max_uses":3})");
  CHECK(searches.text_tokens > plain.text_tokens + 50'000);
  CHECK_FALSE(searches.all_here);
  for (int round = 0; round < 2; ++round) {
    CHECK(asks(R"({"name":"b"})").text_tokens == plain.text_tokens);
    CHECK(asks(R"({"type":"web_search_20250305","name":"b"})").text_tokens == searches.text_tokens);
    const Ceiling again = asks(R"({"type":"advisor_20260301","name":"b","model":"claude-opus-4-7","max_uses":3})");
    CHECK(again.text_tokens == advised.text_tokens);
    CHECK(again.runs == 4);
    CHECK(again.other_models == std::vector<std::string>{"claude-opus-4-7"});
  }
}
