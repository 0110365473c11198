#include <catch2/catch.hpp>

#include "http/coding.h"
#include "support/compress.h"
#include "support/judges.h"
#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "providers": {
    "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "api_key": "anth-secret", "models": ["claude-*"] },
    "oai": { "dialect": "openai_chat", "base_url": "http://oai:80/v1", "api_key": "oai-secret", "models": ["gpt-*"] },
    "spare": { "dialect": "openai_chat", "base_url": "http://spare:80/v1", "models": ["spare-*"] }
  },
  "routes": { "default": "anth,claude-sonnet-4-5" },
  "fallbacks": { "claude-*": ["spare,spare-1"] }
})";

std::string only_anth(const std::string& more = {}) {
  return R"({"providers":{"anth":{"dialect":"anthropic","base_url":"http://anth:80","models":["claude-*"])" +
         more + "}}}";
}

std::string messages(std::string_view model, bool stream) {
  return "{\"model\":\"" + std::string(model) +
         "\",\"max_tokens\":100,\"stream\":" + (stream ? "true" : "false") +
         ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
}

std::string joined(const std::vector<std::string>& events) {
  std::string text;
  for (const std::string& event : events) text += event;
  return text;
}

/// The first events of a stream: its start, a block, `text`.
std::vector<std::string> beginning(std::string_view text) {
  auto events = anthropic_events(text);
  events.resize(3);
  return events;
}

std::string error_json(std::string_view type, std::string_view message) {
  return R"({"type":"error","error":{"type":")" + std::string(type) + R"(","message":")" +
         std::string(message) + "\"}}";
}

constexpr const char* kWholeReply =
    R"({"id":"msg_9","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"hello"}],)"
    R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7},"new_member":1.50})";

}  // namespace

TEST_CASE("a whole reply of the same dialect comes back byte for byte, with one row in the ledger") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kWholeReply, "request-id: req_up\r\n"));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages?beta=true", messages("claude-sonnet-4-5", false),
                                      "anthropic-beta: a,b\r\nx-api-key: mine\r\n");
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK(answer.body == kWholeReply);
  CHECK(answer.field("request-id") == "req_up");
  CHECK(answer.field("x-ccrules-target") == "anth,claude-sonnet-4-5");
  CHECK(answer.field("x-ccrules-cost-usd") == "0.000138000");  // 11 x 3 + 7 x 15 USD per million

  CHECK_THAT(world.scripted_requests, Contains("POST /v1/messages?beta=true HTTP/1.1"));
  CHECK_THAT(world.scripted_requests, Contains("anthropic-beta: a,b"));
  CHECK_THAT(world.scripted_requests, Contains("x-api-key: anth-secret"));
  CHECK_THAT(world.scripted_requests, !Contains("mine"));
  CHECK_THAT(world.scripted_requests, Contains(messages("claude-sonnet-4-5", false)));

  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("status") == "200");
  CHECK(rows[0].at("input_tokens") == "11");
  CHECK(rows[0].at("output_tokens") == "7");
  CHECK(rows[0].at("stop_reason") == "end_turn");
  CHECK(rows[0].at("attempts") == "1");
}

TEST_CASE("a stream of the same dialect comes back byte for byte") {
  SimWorld world;
  const auto events = anthropic_events("hello");
  world.script("anth", 80, http_stream(events));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true));
  CHECK(answer.complete);
  CHECK(answer.body == joined(events));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("output_tokens") == "7");
  CHECK(rows[0].at("stream") == "1");
}

TEST_CASE("what a provider sends without end after the end of its message is not kept") {
  SimWorld world;
  std::vector<std::string> events = anthropic_events("hello");
  const std::string message = joined(events);
  for (int i = 0; i < 300; ++i) events.emplace_back(60'000, 'x');  // 18 MB
  world.script("anth", 80, http_stream(events));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true));
  CHECK(answer.complete);
  CHECK(answer.body == message);
}

TEST_CASE("an OpenAI provider answers an Anthropic client in Anthropic's stream") {
  SimWorld world;
  world.script("oai", 80, http_stream(openai_events("hello")));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", messages("oai,gpt-x", true));
  CHECK(answer.complete);
  CHECK_THAT(answer.body, Contains("event: message_start") && Contains("\"text\":\"hello\"") &&
                              Contains("event: message_stop"));
  CHECK_THAT(world.scripted_requests,
             Contains("POST /v1/chat/completions HTTP/1.1") && Contains("authorization: Bearer oai-secret"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("provider") == "oai");
  CHECK(rows[0].at("reason") == "explicit model selection");
  CHECK(rows[0].at("input_tokens") == "11");
}

TEST_CASE(
    "an OpenAI client that did not ask for usage gets no usage chunk, and the ledger knows the usage all the "
    "same") {
  SimWorld world;
  world.script("oai", 80, http_stream(openai_events("hello")));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/chat/completions", messages("oai,gpt-x", true));
  CHECK_THAT(world.scripted_requests, Contains("\"stream_options\":{\"include_usage\":true}"));
  CHECK_THAT(answer.body, !Contains("prompt_tokens") && Contains("data: [DONE]"));
  CHECK(proxy.rows().at(0).at("output_tokens") == "7");
}

TEST_CASE("an overloaded provider is replaced by its fallback before the client sees anything") {
  SimWorld world;
  world.script("anth", 80, http_reply(529, "application/json", error_json("overloaded_error", "busy")));
  world.script("spare", 80, http_stream(openai_events("from the spare")));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true));
  CHECK_THAT(answer.body, Contains("from the spare"));
  CHECK(answer.field("x-ccrules-attempts") == "2");
  CHECK(answer.field("x-ccrules-target") == "spare,spare-1");
  CHECK(proxy.rows().at(0).at("attempts") == "2");
}

TEST_CASE("an error event before any content also leads to the fallback") {
  SimWorld world;
  world.script("anth", 80,
               http_stream({anthropic_events("x")[0],
                            "event: error\ndata: " + error_json("overloaded_error", "busy") + "\n\n"}));
  world.script("spare", 80, http_stream(openai_events("from the spare")));
  ProxyWorld proxy(world, kConfig);
  CHECK_THAT(proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true)).body,
             Contains("from the spare") && !Contains("busy"));
}

TEST_CASE("a stream that is cut after content ends in an error event, never in a clean end") {
  auto events = beginning("half an answ");
  events.push_back("event: content_block_delta\ndata: {\"type\":\"content_bl");  // half an event
  SimWorld world;
  world.script("anth", 80, http_stream(events, true), true);
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true));
  CHECK_THAT(answer.body, Contains("half an answ") && Contains("event: error") && !Contains("message_stop"));
  CHECK(answer.body.find("content_bl\n") == std::string::npos);
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK_FALSE(rows[0].at("error").empty());
}

TEST_CASE("an upstream's error in the client's dialect is relayed with its status, body and retry-after") {
  const std::string body =
      R"({"type":"error","error":{"type":"rate_limit_error","message":"slow down"},"request_id":"req_x"})";
  SimWorld world;
  world.script("anth", 80,
               http_reply(429, "application/json", body, "retry-after: 7\r\nx-should-retry: true\r\n"));
  ProxyWorld proxy(world, only_anth());
  const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", false));
  CHECK_THAT(answer.first_line, Contains("429"));
  CHECK(answer.body == body);
  CHECK(answer.field("retry-after") == "7");
  CHECK(proxy.rows().at(0).at("status") == "429");
}

TEST_CASE("a rate limit that says only in x-ratelimit-reset-* when it ends is told as retry-after") {
  const std::string limited = R"({"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}})";
  const auto asked = [](const std::string& reply) {
    SimWorld world;
    world.script("oai", 80, reply);
    ProxyWorld proxy(world, R"({ "providers": { "oai": { "dialect": "openai_chat", "base_url": "http://oai:80/v1", "models": ["gpt-*"] } } })");
    return proxy.answer("/v1/messages", messages("gpt-x", false));
  };
  const std::string resets = "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 6m0s\r\n";
  const Message answer = asked(http_reply(429, "application/json", limited, resets));
  CHECK_THAT(answer.first_line, Contains("429"));
  CHECK(answer.field("retry-after") == "360");
  CHECK(asked(http_reply(429, "application/json", limited, resets + "retry-after: 7\r\n")).field("retry-after") == "7");
  CHECK(asked(http_reply(500, "application/json", limited, resets)).field("retry-after").empty());
}

TEST_CASE("an answer that ends for length before its first token is the overflow that clients compact on") {
  const auto chunk = [](const std::string& more) {
    return R"(data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"mimo-v2.6-pro",)" + more + "}\n\n";
  };
  for (const bool streams : {true, false}) {
    INFO(streams);
    SimWorld world;
    world.script(
        "mimo", 80,
        streams ? http_stream({chunk(R"("choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}])"),
                               chunk(R"("choices":[{"index":0,"delta":{},"finish_reason":"length"}])"),
                               chunk(R"("choices":[],"usage":{"prompt_tokens":1048576,"completion_tokens":0})"), "data: [DONE]\n\n"})
                : http_reply(200, "application/json",
                             R"({"id":"c1","object":"chat.completion","created":1,"model":"mimo-v2.6-pro","choices":[{"index":0,"message":)"
                             R"({"role":"assistant","content":""},"finish_reason":"length"}],"usage":{"prompt_tokens":1048576,"completion_tokens":0}})"));
    ProxyWorld proxy(world, R"({ "providers": { "xiaomi": { "dialect": "openai_chat", "base_url": "http://mimo:80/v1", "models": ["mimo-*"] } } })");
    const Message answer = proxy.answer("/v1/messages", messages("mimo-v2.6-pro", streams));
    CHECK_THAT(answer.first_line, Contains("400"));
    CHECK_THAT(answer.body, Contains("invalid_request_error") && Contains("prompt is too long: 1048577 tokens > 1048576 maximum"));
  }
}

TEST_CASE("our own key refused is not passed on as the client's: it names the provider and the setting") {
  SimWorld world;
  world.script("anth", 80,
               http_reply(401, "application/json", error_json("authentication_error", "bad key")));
  ProxyWorld proxy(world, only_anth(R"(,"api_key":"s3cret")"));
  const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", false));
  CHECK_THAT(answer.first_line, !Contains("401"));
  CHECK_THAT(answer.body, Contains("providers.anth.api_key") && !Contains("s3cret"));
  CHECK(answer.field("x-should-retry") == "false");
}

TEST_CASE("bad requests get one clear sentence in the client's dialect, and every one has its row") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kWholeReply));
  ProxyWorld proxy(world, kConfig);
  const auto told = [&](const std::string& path, const std::string& body) {
    const Message answer = proxy.answer(path, body);
    CHECK(answer.complete);
    return answer.first_line.substr(9, 3) + " " + answer.body;
  };
  CHECK_THAT(told("/v1/messages", "{\"model\":"),
             Contains("400 {\"type\":\"error\"") && Contains("invalid_request_error"));
  CHECK_THAT(told("/v1/messages", R"({"messages":[{"role":"user","content":"x"}]})"),
             Contains("400") && Contains("model"));
  CHECK_THAT(told("/v1/messages", R"({"model":"claude-x"})"), Contains("400") && Contains("messages"));
  CHECK_THAT(told("/v1/chat/completions", R"({"model":"","messages":[]})"), Contains("400 {\"error\":{"));
  CHECK_THAT(told("/v1/messages", messages("oai,", false)), Contains("400"));
  CHECK_THAT(told("/v1/messages", messages(",gpt-x", false)), Contains("400"));
  CHECK_THAT(told("/v1/messages", messages("nobody,gpt-x", false)), Contains("404") || Contains("400"));
  CHECK_THAT(told("/v1/nowhere", "{}"), Contains("404"));
  CHECK_THAT(told("/v1/messages", messages("claude-sonnet-4-5", false)), Contains("200"));
  CHECK(proxy.rows().size() == 8);  // every request to a model, right or wrong
}

TEST_CASE(
    "a provider that is away, hangs up, redirects or talks nonsense gives one clear error that names it") {
  const auto status_with = [](const std::string& reply, bool close) {
    SimWorld world;
    if (!reply.empty() || close) world.script("anth", 80, reply, close);
    ProxyWorld proxy(world, only_anth());
    const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", false));
    CHECK(answer.complete);
    CHECK_THAT(answer.body, Contains("\"type\":\"error\"") && Contains("anth"));
    CHECK(proxy.rows().size() == 1);
    return answer.first_line.substr(9, 1);
  };
  CHECK(status_with("", false) == "5");  // nobody listens
  CHECK(status_with("", true) == "5");   // hangs up
  CHECK(status_with("HTTP/1.1 307 Go\r\nlocation: http://evil/\r\ncontent-length: 0\r\n\r\n", false) ==
        "5");                                                                              // redirects
  CHECK(status_with("SSH-2.0-OpenSSH\r\n\r\n", false) == "5");                             // nonsense
  CHECK(status_with(http_reply(200, "text/html", "<html>blocked</html>"), false) == "5");  // a page
}

TEST_CASE("a provider that accepts and never answers is a timeout") {
  SimWorld world;
  world.serve("anth", 80, [&world](http::Exchange&) -> Task<void> {
    (void)co_await sleep_for(world.loop, std::chrono::hours(1), StopToken());
  });
  ProxyWorld proxy(world, only_anth(R"(,"timeouts":{"first_byte":"5s","idle":"20s"})"));
  const auto streaming = proxy.ask("/v1/messages", messages("claude-sonnet-4-5", true));
  const auto whole = proxy.ask("/v1/messages", messages("claude-sonnet-4-5", false));
  world.loop.run_for(std::chrono::seconds(6));
  CHECK_THAT(streaming->received(), Contains("504") && Contains("timeout_error"));
  CHECK(whole->received().empty());  // it would begin when all of it is there
  world.loop.run_for(std::chrono::seconds(15));
  CHECK_THAT(whole->received(), Contains("504") && Contains("timeout_error"));
}

TEST_CASE("a client that leaves during a stream cancels the upstream and is recorded as 499") {
  SimWorld world;
  world.script("anth", 80, http_stream(beginning("first words"), true));  // says no more and does not end
  ProxyWorld proxy(world, kConfig);
  const auto client = proxy.ask("/v1/messages", messages("claude-sonnet-4-5", true));
  world.loop.run_for(std::chrono::seconds(1));
  CHECK_THAT(client->received(), Contains("first words"));
  client->leave();
  world.loop.run_for(std::chrono::seconds(1));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("status") == "499");
  CHECK(rows[0].at("input_tokens") == "11");
}

TEST_CASE("a silent stream is committed after ten seconds and kept alive by pings") {
  SimWorld world;
  world.script("anth", 80, http_stream({anthropic_events("x")[0]}, true));
  ProxyWorld proxy(world, kConfig);
  const auto client = proxy.ask("/v1/messages", messages("claude-sonnet-4-5", true));
  world.loop.run_for(std::chrono::seconds(9));
  CHECK(client->received().empty());
  world.loop.run_for(std::chrono::seconds(2));
  CHECK_THAT(client->received(), Contains("message_start") && !Contains("event: ping"));
  world.loop.run_for(std::chrono::seconds(15));
  CHECK_THAT(client->received(), Contains("event: ping"));
}

TEST_CASE("an answer that does not stream may take longer than a stream may take to begin") {
  SimWorld world;
  world.serve("anth", 80, [&world](http::Exchange& exchange) -> Task<void> {
    auto body = co_await exchange.read_body(1 << 20);
    if (!body.ok()) co_return;
    auto slept = co_await sleep_for(world.loop, std::chrono::seconds(200), exchange.stop());
    if (!slept.ok()) co_return;
    http::Headers headers;
    headers.add("content-type", "application/json");
    auto sent = co_await exchange.send(200, headers,
                                       R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"at last"}],)"
                                       R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7}})");
    (void)sent;
  });
  ProxyWorld proxy(world, only_anth(R"(,"timeouts":{"first_byte":"60s","idle":"300s"})"));
  CHECK_THAT(proxy.answer("/v1/messages", messages("claude-sonnet-4-5", false)).body, Contains("at last"));
  CHECK_THAT(proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true)).first_line, Contains("504"));
}

TEST_CASE("where a provider streams only, a whole answer is put together from its stream") {
  for (const bool switched : {true, false}) {
    CAPTURE(switched);
    SimWorld world;
    const std::string whole =
        R"({"id":"c1","object":"chat.completion","created":1,"model":"gpt-x","choices":[{"index":0,"finish_reason":"stop","message":)"
        R"({"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}})";
    world.script("oai", 80, switched ? http_stream(openai_events("hello")) : http_reply(200, "application/json", whole));
    ProxyWorld proxy(world, std::string(R"({"providers":{"oai":{"dialect":"openai_chat","base_url":"http://oai:80/v1","switches":{"whole_by_stream":)") +
                                (switched ? "true" : "false") + R"(}}},"routes":{"default":"oai,gpt-x"}})");
    const Message answer = proxy.answer("/v1/messages", R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})");
    const Seen seen = judge_of("anthropic").reply(answer.body);
    CHECK(seen.report() == "");
    CHECK(seen.text() == "hello");
    CHECK_THAT(answer.field("content-type"), Contains("application/json"));
    const bool streamed = world.scripted_requests.find(R"("stream":true,"stream_options":{"include_usage":true})") != std::string::npos;
    CHECK(streamed == switched);
    const auto rows = proxy.rows();
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].at("stream") == "0");
    CHECK(rows[0].at("output_tokens") == "7");
    CHECK(rows[0].at("usage_estimated") == "0");
  }
}

TEST_CASE("a client of the provider's own format gets its bytes, whatever the provider prefers to stream") {
  SimWorld world;
  const std::string whole =
      R"({"id":"c1","object":"chat.completion","created":1,"model":"gpt-x","new":[1.50],"choices":[{"index":0,"finish_reason":"stop","message":)"
      R"({"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}})";
  world.script("oai", 80, http_reply(200, "application/json", whole));
  ProxyWorld proxy(world, R"({"providers":{"oai":{"dialect":"openai_chat","base_url":"http://oai:80/v1","switches":{"whole_by_stream":true}}},)"
                          R"("routes":{"default":"oai,gpt-x"}})");
  CHECK(proxy.answer("/v1/chat/completions", R"({"model":"m","messages":[{"role":"user","content":"hi"}]})").body == whole);
  CHECK_THAT(world.scripted_requests, !Contains(R"("stream":true)"));
}

TEST_CASE("a stalled stream times out into an error event") {
  SimWorld world;
  world.script("anth", 80, http_stream(beginning("x"), true));
  ProxyWorld proxy(world, only_anth(R"(,"timeouts":{"idle":"40s"})"));
  const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true));
  CHECK(answer.complete);
  CHECK_THAT(answer.body, Contains("event: error") && Contains("timeout_error"));
}

TEST_CASE("the sim provider answers without any key") {
  SimWorld world;
  ProxyWorld proxy(world, "{}");
  const Message answer = proxy.answer("/v1/messages", messages("anything", false));
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK(answer.field("x-ccrules-target").starts_with("sim,"));
}

TEST_CASE("a rule's deny is told as it says and is not to be retried") {
  SimWorld world;
  ProxyWorld proxy(world, R"({"rules":["/r.lua"]})",
                   {{"/r.lua",
                     "rule \"stop\" { when = { model = \"*opus*\" }, deny = { status = 403, message = \"not "
                     "here\" } }\n"}});
  const Message answer = proxy.answer("/v1/messages", messages("claude-opus-5-5", false));
  CHECK_THAT(answer.first_line, Contains("403"));
  CHECK_THAT(answer.body, Contains("not here"));
  CHECK(answer.field("x-should-retry") == "false");
  CHECK(proxy.rows().at(0).at("rule") == "stop");
}

TEST_CASE(
    "a stream that ends in order but without its end is cut all the same, even when all of it came at once") {
  for (const bool translated : {false, true}) {
    SimWorld world;
    auto half = openai_events("half an answ");
    half.resize(2);
    world.script("anth", 80, http_stream(beginning("half an answ")));
    world.script("oai", 80, http_stream(half));
    ProxyWorld proxy(world, kConfig);
    const Message answer =
        proxy.answer("/v1/messages", messages(translated ? "oai,gpt-x" : "claude-sonnet-4-5", true));
    CHECK_THAT(answer.body,
               Contains("half an answ") && Contains("event: error") && !Contains("message_stop"));
    CHECK_FALSE(proxy.rows().at(0).at("error").empty());
  }
}

TEST_CASE("the proxy's own key never reaches a provider that gets the client's credentials") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kWholeReply));
  const std::string config = only_anth(R"(,"auth":"passthrough")");
  ProxyWorld proxy(world, config.substr(0, config.size() - 1) + R"(,"listen":{"api_key":"proxy-key"}})");
  CHECK_THAT(proxy
                 .answer("/v1/messages", messages("claude-sonnet-4-5", false),
                         "x-api-key: proxy-key\r\nauthorization: Bearer theirs\r\n")
                 .first_line,
             Contains("200"));
  CHECK_THAT(world.scripted_requests, !Contains("proxy-key") && Contains("Bearer theirs"));
}

TEST_CASE("a local server gets the key that is configured for it, and never the client's") {
  for (const bool has_key : {true, false}) {
    SimWorld world;
    world.script("gpu", 80, http_reply(200, "application/json", kWholeReply));
    const std::string key = has_key ? R"(,"api_key":"of-the-server")" : "";
    ProxyWorld proxy(world, R"({"providers":{"vllm":{"dialect":"anthropic","base_url":"http://gpu:80")" + key + "}}}");
    CHECK_THAT(proxy.answer("/v1/messages", messages("vllm,a-model", false), "x-api-key: theirs-1\r\nauthorization: Bearer theirs-2\r\n").first_line,
               Contains("200"));
    CHECK_THAT(world.scripted_requests, !Contains("theirs"));
    CHECK((world.scripted_requests.find("authorization: Bearer of-the-server") != std::string::npos) == has_key);
    CHECK((world.scripted_requests.find("authorization") != std::string::npos) == has_key);
  }
}

TEST_CASE("a key in the query opens the proxy and goes no further") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kWholeReply));
  const std::string config = only_anth("");
  ProxyWorld proxy(world, config.substr(0, config.size() - 1) + R"(,"listen":{"api_key":"proxy-key"}})");
  CHECK_THAT(proxy.answer("/v1/messages?key=proxy-key&beta=true", messages("claude-sonnet-4-5", false)).first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, !Contains("proxy-key") && Contains("POST /v1/messages?beta=true HTTP/1.1"));
}

TEST_CASE("a provider's error that repeats our key is told without it") {
  SimWorld world;
  world.script("anth", 80,
               http_reply(400, "application/json",
                          error_json("invalid_request_error", "key s3cret-key-of-ours is bad")));
  ProxyWorld proxy(world, only_anth(R"(,"api_key":"s3cret-key-of-ours")"));
  CHECK_THAT(proxy.answer("/v1/messages", messages("claude-sonnet-4-5", false)).body,
             Contains("invalid_request_error") && !Contains("s3cret"));
}

TEST_CASE("a request that takes longer than timeouts.total ends, however busy its stream is") {
  SimWorld world;
  world.serve("anth", 80, [&world](http::Exchange& exchange) -> Task<void> {
    (void)co_await exchange.read_body(1 << 20);
    http::Headers headers;
    headers.add("content-type", "text/event-stream");
    exchange.start(200, headers);
    for (const std::string& event : beginning("and so on")) (void)co_await exchange.write(event);
    while (!exchange.stop().stopped()) {
      (void)co_await sleep_for(world.loop, std::chrono::seconds(1), exchange.stop());
      const std::string more = beginning("and so on")[2];
      (void)co_await exchange.write(more);
    }
  });
  const std::string config = only_anth();
  ProxyWorld proxy(world, config.substr(0, config.size() - 1) + R"(,"timeouts":{"total":"30s"}})");
  const auto client = proxy.ask("/v1/messages", messages("claude-sonnet-4-5", true));
  world.loop.run_for(std::chrono::seconds(40));
  CHECK_THAT(client->received(),
             Contains("and so on") && Contains("event: error") && Contains("timeout_error"));
  world.stop_upstreams();
}

TEST_CASE("a model name that is no name is a 400 and is not stored") {
  SimWorld world;
  ProxyWorld proxy(world, kConfig);
  CHECK_THAT(proxy.answer("/v1/messages", messages(std::string(5000, 'm'), false)).first_line,
             Contains("400"));
  CHECK(proxy.rows().at(0).at("requested_model").size() <= 1024);
}

TEST_CASE("a durable ledger has the row before the client has the end of its answer") {
  const std::string config =
      R"({"ledger":{"durable":true},"providers":{)"
      R"("anth":{"dialect":"anthropic","base_url":"http://anth:80","models":["claude-*"]},)"
      R"("oai":{"dialect":"openai_chat","base_url":"http://oai:80/v1","models":["gpt-*"]}}})";
  struct Case {
    const char* what;
    const char* model;
    bool stream;
    std::string from_anth;
  };
  const Case cases[] = {
      {"a stream, byte for byte", "claude-sonnet-4-5", true, http_stream(anthropic_events("hello"))},
      {"a stream, translated", "oai,gpt-x", true, ""},
      {"a stream that is cut", "claude-sonnet-4-5", true, http_stream(beginning("hello"), true)},
      {"a whole reply", "claude-sonnet-4-5", false, http_reply(200, "application/json", kWholeReply)},
      {"a whole reply for a client that streams", "claude-sonnet-4-5", true,
       http_reply(200, "application/json", kWholeReply)},
      {"a provider's error", "claude-sonnet-4-5", false,
       http_reply(400, "application/json", error_json("invalid_request_error", "no"))},
      {"an error of ours", "nobody,x", false, ""},
  };
  for (const Case& now : cases) {
    CAPTURE(now.what);
    SimWorld world;
    if (!now.from_anth.empty()) world.script("anth", 80, now.from_anth, true);
    world.script("oai", 80, http_stream(openai_events("hello")));
    ProxyWorld proxy(world, config);
    const auto client = proxy.ask("/v1/messages", messages(now.model, now.stream));
    world.loop.run();
    const std::string so_far = client->received();
    const bool ended = read_message(so_far).complete || so_far.find("message_stop") != std::string::npos;
    if (ended) CHECK(proxy.committed_rows().size() == 1);
    proxy.run();
    CHECK(read_message(client->received()).complete);
    CHECK(proxy.committed_rows().size() == 1);
  }
}

TEST_CASE("an error event that repeats our key goes out without it, in either lane, into the ledger too") {
  auto told = beginning("hello");
  told.push_back("event: error\ndata: " + error_json("api_error", "key s3cret-key-of-ours is bad") + "\n\n");
  auto openai = openai_events("hello");
  openai.resize(2);
  openai.push_back("data: {\"error\":{\"message\":\"key s3cret-key-of-ours is bad\"}}\n\n");
  for (const bool translated : {false, true}) {
    for (const bool stream : {true, false}) {
      CAPTURE(translated, stream);
      SimWorld world;
      world.script("anth", 80, http_stream(translated ? openai : told));
      ProxyWorld proxy(world, std::string(R"({"providers":{"anth":{"dialect":")") +
                                  (translated ? "openai_chat" : "anthropic") +
                                  R"(","base_url":"http://anth:80","models":["claude-*"],)"
                                  R"("api_key":"s3cret-key-of-ours"}}})");
      const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", stream));
      CHECK_THAT(answer.body, Contains("key [key] is bad") && !Contains("s3cret-key-of-ours"));
      const auto rows = proxy.rows();
      REQUIRE(rows.size() == 1);
      CHECK_THAT(rows[0].at("error"), Contains("key [key] is bad") && !Contains("s3cret-key-of-ours"));
    }
  }
}

TEST_CASE("a key that only stands for one, as local servers take, breaks neither an error event nor a header") {
  auto told = beginning("hello");
  told.push_back("event: error\ndata: " + error_json("api_error", "error 1") + "\n\n");
  for (const char* key : {"1", "error", "x"}) {
    CAPTURE(key);
    SimWorld world;
    world.script("anth", 80, http_reply(200, "text/event-stream", joined(told), "request-id: req_x1_error\r\n"));
    ProxyWorld proxy(world, only_anth(std::string(R"(,"api_key":")") + key + R"(")"));
    const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true));
    CHECK(answer.body == joined(told));
    CHECK(answer.field("request-id") == "req_x1_error");
  }
}

TEST_CASE("an answer's text that holds our key by chance is passed byte for byte") {
  SimWorld world;
  const auto events = anthropic_events("hi, all");
  world.script("anth", 80, http_stream(events));
  ProxyWorld proxy(world, only_anth(R"(,"api_key":"hi, all")"));
  CHECK(proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true)).body == joined(events));
}

TEST_CASE("an answer that is compressed in a way nobody asked for is a bad gateway that names the provider") {
  for (const bool stream : {true, false}) {
    SimWorld world;
    world.script("anth", 80,
                 http_reply(200, stream ? "text/event-stream" : "application/json", "garbage",
                            "content-encoding: compress\r\n"));
    ProxyWorld proxy(world, only_anth());
    const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", stream));
    CHECK_THAT(answer.first_line, Contains("502"));
    CHECK_THAT(answer.body, Contains("provider 'anth' compressed its answer in a way that was not asked for (compress)"));
  }
}

TEST_CASE("whole answers are asked for compressed over a network, streams and local servers are not") {
  const auto asked = [](bool stream, const std::string& more) {
    SimWorld world;
    world.script("anth", 80, stream ? http_stream(anthropic_events("hi")) : http_reply(200, "application/json", kWholeReply));
    ProxyWorld proxy(world, only_anth(more));
    CHECK_THAT(proxy.answer("/v1/messages", messages("claude-sonnet-4-5", stream), "accept-encoding: deflate\r\n").first_line,
               Contains("200"));
    const std::size_t at = world.scripted_requests.find("accept-encoding: ") + 17;
    return world.scripted_requests.substr(at, world.scripted_requests.find("\r\n", at) - at);
  };
  CHECK(asked(false, "") == "zstd, br, gzip");
  CHECK(asked(true, "") == "identity");
  CHECK(asked(false, R"(,"local":true)") == "identity");
  CHECK(asked(false, R"(,"compression":"off")") == "identity");
  CHECK(asked(true, R"(,"compression":"on")") == "zstd, br, gzip");
}

TEST_CASE("a compressed answer is read, counted and given to a client that gets it plain") {
  for (const http::Coding coding : {http::Coding::kGzip, http::Coding::kBrotli, http::Coding::kZstd}) {
    for (const bool stream : {true, false}) {
      for (const bool native : {true, false}) {
        CAPTURE(static_cast<int>(coding), stream, native);
        const std::string events = joined(anthropic_events("hello"));
        SimWorld world;
        SimDialer::Site site;
        site.from_site.cut = 5;
        world.script("anth", 80,
                     http_reply(200, stream ? "text/event-stream" : "application/json",
                                compressed(coding, stream ? events : std::string(kWholeReply)),
                                "content-encoding: " + std::string(http::coding_name(coding)) + "\r\n"),
                     false, site);
        ProxyWorld proxy(world, only_anth());
        const Message answer = proxy.answer(native ? "/v1/messages" : "/v1/chat/completions", messages("claude-sonnet-4-5", stream));
        CHECK_THAT(answer.first_line, Contains("200"));
        CHECK(answer.complete);
        CHECK(answer.field("content-encoding").empty());
        CHECK_THAT(answer.body, Contains("hello"));
        if (native) CHECK(answer.body == (stream ? events : std::string(kWholeReply)));
        const auto rows = proxy.rows();
        CHECK(rows.at(0).at("input_tokens") == "11");
        CHECK(rows.at(0).at("output_tokens") == "7");
      }
    }
  }
}

TEST_CASE("a compressed answer goes as it came to a client that takes it, and is counted all the same") {
  const std::string encoded = compressed(http::Coding::kBrotli, std::string(kWholeReply));
  for (const char* accepted : {"br, gzip", "gzip"}) {
    CAPTURE(accepted);
    SimWorld world;
    world.script("anth", 80, http_reply(200, "application/json", encoded, "content-encoding: br\r\n"));
    ProxyWorld proxy(world, R"({"listen":{"compress":"on"},"providers":{"anth":{"dialect":"anthropic","base_url":"http://anth:80"}},
      "routes":{"default":"anth,claude-sonnet-4-5"}})");
    const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", false),
                                        "accept-encoding: " + std::string(accepted) + "\r\n");
    const bool passed = answer.field("content-encoding") == "br";
    CHECK(passed == (std::string_view(accepted) == "br, gzip"));
    CHECK(answer.body == (passed ? encoded : std::string(kWholeReply)));  // too small to be compressed anew
    CHECK(answer.field("vary") == "accept-encoding");
    CHECK(proxy.rows().at(0).at("output_tokens") == "7");
  }
}

TEST_CASE("a compressed stream that is wrong or cut ends with one error, and never as if it were whole") {
  const auto events = anthropic_events("hello");
  for (const http::Coding coding : {http::Coding::kGzip, http::Coding::kBrotli, http::Coding::kZstd}) {
    auto pieces = compressed(coding, events);
    std::string begun;
    for (std::size_t i = 0; i < 4; ++i) begun += pieces[i];
    for (const bool cut : {true, false}) {
      CAPTURE(static_cast<int>(coding), cut);
      SimWorld world;
      world.script("anth", 80,
                   http_reply(200, "text/event-stream", begun + (cut ? "" : std::string(40, '\xff')),
                              "content-encoding: " + std::string(http::coding_name(coding)) + "\r\n"));
      ProxyWorld proxy(world, only_anth());
      const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true));
      CHECK(answer.complete);
      CHECK_THAT(answer.body, !Contains("message_stop"));
      if (cut) CHECK_THAT(answer.body, Contains("hello") && Contains("event: error"));
      CHECK_THAT(answer.body, Contains(cut ? "compressed reply ended before it was complete" : "compressed reply is not valid"));
    }
  }
}

TEST_CASE("an error answer that is compressed is read like any other") {
  SimWorld world;
  world.script("anth", 80,
               http_reply(400, "application/json", compressed(http::Coding::kGzip, error_json("invalid_request_error", "no such thing")),
                          "content-encoding: gzip\r\n"));
  ProxyWorld proxy(world, only_anth());
  const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", false));
  CHECK_THAT(answer.first_line, Contains("400"));
  CHECK(answer.field("content-encoding").empty());
  CHECK(answer.body == error_json("invalid_request_error", "no such thing"));
}

TEST_CASE("an event stream that never has an event is a bad gateway that names the provider") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "text/event-stream", "data: {\"type\":\"message_start\"\n"));
  ProxyWorld proxy(world, only_anth());
  const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true));
  CHECK_THAT(answer.first_line, Contains("502"));
  CHECK_THAT(answer.body, Contains("provider 'anth': the provider's stream ended before it began"));
}

TEST_CASE("a stream that breaks into garbage gets one error event, and nothing of what follows goes out") {
  for (const bool translated : {false, true}) {
    CAPTURE(translated);
    SimWorld world;
    auto events = translated ? openai_events("hello") : anthropic_events("hello");
    const std::string garbage =
        translated ? "data: {not json\n\n" : "event: message_delta\ndata: {not json\n\n";
    // Twice, each with a good event behind it, every piece in a read of its own.
    events.insert(events.begin() + 3, {garbage, events[2], garbage});
    world.serve("anth", 80, [&world, &events](http::Exchange& exchange) -> Task<void> {
      (void)co_await exchange.read_body(1 << 20);
      http::Headers headers;
      headers.add("content-type", "text/event-stream");
      exchange.start(200, headers);
      for (const std::string& event : events) {
        (void)co_await exchange.write(event);
        (void)co_await sleep_for(world.loop, std::chrono::milliseconds(10), exchange.stop());
      }
      (void)co_await exchange.finish("");
    });
    ProxyWorld proxy(world, std::string(R"({"providers":{"anth":{"dialect":")") +
                                (translated ? "openai_chat" : "anthropic") +
                                R"(","base_url":"http://anth:80","models":["claude-*"]}}})");
    const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true));
    CHECK(answer.complete);
    CHECK_THAT(answer.body, Contains("hello") && Contains("event: error") && !Contains("message_stop"));
    const std::size_t error = answer.body.find("event: error");
    CHECK(answer.body.find("event:", error + 1) == std::string::npos);
    CHECK_THAT(answer.body.substr(error), Contains("provider 'anth'"));
    CHECK_THAT(proxy.rows().at(0).at("error"), Contains("JSON"));
    world.stop_upstreams();
  }
}

TEST_CASE("a stream whose line, event or comment never ends is given up instead of being held for ever") {
  const std::string endless[] = {"data: ", "data: x\n", ": on\n", "id: 1\n"};
  for (const std::string& line : endless) {
    for (const bool native : {true, false}) {
      CAPTURE(line, native);
      std::string piece;
      while (piece.size() < 1024 * 1024) piece += line;
      auto events = native ? beginning("hello") : openai_events("hello");
      events.resize(native ? 3 : 2);
      SimWorld world;
      static std::size_t written_bytes;
      written_bytes = 0;
      world.serve("anth", 80, [&](http::Exchange& exchange) -> Task<void> {
        (void)co_await exchange.read_body(1 << 20);
        http::Headers headers;
        headers.add("content-type", "text/event-stream");
        exchange.start(200, headers);
        for (const std::string& event : events) (void)co_await exchange.write(event);
        while (written_bytes < (20u << 20)) {
          auto written = co_await exchange.write(piece);
          if (!written.ok()) co_return;
          written_bytes += piece.size();
        }
        (void)co_await exchange.finish("");
      });
      ProxyWorld proxy(world, std::string(R"({"providers":{"anth":{"dialect":")") +
                                  (native ? "anthropic" : "openai_chat") +
                                  R"(","base_url":"http://anth:80","models":["claude-*"]}}})");
      const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true));
      CHECK(answer.complete);
      CHECK_THAT(answer.body, Contains("hello") && Contains("event: error") && !Contains("message_stop"));
      world.stop_upstreams();
    }
  }
}

TEST_CASE(
    "a stream that is nothing but half of its first event leads to the fallback, whatever the dialect") {
  for (const bool native : {true, false}) {
    CAPTURE(native);
    SimWorld world;
    const std::string half = openai_events("half an answ")[1];
    world.script("oai", 80, http_reply(200, "text/event-stream", half.substr(0, half.size() - 1)));
    world.script("spare", 80, http_stream(openai_events("from the spare")));
    ProxyWorld proxy(world, R"({"providers":{
      "oai": {"dialect":"openai_chat","base_url":"http://oai:80/v1","models":["gpt-*"]},
      "spare": {"dialect":"openai_chat","base_url":"http://spare:80/v1","models":["spare-*"]}},
      "fallbacks": {"gpt-*": ["spare,spare-1"]}})");
    const Message answer =
        proxy.answer(native ? "/v1/chat/completions" : "/v1/messages", messages("gpt-x", true));
    CHECK_THAT(answer.body, Contains("from the spare") && !Contains("half an answ"));
  }
}

TEST_CASE("a stream of lines flows line by line from an Ollama provider to an Ollama client") {
  SimWorld world;
  const std::string line =
      R"({"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"first words"},"done":false})"
      "\n";
  world.script("olla", 80, "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n" + line);  // and no end
  ProxyWorld proxy(world, R"({"providers":{
    "olla": {"dialect":"ollama","base_url":"http://olla:80","models":["m"]}}})");
  const auto client =
      proxy.ask("/api/chat", R"({"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]})");
  world.loop.run_for(std::chrono::seconds(1));
  CHECK_THAT(client->received(), Contains(line));
  client->leave();
  world.loop.run_for(std::chrono::seconds(1));
}

TEST_CASE("a compressed request goes to the provider plain") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kWholeReply));
  ProxyWorld proxy(world, kConfig);
  const std::string plain = messages("claude-sonnet-4-5", false);
  const Message answer = proxy.answer("/v1/messages", compressed(http::Coding::kGzip, plain), "content-encoding: gzip\r\n");
  CHECK(answer.body == kWholeReply);
  CHECK_THAT(world.scripted_requests, Contains(plain) && !Contains("content-encoding"));
}

TEST_CASE("a request compressed in a way that nobody knows is refused before its body is read") {
  SimWorld world;
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/chat/completions", "garbage", "content-encoding: compress\r\n");
  CHECK_THAT(answer.first_line, Contains("415"));
  CHECK_THAT(answer.body, Contains("the body is compressed (content-encoding: compress): send it as it is, or with gzip"));
  CHECK(proxy.rows().at(0).at("status") == "415");
}

TEST_CASE("an error without a body, or with a status nobody knows, is told in our words") {
  for (const int status : {500, 999}) {
    const bool known = status == 500;
    SimWorld world;
    world.script("anth", 80, http_reply(status, "application/json", known ? "" : "{}"));
    ProxyWorld proxy(world, only_anth());
    const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", true));
    CHECK_THAT(answer.first_line, Contains(known ? "500" : "502"));
    CHECK_THAT(answer.body, Contains("\"type\":\"error\"") && Contains(known ? "answered HTTP 500" : "answered with the status 999"));
  }
}

TEST_CASE("a provider that hangs up while its stream is collected into a whole reply is named") {
  for (const bool breaks : {true, false}) {
    SimWorld world;
    auto events = beginning("hello");
    if (breaks) events.push_back("event: content_block_delta\ndata: not json\n\n");
    events.push_back(": on\n\n");
    world.script("anth", 80, http_stream(events, true), true);
    ProxyWorld proxy(world, only_anth());
    const Message answer = proxy.answer("/v1/messages", messages("claude-sonnet-4-5", false));
    CHECK_THAT(answer.first_line, Contains("502"));
    CHECK_THAT(answer.body, Contains("provider 'anth'"));
  }
}

namespace {

/// What GET answers.
Message looked_up(SimWorld& world, ProxyWorld& proxy, const std::string& path,
                  const std::string& headers = {}) {
  MemoryClient client(world.loop, proxy.server());
  client.send("GET " + path + " HTTP/1.1\r\nhost: localhost\r\n" + headers + "\r\n");
  world.loop.run();
  return read_message(client.received());
}

}  // namespace

TEST_CASE("health and status count what was served and show the ledger") {
  SimWorld world;
  ProxyWorld proxy(world, kConfig);
  (void)proxy.answer("/v1/messages", messages("sim,hello", false));
  (void)proxy.rows();  // waits until they are written
  const Message health = looked_up(world, proxy, "/health");
  CHECK_THAT(health.first_line, Contains("200"));
  CHECK_THAT(health.body, Catch::StartsWith(R"({"status":"ok","version":")"));
  CHECK_THAT(health.body, Contains(R"("providers":{"healthy":4,"total":4})") &&
                              Contains(R"("ledger":{"ok":true,"rows_written":1,"rows_dropped":0})") &&
                              Contains(R"("cache_stats":{)") && Contains(R"("uptime":)"));
  const Message status = looked_up(world, proxy, "/status");
  CHECK_THAT(status.body, Catch::StartsWith(R"({"status":"ok","timestamp":"2026-11-18T)"));
  CHECK_THAT(
      status.body,
      Contains(R"("requests_served":1)") &&
          Contains(R"({"name":"anth","status":"enabled","last_check":null,"response_time_ms":null,"failures":0,"opened":0})") &&
          Contains(R"({"name":"sim","status":"enabled","last_check":"2026-11-18T)") &&
          Contains(R"("rules":{"hash":")"));
  CHECK_THAT(looked_up(world, proxy, "/ready").body, Catch::StartsWith(R"({"ready":true,"version":")"));

  proxy.vitals().set_reload_problem("the configuration has errors (the log says where)");
  CHECK_THAT(
      looked_up(world, proxy, "/status").body,
      Contains(R"("status":"degraded")") && Contains(R"("reload_problem":"the configuration has errors)"));
}

TEST_CASE("who has no key is told that the proxy is well and nothing else") {
  SimWorld world;
  ProxyWorld proxy(world, R"({"listen":{"api_key":"proxy-key"}})");
  const Message health = looked_up(world, proxy, "/health");
  CHECK_THAT(health.first_line, Contains("200"));
  CHECK_THAT(health.body, !Contains("ledger") && !Contains("providers"));
  CHECK_THAT(looked_up(world, proxy, "/status").body, !Contains("rules") && !Contains("sim"));
  CHECK_THAT(looked_up(world, proxy, "/health", "x-api-key: proxy-key\r\n").body, Contains("\"ledger\""));
  CHECK_THAT(looked_up(world, proxy, "/v1/models").first_line, Contains("401"));
}

namespace {

/// Lets a moment pass, not the time until idle connections close.
Message asked_soon(SimWorld& world, ProxyWorld& proxy, const std::string& body) {
  const auto client = proxy.ask("/v1/messages", body);
  world.loop.run_for(std::chrono::milliseconds(1));
  return read_message(client->received());
}
Message seen_soon(SimWorld& world, ProxyWorld& proxy, const std::string& path) {
  MemoryClient client(world.loop, proxy.server());
  client.send("GET " + path + " HTTP/1.1\r\nhost: localhost\r\n\r\n");
  world.loop.run_for(std::chrono::milliseconds(1));
  return read_message(client.received());
}

constexpr const char* kSpareReply =
    R"({"id":"c","object":"chat.completion","created":1,"model":"spare-1","choices":[{"index":0,"finish_reason":"stop",)"
    R"("message":{"role":"assistant","content":"from the spare"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}})";

}  // namespace

TEST_CASE("a provider that keeps failing is left alone until one request that tries it is answered") {
  SimWorld world;
  int asked = 0;
  bool well = false;
  world.serve("anth", 80, [&asked, &well](http::Exchange& exchange) -> Task<void> {
    ++asked;
    const http::Headers none;
    const std::string body = well ? std::string(kWholeReply) : error_json("overloaded_error", "busy");
    auto sent = co_await exchange.send(well ? 200 : 529, none, body);
    (void)sent;  // the test looks at what arrives
  });
  world.script("spare", 80, http_reply(200, "application/json", kSpareReply));
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(, "circuit": { "failures": 3, "open_for": "30s" })");
  ProxyWorld proxy(world, config);
  const auto ask = [&] { return asked_soon(world, proxy, messages("claude-sonnet-4-5", false)); };
  for (int i = 0; i < 3; ++i) CHECK(ask().field("x-ccrules-attempts") == "2");
  CHECK(asked == 3);
  const Message skipped = ask();
  CHECK_THAT(skipped.body, Contains("from the spare"));
  CHECK(skipped.field("x-ccrules-attempts") == "1");
  CHECK(asked == 3);
  CHECK_THAT(seen_soon(world, proxy, "/status").body, Contains(R"({"name":"anth","status":"open",)"));
  CHECK_THAT(seen_soon(world, proxy, "/health").body, Contains(R"("providers":{"healthy":3,"total":4})"));
  world.loop.run_for(std::chrono::seconds(30));
  CHECK_THAT(seen_soon(world, proxy, "/status").body, Contains(R"({"name":"anth","status":"half_open",)"));
  (void)ask();  // the one that tries: it fails
  CHECK(asked == 4);
  (void)ask();
  CHECK(asked == 4);
  world.loop.run_for(std::chrono::seconds(30));
  well = true;
  CHECK_THAT(ask().body, Contains("hello"));
  CHECK_THAT(ask().body, Contains("hello"));
  CHECK(asked == 6);
  CHECK_THAT(seen_soon(world, proxy, "/status").body, Contains(R"({"name":"anth","status":"enabled",)"));
}

TEST_CASE("where nothing else is configured, a provider that is left alone is told as overloaded, with when to come back") {
  SimWorld world;
  world.script("anth", 80, http_reply(529, "application/json", error_json("overloaded_error", "busy"), "retry-after: 20\r\n"));
  ProxyWorld proxy(world, only_anth());
  CHECK_THAT(asked_soon(world, proxy, messages("claude-sonnet-4-5", false)).first_line, Contains("529"));
  const Message refused = asked_soon(world, proxy, messages("claude-sonnet-4-5", false));
  CHECK_THAT(refused.first_line, Contains("529"));
  CHECK(refused.field("retry-after") == "20");
  CHECK_THAT(refused.body, Contains("'anth' has failed too often lately") && Contains("circuit"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].at("attempts") == "0");
  CHECK(rows[1].at("provider") == "anth");
}
