#include <catch2/catch.hpp>

#include "support/gemini_validator.h"
#include "support/json_tree.h"
#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "providers": {
    "google": { "dialect": "gemini", "base_url": "http://google:80", "api_key": "goog-secret", "models": ["gemini-*"] },
    "vertex": { "dialect": "gemini", "base_url": "http://vertex:80/v1/projects/p/locations/l/publishers/google", "auth": "bearer",
                "api_key": "token", "models": [] },
    "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "api_key": "anth-secret", "models": ["claude-*"] }
  },
  "routes": { "default": "google,gemini-3.5-flash" }
})";

constexpr const char* kAsk = R"({"model":"claude-x","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"hi"}],)"
                             R"("tools":[{"name":"now","input_schema":{"type":"object","properties":{"zone":{"type":"string"}}}}]})";
constexpr const char* kGeminiAsk = R"({"contents":[{"role":"user","parts":[{"text":"hi"}]}]})";

std::string event(const std::string& parts, const std::string& more = {}) {
  return R"(data: {"candidates":[{"content":{"parts":[)" + parts + R"(],"role":"model"},"index":0)" + more +
         R"(}],"usageMetadata":{"promptTokenCount":20,"candidatesTokenCount":7,"thoughtsTokenCount":5,"totalTokenCount":32},)"
         R"("modelVersion":"gemini-3.5-flash","responseId":"resp1"})"
         "\r\n\r\n";
}

std::vector<std::string> call_stream() {
  return {event(R"({"text":"Looking","thought":true})"), event(R"({"text":"One moment."})"),
          event(R"({"functionCall":{"id":"a1","name":"now","args":{"zone":"utc"}},"thoughtSignature":"U0lHTkFUVVJF"})"),
          event(R"({"text":""})", R"(,"finishReason":"STOP")")};
}

constexpr const char* kWhole =
    R"({"candidates":[{"content":{"parts":[{"text":"hello"}],"role":"model"},"finishReason":"STOP","index":0}],)"
    R"("usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":3,"totalTokenCount":12},"modelVersion":"gemini-3.5-flash","responseId":"r9"})";

}  // namespace

TEST_CASE("a Gemini provider answers an Anthropic client's stream with tools, in both directions of its signature") {
  SimWorld world;
  world.script("google", 80, http_stream(call_stream()));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", kAsk);
  CHECK(answer.complete);
  CHECK_THAT(world.scripted_requests, Contains("POST /v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse HTTP/1.1"));
  CHECK_THAT(world.scripted_requests, Contains("x-goog-api-key: goog-secret") && !Contains("authorization"));
  CHECK_THAT(answer.body, Contains("event: message_start") && Contains("thinking_delta") && Contains("One moment.") &&
                              Contains(R"("type":"tool_use","id":"a1","name":"now")") && Contains("event: message_stop"));
  CHECK_THAT(answer.body, Contains("ccr1.google,gemini-3.5-flash:"));
  CHECK_THAT(answer.body, Contains(R"("stop_reason":"tool_use")"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("status") == "200");
  CHECK(rows[0].at("input_tokens") == "20");
  CHECK(rows[0].at("output_tokens") == "12");

  const std::size_t at = answer.body.rfind("ccr1.google");
  const std::string signature = answer.body.substr(at, answer.body.find('"', at) - at);
  world.script("google", 80, http_reply(200, "application/json", kWhole));
  const Message next = proxy.answer(
      "/v1/messages",
      R"({"model":"claude-x","max_tokens":100,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[)"
      R"({"type":"thinking","thinking":"","signature":")" +
          signature +
          R"("},{"type":"tool_use","id":"a1","name":"now","input":{"zone":"utc"}}]},)"
          R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"a1","content":"noon"}]}]})");
  CHECK_THAT(next.first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, Contains("gemini-3.5-flash:generateContent HTTP/1.1"));
  CHECK_THAT(world.scripted_requests, Contains(R"("thoughtSignature":"U0lHTkFUVVJF")"));
}

TEST_CASE("a Gemini client's stream from its own provider comes back byte for byte, and its key and query stay here") {
  SimWorld world;
  const auto events = call_stream();
  world.script("google", 80, http_stream(events));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse&key=mine", kGeminiAsk,
                                      "x-goog-api-key: mine\r\n");
  std::string expected;
  for (const std::string& one : events) expected += one;
  CHECK(answer.body == expected);
  CHECK_THAT(world.scripted_requests, Contains("streamGenerateContent?alt=sse HTTP/1.1") && Contains(kGeminiAsk));
  CHECK_THAT(world.scripted_requests, !Contains("mine"));
  const auto rows = proxy.rows();
  CHECK(rows.at(0).at("requested_model") == "gemini-3.5-flash");
  CHECK(rows.at(0).at("output_tokens") == "12");
}

TEST_CASE("a Gemini client is served by an Anthropic provider") {
  SimWorld world;
  world.script("anth", 80, http_stream(anthropic_events("hello")));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1beta/models/anth%2Cclaude-sonnet-5-5:streamGenerateContent?alt=sse", kGeminiAsk);
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK_THAT(answer.field("content-type"), Contains("text/event-stream"));
  const Seen seen = check_gemini_stream(answer.body);
  INFO(answer.body);
  CHECK(seen.report() == "");
  CHECK(seen.text() == "hello");
  CHECK_THAT(world.scripted_requests, Contains(R"("model":"claude-sonnet-5-5")") && Contains(R"("stream":true)"));
}

TEST_CASE("Gemini's endpoints: a whole answer under /v1, counting, models, one model") {
  SimWorld world;
  world.script("google", 80, http_reply(200, "application/json", kWhole));
  ProxyWorld proxy(world, kConfig);
  CHECK(proxy.answer("/v1/models/gemini-3.5-flash:generateContent", kGeminiAsk).body == kWhole);
  const Message counted = proxy.answer("/v1beta/models/gemini-3.5-flash:countTokens",
                                       R"({"generateContentRequest":{"model":"models/x","contents":{"parts":{"text":"one two three"}}}})");
  CHECK_THAT(counted.first_line, Contains("200"));
  CHECK(counted.body == "{\"totalTokens\":7}");  // three words and the frame of a message
  CHECK(counted.field("x-ccrules-tokens") == "estimated");
}

TEST_CASE("a Gemini client that does not ask for events gets its stream as one JSON array, from any provider") {
  for (const bool google : {true, false}) {
    SimWorld world;
    world.script("google", 80, http_stream(call_stream()));
    world.script("anth", 80, http_stream(anthropic_events("hello")));
    ProxyWorld proxy(world, kConfig);
    const std::string model = google ? "gemini-3.5-flash" : "anth%2Cclaude-sonnet-5-5";
    const Message answer = proxy.answer("/v1beta/models/" + model + ":streamGenerateContent", kGeminiAsk);
    INFO(answer.body);
    CHECK_THAT(answer.first_line, Contains("200"));
    CHECK(answer.complete);
    CHECK_THAT(answer.field("content-type"), Contains("application/json"));
    const auto array = parse_tree(answer.body);
    REQUIRE(array);
    REQUIRE(array->kind == Tree::Kind::kArray);
    std::string events;
    for (const Tree& item : array->items) events += "data: " + compact(item) + "\r\n\r\n";
    const Seen seen = check_gemini_stream(events);
    CHECK(seen.report() == "");
    CHECK(seen.text() == (google ? "One moment." : "hello"));
    CHECK(proxy.rows().at(0).at("status") == "200");
  }
}

TEST_CASE("a stream that breaks inside a JSON array ends with its error and the array's end") {
  SimWorld world;
  auto events = call_stream();
  events.resize(2);
  world.script("google", 80, http_stream(events, true));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1beta/models/gemini-3.5-flash:streamGenerateContent", kGeminiAsk);
  INFO(answer.body);
  const auto array = parse_tree(answer.body);
  REQUIRE(array);
  REQUIRE(array->items.size() == 3);
  CHECK(array->items.back().get("error") != nullptr);
}

TEST_CASE("Vertex has its version and its project in the address, and takes a bearer token") {
  SimWorld world;
  world.script("vertex", 80, http_reply(200, "application/json", kWhole));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1beta/models/vertex%2Cgemini-2.5-pro:generateContent", kGeminiAsk);
  CHECK(answer.body == kWhole);
  CHECK_THAT(world.scripted_requests,
             Contains("POST /v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent HTTP/1.1"));
  CHECK_THAT(world.scripted_requests, Contains("authorization: Bearer token"));
}

TEST_CASE("a model's name cannot leave its place in the path") {
  SimWorld world;
  world.script("google", 80, http_reply(404, "application/json", R"({"error":{"code":404,"message":"no","status":"NOT_FOUND"}})"));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", R"({"model":"google,../../x?key=1#y","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})");
  CHECK_THAT(answer.first_line, Contains("404"));
  CHECK_THAT(world.scripted_requests, Contains("POST /v1beta/models/..%2F..%2Fx%3Fkey%3D1%23y:generateContent HTTP/1.1"));
}

TEST_CASE("an error that Google sends in a body of its own behind a stream's events reaches the client in its words") {
  const std::string error = "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"The model is overloaded.\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n";
  for (const bool spaced : {false, true}) {
    SimWorld world;
    world.script("google", 80, http_stream({event(R"({"text":"half"})"), (spaced ? "\r\n" : "") + error}));
    ProxyWorld proxy(world, kConfig);
    const Message answer = proxy.answer("/v1/messages", kAsk);
    CHECK_THAT(answer.body, Contains("half") && Contains("event: error") && Contains("overloaded_error") && Contains("The model is overloaded.") &&
                                !Contains("message_stop"));
    CHECK_THAT(proxy.rows().at(0).at("error"), Contains("The model is overloaded."));
  }
}

TEST_CASE("the wait that Google asks for in the first event of a stream is the client's retry-after") {
  const std::string quota =
      R"({"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED","details":[)"
      R"({"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12s"}]}})";
  SimWorld world;
  world.script("google", 80, http_stream({"data: " + quota + "\r\n\r\n"}));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", kAsk);
  CHECK_THAT(answer.first_line, Contains("429"));
  CHECK(answer.field("retry-after") == "12");
  CHECK_THAT(answer.body, Contains("rate_limit_error") && Contains("Quota exceeded"));
}
