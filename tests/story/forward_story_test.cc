#include <catch2/catch.hpp>

#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "listen": { "api_key": "" },
  "providers": {
    "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "models": ["claude-*"] },
    "oai": { "dialect": "openai_responses", "base_url": "http://oai:80/v1", "api_key": "oai-secret", "models": ["gpt-*", "text-embedding-*"] },
    "other": { "dialect": "openai_chat", "base_url": "http://other:80/v1", "models": ["other-*"] }
  },
  "routes": { "default": "anth,claude-x" }
})";
constexpr const char* kVectors =
    R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1e-3]}],"model":"text-embedding-3-small",)"
    R"("usage":{"prompt_tokens":8,"total_tokens":8}})";
constexpr const char* kAsk = R"({"model":"text-embedding-3-small", "input":["a","b"],"dimensions":2})";

}  // namespace

TEST_CASE("embeddings go as they are to the provider that lists their model, whatever the default route is") {
  SimWorld world;
  world.script("oai", 80, http_reply(200, "application/json", kVectors, "x-request-id: up\r\n"));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/embeddings", kAsk, "authorization: Bearer mine\r\n");
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK(answer.body == kVectors);
  CHECK(answer.field("x-ccrules-target") == "oai,text-embedding-3-small");
  CHECK(answer.field("x-request-id") == "up");
  CHECK_THAT(world.scripted_requests, Contains("POST /v1/embeddings HTTP/1.1") && Contains(kAsk) &&
                                          Contains("authorization: Bearer oai-secret") && !Contains("mine"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("status") == "200");
  CHECK(rows[0].at("input_tokens") == "8");
  CHECK(rows[0].at("path") == "/v1/embeddings");
}

TEST_CASE("completions stream through byte for byte, and a named provider is told only its model") {
  SimWorld world;
  const std::vector<std::string> events = {
      "data: {\"id\":\"c\",\"object\":\"text_completion\",\"choices\":[{\"index\":0,\"text\":\"he\",\"finish_reason\":null}]}\n\n",
      "data: {\"id\":\"c\",\"object\":\"text_completion\",\"choices\":[{\"index\":0,\"text\":\"llo\",\"finish_reason\":\"stop\"}]}\n\n",
      "data: [DONE]\n\n"};
  world.script("other", 80, http_stream(events));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/completions", R"({"model":"other,base-1","prompt":"say","stream":true})");
  CHECK(answer.body == events[0] + events[1] + events[2]);
  CHECK(answer.complete);
  CHECK_THAT(world.scripted_requests, Contains("POST /v1/completions HTTP/1.1") && Contains(R"("model":"base-1")"));
}

TEST_CASE("a provider's refusal of embeddings comes back as it is, and a cut stream stays cut") {
  SimWorld world;
  world.script("oai", 80, http_reply(400, "application/json", R"({"error":{"message":"too long"}})"));
  ProxyWorld proxy(world, kConfig);
  const Message refused = proxy.answer("/v1/embeddings", kAsk);
  CHECK_THAT(refused.first_line, Contains("400"));
  CHECK(refused.body == R"({"error":{"message":"too long"}})");
  const std::vector<std::string> half = {"data: {\"choices\":[{\"text\":\"he\"}]}\n\n"};
  world.script("other", 80, http_stream(half, true));
  const Message cut = proxy.answer("/v1/completions", R"({"model":"other-1","prompt":"say","stream":true})");
  CHECK_THAT(cut.body, Contains(R"("text":"he")") && Contains(R"("error")") && !Contains("[DONE]"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 2);
  CHECK_THAT(rows[1].at("error"), Contains("the rest of its answer"));
}

TEST_CASE("embeddings of a model that no provider of OpenAI's format has are a clear 404") {
  SimWorld world;
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/embeddings", R"({"model":"nobody-1","input":"a"})");
  CHECK_THAT(answer.first_line, Contains("404"));
  CHECK_THAT(answer.body, Contains("no provider of OpenAI's format") && Contains("nobody-1"));
  CHECK_THAT(proxy.answer("/v1/embeddings", R"({"input":"a"})").first_line, Contains("400"));
  CHECK_THAT(proxy.answer("/v1/embeddings", R"({"model":"anth,claude-x","input":"a"})").first_line, Contains("404"));
}

TEST_CASE("the proxy's own keys stay here: no provider set to passthrough sees them with embeddings") {
  for (const char* key : {"gate-key", "admin-key"}) {
    INFO(key);
    SimWorld world;
    world.script("mine", 80, http_reply(200, "application/json", kVectors));
    ProxyWorld proxy(world, R"({"listen": {"api_key": "gate-key", "admin_key": "admin-key"}, "providers": {"mine": {
      "dialect": "openai_chat", "base_url": "http://mine:80/v1", "auth": "passthrough", "models": ["text-*"]}}})");
    const Message answer =
        proxy.answer("/v1/embeddings", kAsk, "x-api-key: gate-key\r\nauthorization: Bearer " + std::string(key) + "\r\n");
    CHECK_THAT(answer.first_line, Contains("200"));
    CHECK_THAT(world.scripted_requests, Contains("POST /v1/embeddings") && !Contains(key));
  }
}

TEST_CASE("a redirect of embeddings, or a status nobody knows, is an error that names the provider") {
  for (const int status : {307, 999}) {
    SimWorld world;
    world.script("oai", 80, http_reply(status, "application/json", "{}", "location: http://elsewhere/\r\n"));
    ProxyWorld proxy(world, kConfig);
    const Message answer = proxy.answer("/v1/embeddings", kAsk);
    CHECK_THAT(answer.first_line, Contains("502"));
    CHECK_THAT(answer.body, Contains("oai") && Contains(std::to_string(status)));
    CHECK(answer.field("location").empty());
  }
}

TEST_CASE("no error about embeddings repeats the provider's key, neither in a header nor in a body, whatever its status was") {
  for (const int status : {200, 400}) {
    SimWorld world;
    world.script("oai", 80, http_reply(status, "application/json", R"({"error":{"message":"bad oai-secret"}})", "x-echo: Bearer oai-secret\r\n"));
    ProxyWorld proxy(world, kConfig);
    const Message answer = proxy.answer("/v1/embeddings", kAsk);
    CHECK_THAT(answer.first_line, !Contains("200"));
    CHECK_THAT(answer.body, Contains("bad [key]"));
    CHECK(answer.field("x-echo").empty());
  }
}

TEST_CASE("a rule's limit holds for completions too, and what decides is sent once") {
  SimWorld world;
  world.script("other", 80, http_reply(200, "application/json", R"({"id":"c","choices":[{"index":0,"text":"hi","finish_reason":"stop"}]})"));
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(,"rules":["/r.lua"])");
  ProxyWorld proxy(world, config, {{"/r.lua", "rule \"cap\" { set = { max_tokens = { max = 50 } } }\n"}});
  CHECK_THAT(proxy.answer("/v1/completions", R"({"model":"other-1","prompt":"say","max_tokens":9000})").first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, Contains(R"("max_tokens":50})") && !Contains("9000"));
  const Message twice = proxy.answer("/v1/completions", R"({"model":"other-1","prompt":"say","max_tokens":1,"max_tokens":9000})");
  CHECK_THAT(twice.first_line, Contains("400"));
  CHECK_THAT(twice.body, Contains("max_tokens is sent twice"));
}

TEST_CASE("embeddings fall back to a provider that has the same model, ask its circuit, and what was decided is kept") {
  SimWorld world;
  world.script("oai", 80, http_reply(503, "application/json", R"({"error":{"message":"busy"}})"));
  world.script("spare", 80, http_reply(200, "application/json", kVectors));
  std::string config = kConfig;
  config.replace(config.find(R"("other": {)"), 10, R"("spare": { "dialect": "openai_chat", "base_url": "http://spare:80/v1" }, "other": {)");
  config.insert(config.rfind('}'), R"(, "fallbacks": { "text-embedding-*": ["spare,text-embedding-3-small", "spare,other-vectors"] },
                                     "circuit": { "failures": 2, "open_for": "1h" })");
  ProxyWorld proxy(world, config);
  for (int i = 0; i < 3; ++i) {
    const Message answer = proxy.answer("/v1/embeddings", R"({"model":"oai,text-embedding-3-small","input":"a"})");
    CHECK(answer.body == kVectors);
    CHECK(answer.field("x-ccrules-target") == "spare,text-embedding-3-small");
  }
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].at("attempts") == "2");
  CHECK(rows[1].at("attempts") == "2");
  CHECK(rows[2].at("attempts") == "1");  // oai is left alone by now
  CHECK_FALSE(rows[0].at("ruleset").empty());
  CHECK_THAT(rows[0].at("facts"), Contains(R"("tokens":)"));
}

TEST_CASE("a refusal that another provider would repeat comes back from the first, and so does the last one's when all fail") {
  SimWorld world;
  world.script("oai", 80, http_reply(400, "application/json", R"({"error":{"message":"too long"}})"));
  ProxyWorld proxy(world, kConfig);
  CHECK(proxy.answer("/v1/embeddings", kAsk).body == R"({"error":{"message":"too long"}})");
  CHECK(proxy.rows().at(0).at("attempts") == "1");
}

TEST_CASE("streamed completions are paid for like whole ones: usage is asked for and kept from a client that did not") {
  const std::vector<std::string> events = {
      "data: {\"id\":\"c\",\"object\":\"text_completion\",\"choices\":[{\"index\":0,\"text\":\"he\",\"finish_reason\":null}],\"usage\":null}\n\n",
      "data: {\"id\":\"c\",\"object\":\"text_completion\",\"choices\":[{\"index\":0,\"text\":\"llo\",\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
      "data: {\"id\":\"c\",\"object\":\"text_completion\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n",
      "data: [DONE]\n\n"};
  const std::string whole =
      R"({"id":"c","object":"text_completion","choices":[{"index":0,"text":"hello","finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}})";
  for (const bool wanted : {false, true}) {
    SimWorld world;
    world.script("other", 80, http_stream(events));
    std::string config = kConfig;
    config.insert(config.rfind('}'), R"(, "prices": { "base-1": { "input": 10, "output": 100 } })");
    ProxyWorld proxy(world, config);
    const std::string options = wanted ? R"(,"stream_options":{"include_usage":true})" : "";
    const Message answer = proxy.answer("/v1/completions", R"({"model":"other,base-1","prompt":"say","stream":true)" + options + "}");
    CHECK(answer.body == events[0] + events[1] + (wanted ? events[2] : "") + events[3]);
    CHECK_THAT(world.scripted_requests, Contains(R"("include_usage":true)"));
    world.script("other", 80, http_reply(200, "application/json", whole));
    for (const char* stream : {"false", "true"}) {  // some servers do not stream what they were asked to
      CHECK(proxy.answer("/v1/completions", R"({"model":"other,base-1","prompt":"say","stream":)" + std::string(stream) + "}").body == whole);
    }
    const auto rows = proxy.rows();
    REQUIRE(rows.size() == 3);
    for (const auto& row : rows) CHECK(row.at("cost_nanousd") == "250000");
    CHECK(rows[0].at("stop_reason") == "end_turn");
  }
}

TEST_CASE("a client that leaves in the middle of completions pays for what there was, and its row says that it left") {
  SimWorld world;
  world.serve("other", 80, [](http::Exchange& exchange) -> Task<void> {
    http::Headers headers;
    headers.add("content-type", "text/event-stream");
    exchange.start(200, headers);
    const std::string event = "data: {\"choices\":[{\"index\":0,\"text\":\"" + std::string(400, 'a') + "\"}]}\n\n";
    for (int i = 0; i < 3; ++i) {
      auto sent = co_await exchange.write(event);
      (void)sent;
    }
    auto waited = co_await exchange.write(": waiting\n\n");
    (void)waited;
    exchange.abort();
  });
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(, "prices": { "base-1": { "input": 10, "output": 100 } })");
  ProxyWorld proxy(world, config);
  const Message answer = proxy.answer("/v1/completions", R"({"model":"other,base-1","prompt":"say","stream":true})");
  CHECK_THAT(answer.body, Contains("aaa"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(std::stoll(rows[0].at("cost_nanousd")) > 100 * 100'000);
}

TEST_CASE("a rule on errors may send completions elsewhere, but only to where they can be answered") {
  SimWorld world;
  world.script("oai", 80, http_reply(503, "application/json", R"({"error":{"message":"busy"}})"));
  world.script("other", 80, http_reply(200, "application/json", R"({"id":"c","choices":[{"index":0,"text":"hi","finish_reason":"stop"}]})"));
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(,"rules":["/r.lua"])");
  ProxyWorld there(world, config, {{"/r.lua", "rule \"move\" { on = \"error\", to = \"other,other-1\" }\n"}});
  const Message moved = there.answer("/v1/completions", R"({"model":"oai,gpt-x","prompt":"say"})");
  CHECK_THAT(moved.body, Contains("\"hi\""));
  CHECK(moved.field("x-ccrules-target") == "other,other-1");
}

TEST_CASE("embeddings set nothing aside for an answer, and lists of prompts as much as all their answers may cost") {
  SimWorld world;
  world.script("oai", 80, http_reply(200, "application/json", kVectors));
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(, "prices": { "text-embedding-3-small": { "input": 10, "output": 100 }, "base-1": { "input": 10, "output": 100 } },
                                      "budgets": [ { "usd": 0.022 } ])");
  ProxyWorld proxy(world, config);
  CHECK_THAT(proxy.answer("/v1/embeddings", kAsk).first_line, Contains("200"));
  const Message many = proxy.answer("/v1/completions", R"({"model":"other,base-1","prompt":["a","b","c"],"max_tokens":100})");
  CHECK_THAT(many.first_line, Contains("429"));
}

TEST_CASE("of a stream with several answers none is lost when another one is long in coming") {
  SimWorld world;
  const std::vector<std::string> events = {
      "data: {\"choices\":[{\"index\":0,\"text\":\"first\",\"finish_reason\":\"stop\"}]}\n\n",
      "data: {\"choices\":[{\"index\":1,\"text\":\"second\",\"finish_reason\":\"stop\"}]}\n\n", "data: [DONE]\n\n"};
  world.serve("other", 80, [&world, &events](http::Exchange& exchange) -> Task<void> {
    http::Headers headers;
    headers.add("content-type", "text/event-stream");
    exchange.start(200, headers);
    for (const std::string& event : events) {
      auto sent = co_await exchange.write(event);
      (void)sent;
      auto waited = co_await sleep_for(world.loop, std::chrono::milliseconds(5000), exchange.stop());
      (void)waited;
    }
    const std::string_view nothing;
    auto ended = co_await exchange.finish(nothing);
    (void)ended;
  });
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/completions", R"({"model":"other-1","prompt":["a","b"],"stream":true})");
  CHECK_THAT(answer.body, Contains("first") && Contains("second") && Contains("[DONE]"));
}
