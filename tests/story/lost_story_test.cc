#include <catch2/catch.hpp>

#include "support/proxy_world.h"
#include "support/scripted_answer.h"

/// Answers with status 200 of which nothing can be used: what the provider has read and written is billed all the same.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

/// $10 and $100 a million tokens at the first, twice as much at the one behind it, which always answers.
constexpr const char* kConfig =
    R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://first:80","models":["a-*"]},)"
    R"("o":{"dialect":"openai_chat","base_url":"http://first:80/v1","models":["o-*"]},)"
    R"("g":{"dialect":"gemini","base_url":"http://first:80","models":["g-*"]},)"
    R"("b":{"dialect":"anthropic","base_url":"http://b:80","models":["n-*"]}},)"
    R"("prices":{"a-1":{"input":10,"output":100},"o-1":{"input":10,"output":100},"g-1":{"input":10,"output":100},"n-1":{"input":20,"output":200}},)"
    R"("fallbacks":{"a-1":["b,n-1"],"o-1":["b,n-1"],"g-1":["b,n-1"]},)"
    R"("retry":{"base":"10ms"},"circuit":{"failures":0},"budgets":[{"usd":100}]})";
constexpr std::int64_t kInput = 10'000, kOutput = 100'000;
constexpr std::int64_t kSecond = 8 * 20'000 + 5 * 200'000;

std::string asking(const std::string& model, bool stream) {
  return R"({"model":")" + model + R"(","max_tokens":2000,"stream":)" + (stream ? "true" : "false") +
         R"(,"messages":[{"role":"user","content":"please count the words of this sentence"}]})";
}

/// A reply of which only so much comes.
std::string beginning(const std::string& body, std::size_t missing) {
  return "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: " + std::to_string(body.size() + missing) + "\r\n\r\n" + body;
}

struct Bill {
  std::int64_t lost_nanousd = 0;  ///< beside what the second answer costs
  std::int64_t prompt_nanousd = 0;
};
/// What an answer of the first provider costs, which must be of no use, however often it is asked for.
Bill bill_of(const std::string& model, const std::string& path, bool stream, const std::string& answer) {
  SimWorld world;
  world.script("first", 80, answer, true);
  world.serve("b", 80, [&world](http::Exchange& exchange) {
    ScriptedAnswer second;
    second.whole = anthropic_reply("second", 8, 5);
    second.events = anthropic_events("second");
    second.events[0].replace(second.events[0].find(R"("input_tokens":11)"), std::string_view(R"("input_tokens":11)").size(), R"("input_tokens":8)");
    std::string& last = second.events[second.events.size() - 2];
    last.replace(last.find(R"("output_tokens":7)"), std::string_view(R"("output_tokens":7)").size(), R"("output_tokens":5)");
    return answer_with(world.loop, exchange, std::move(second));
  });
  ProxyWorld proxy(world, kConfig);
  CHECK_THAT(proxy.answer(path, asking(model, stream)).body, Contains("second"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  const std::int64_t lost = std::stoll(rows[0].at("attempts")) - 1;
  REQUIRE(lost > 0);
  CHECK(proxy.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0) == cost_of(rows[0]));
  CHECK((cost_of(rows[0]) - kSecond) % lost == 0);
  return {(cost_of(rows[0]) - kSecond) / lost, kInput * std::stoll(rows[0].at("counted_tokens"))};
}

std::string openai_reply(const std::string& text) {
  return R"({"id":"c1","object":"chat.completion","created":1,"model":"o-1","choices":[{"index":0,"message":{"role":"assistant","content":")" +
         text + R"("},"finish_reason":"stop"}],)";
}

}  // namespace

TEST_CASE("a whole answer that breaks off counts with its prompt and with what came of it, or with the usage that it told before") {
  const std::string words(4000, 'w');
  for (const std::string path : {"/v1/messages", "/v1/chat/completions"}) {
    CAPTURE(path);
    const std::string half = R"({"id":"msg_1","type":"message","role":"assistant","model":"a-1","content":[{"type":"text","text":")" + words;
    for (const auto& [model, body] : {std::pair<std::string, std::string>("a-1", half), {"o-1", openai_reply(words)}}) {
      CAPTURE(model);
      const Bill bill = bill_of(model, path, false, beginning(body, 100));
      CHECK(bill.lost_nanousd > bill.prompt_nanousd + 500 * kOutput);
      CHECK(bill.lost_nanousd < bill.prompt_nanousd + 2500 * kOutput);
    }
    const std::string told = half + R"("}],"usage":{"input_tokens":30,"output_tokens":900},"stop_reason":"end)";
    CHECK(bill_of("a-1", path, false, beginning(told, 100)).lost_nanousd == 30 * kInput + 900 * kOutput);
    const std::string counts = R"("usage":{"prompt_tokens":30,"completion_tokens":900})";
    CHECK(bill_of("o-1", path, false, beginning(openai_reply("hello") + counts, 100)).lost_nanousd == 30 * kInput + 900 * kOutput);
    const std::string gemini = R"({"candidates":[{"content":{"parts":[{"text":"the \"usageMetadata\" of"}]}}],)"
                               R"("usageMetadata":{"promptTokenCount":30,"candidatesTokenCount":900,"x":{"y":"}"}},"responseId":"r)";
    CHECK(bill_of("g-1", path, false, beginning(gemini, 100)).lost_nanousd == 30 * kInput + 900 * kOutput);
    const Bill nothing = bill_of("a-1", path, false, beginning("", 100));
    CHECK(nothing.lost_nanousd == nothing.prompt_nanousd);
  }
}

TEST_CASE("a whole body that is no reply counts with the usage that it tells, else with what came of it") {
  const std::string odd = R"({"id":"x","object":"chat.completion","choices":null,"usage":{"prompt_tokens":30,"completion_tokens":900}})";
  CHECK(bill_of("o-1", "/v1/messages", false, http_reply(200, "application/json", odd)).lost_nanousd == 30 * kInput + 900 * kOutput);
  const std::string failed = R"({"error":{"message":"the model broke down"},"usage":{"prompt_tokens":30,"completion_tokens":0}})";
  CHECK(bill_of("o-1", "/v1/messages", false, http_reply(200, "application/json", failed)).lost_nanousd == 30 * kInput);
  const Bill broken = bill_of("o-1", "/v1/messages", false, http_reply(200, "application/json", openai_reply(std::string(4000, 'w'))));
  CHECK(broken.lost_nanousd > broken.prompt_nanousd + 500 * kOutput);
}

TEST_CASE("a provider that says that it failed, and a page that is no provider's answer, cost nothing") {
  CHECK(bill_of("o-1", "/v1/messages", false, http_reply(200, "application/json", R"({"error":{"message":"overloaded"}})")).lost_nanousd == 0);
  CHECK(bill_of("a-1", "/v1/messages", false, http_reply(200, "text/html", "<html><body>Please log in</body></html>")).lost_nanousd == 0);
  CHECK(bill_of("a-1", "/v1/messages", false, http_reply(503, "application/json", R"({"error":{"message":"busy"}})")).lost_nanousd == 0);
  const std::string told = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"overloaded_error\"}}\n\n";
  CHECK(bill_of("o-1", "/v1/messages", true, http_stream({told})).lost_nanousd == 0);
}

TEST_CASE("a body made to be searched for its usage is not searched for long") {
  std::string body = R"({"id":"x")";
  for (int i = 0; i < 50'000; ++i) body += R"(,"usage":{"usage")";
  const Bill bill = bill_of("o-1", "/v1/messages", false, http_reply(200, "application/json", body));
  CHECK(bill.lost_nanousd > bill.prompt_nanousd);
}

TEST_CASE("an answer that is compressed in a way that was not asked for counts with its prompt") {
  const Bill bill = bill_of("a-1", "/v1/messages", false, http_reply(200, "application/json", "xyz", "content-encoding: zz\r\n"));
  CHECK(bill.lost_nanousd == bill.prompt_nanousd);
}

TEST_CASE("a stream that breaks off before its first word counts with its prompt, in every dialect") {
  const std::string role = R"(data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"o-1","choices":[{"index":0,"delta":)"
                           R"({"role":"assistant","content":""},"finish_reason":null}]})" "\n\n";
  for (const std::string path : {"/v1/messages", "/v1/chat/completions"}) {
    CAPTURE(path);
    const Bill openai = bill_of("o-1", path, true, http_stream({role}, true));
    CHECK(openai.lost_nanousd == openai.prompt_nanousd);
    const Bill gemini = bill_of("g-1", path, true, http_stream({": nothing yet\n\n"}, true));
    CHECK(gemini.lost_nanousd == gemini.prompt_nanousd);
    // It has told what it has counted.
    CHECK(bill_of("a-1", path, true, http_stream({anthropic_events("x")[0]}, true)).lost_nanousd == 11 * kInput + kOutput);
  }
}

TEST_CASE("an answer that is lost after its client was told of it counts with its prompt") {
  // The provider is silent for so long that the client gets its headers, and then closes without a word.
  for (const bool stream : {false, true}) {
    CAPTURE(stream);
    SimWorld world;
    world.serve("first", 80, [&world](http::Exchange& exchange) -> Task<void> {
      http::Headers headers;
      headers.add("content-type", "text/event-stream");
      exchange.start(200, headers);
      const std::string_view comment = ": wait\n\n";
      (void)co_await exchange.write(comment);
      (void)co_await sleep_for(world.loop, std::chrono::seconds(20), exchange.stop());
      exchange.abort();
    });
    ProxyWorld proxy(world, kConfig);
    (void)proxy.answer("/v1/messages", asking("o-1", stream));
    const auto rows = proxy.rows();
    REQUIRE(rows.size() == 1);
    CHECK(cost_of(rows[0]) == kInput * std::stoll(rows[0].at("counted_tokens")));
    CHECK(rows[0].at("usage_estimated") == "1");
  }
}
