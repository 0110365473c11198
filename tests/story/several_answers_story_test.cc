#include <catch2/catch.hpp>

#include "support/proxy_world.h"
#include "support/scripted_answer.h"

/// Requests for several answers at once: each of them is billed.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

/// $10 and $100 a million tokens.
constexpr const char* kConfig =
    R"({"providers":{"o":{"dialect":"openai_chat","base_url":"http://o:80/v1","models":["m-*"]},)"
    R"("g":{"dialect":"gemini","base_url":"http://g:80","models":["gem-*"]}},)"
    R"("prices":{"m-1":{"input":10,"output":100},"gem-1":{"input":10,"output":100}},"circuit":{"failures":0}})";

struct Asked {
  std::string path, body;
  /// A chunk with these words of one of the answers, or its first one.
  std::string (*chunk)(int index, const std::string& words, bool first);
};

std::string chat_chunk(int index, const std::string& words, bool /*first*/) {
  return R"(data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":)" + std::to_string(index) +
         R"(,"delta":{"content":")" + words + R"("},"finish_reason":null}]})" + "\n\n";
}

std::string tool_chunk(int index, const std::string& words, bool first) {
  const std::string begin = first ? R"("id":"t","function":{"name":"f","arguments":"{\"a\":\")" : R"("function":{"arguments":")";
  return R"(data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":)" + std::to_string(index) +
         R"(,"delta":{"tool_calls":[{"index":0,)" + begin + words + R"("}}]},"finish_reason":null}]})" + "\n\n";
}

std::string text_chunk(int index, const std::string& words, bool /*first*/) {
  return R"(data: {"id":"c1","object":"text_completion","choices":[{"index":)" + std::to_string(index) + R"(,"text":")" + words +
         R"(","finish_reason":null}]})" + "\n\n";
}

std::string gemini_chunk(int index, const std::string& words, bool /*first*/) {
  return R"(data: {"candidates":[{"content":{"parts":[{"text":")" + words + R"("}],"role":"model"},"index":)" + std::to_string(index) +
         R"(}],"modelVersion":"gem-1","responseId":"r1"})" + "\r\n\r\n";
}

const Asked kAsked[] = {
    {"/v1/chat/completions", R"({"model":"m-1","max_tokens":2000,"n":3,"stream":true,"messages":[{"role":"user","content":"hi"}]})", chat_chunk},
    {"/v1/chat/completions", R"({"model":"m-1","max_tokens":2000,"n":3,"stream":true,"messages":[{"role":"user","content":"hi"}]})", tool_chunk},
    {"/v1/completions", R"({"model":"m-1","max_tokens":2000,"n":3,"stream":true,"prompt":"hi"})", text_chunk},
    {"/v1beta/models/gem-1:streamGenerateContent?alt=sse",
     R"({"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":{"candidateCount":3,"maxOutputTokens":2000}})", gemini_chunk}};

/// Output tokens that a stream is billed as which says no usage and breaks off behind ten chunks of each of so many answers.
std::int64_t billed(const Asked& asked, int answers, bool in_turns) {
  SimWorld world;
  ScriptedAnswer answer;
  for (int i = 0; i < 10 * answers; ++i) {
    answer.events.push_back(asked.chunk(in_turns ? i % answers : i / 10, std::string(100, 'w'), in_turns ? i < answers : i % 10 == 0));
  }
  answer.events.push_back("data: {}\n\n");
  answer.breaks_off_after = answer.events.size() - 1;
  const auto handler = [&world, &answer](http::Exchange& exchange) -> Task<void> {
    struct Streaming {
      static Task<void> give_stream(Loop& loop, http::Exchange& exchange, ScriptedAnswer answer) {
        const std::string streams = "\"stream\":true";  // Gemini says it in the path
        (void)co_await exchange.read_body(1 << 20);
        (void)co_await give(loop, exchange, streams, std::move(answer));
      }
    };
    return Streaming::give_stream(world.loop, exchange, answer);
  };
  world.serve("o", 80, handler);
  world.serve("g", 80, handler);
  ProxyWorld proxy(world, kConfig);
  CHECK_THAT(proxy.answer(asked.path, asked.body).body, Contains("www"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("usage_estimated") == "1");
  return std::stoll(rows[0].at("output_tokens"));
}

}  // namespace

TEST_CASE("a stream of several answers that breaks off is billed for the words of all of them") {
  for (const Asked& asked : kAsked) {
    for (const bool in_turns : {false, true}) {
      CAPTURE(asked.path, in_turns);
      const std::int64_t one = billed(asked, 1, in_turns);
      const std::int64_t three = billed(asked, 3, in_turns);
      CHECK(one > 100);
      CHECK(three >= 3 * one - 3);
      CHECK(three <= 3 * one + one / 2);
    }
  }
}

TEST_CASE("a stream of several answers is cut where its budget ends, also when only the later ones go on") {
  SimWorld world;
  world.serve("o", 80, [&world](http::Exchange& exchange) {
    ScriptedAnswer answer;
    answer.events.push_back(chat_chunk(0, "hello", true));
    for (int i = 0; i < 400; ++i) answer.events.push_back(chat_chunk(1 + i % 2, std::string(400, 'w'), false));
    answer.events.push_back("data: [DONE]\n\n");
    answer.pause = std::chrono::milliseconds(1);
    return answer_with(world.loop, exchange, std::move(answer));
  });
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(,"budgets":[{"usd":0.5}])");
  ProxyWorld proxy(world, config);
  const Message answer = proxy.answer(
      "/v1/chat/completions", R"({"model":"m-1","max_tokens":20,"n":3,"stream":true,"messages":[{"role":"user","content":"hi"}]})");
  CHECK_THAT(answer.body, Contains("was cut here") && !Contains("[DONE]"));
  CHECK(std::stoll(proxy.rows().at(0).at("cost_nanousd")) > 400'000'000);
  CHECK(std::stoll(proxy.rows().at(0).at("cost_nanousd")) <= 500'000'000);
}
