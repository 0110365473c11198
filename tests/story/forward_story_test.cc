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
  CHECK_FALSE(cut.complete);
  CHECK(proxy.rows().size() == 2);
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
    CHECK_THAT(answer.body, Contains("provider 'oai' answered " + std::to_string(status)));
    CHECK(answer.field("location").empty());
  }
}

TEST_CASE("no answer to embeddings repeats the provider's key, neither in a header nor in a body") {
  for (const int status : {200, 400}) {
    SimWorld world;
    world.script("oai", 80, http_reply(status, "application/json", R"({"error":{"message":"bad oai-secret"}})", "x-echo: Bearer oai-secret\r\n"));
    ProxyWorld proxy(world, kConfig);
    const Message answer = proxy.answer("/v1/embeddings", kAsk);
    CHECK_THAT(answer.first_line, Contains(std::to_string(status)));
    CHECK_THAT(answer.body, Contains("bad [key]"));
    CHECK(answer.field("x-echo").empty());
  }
}

TEST_CASE("a rule's limit holds for completions too, and what decides is sent once") {
  SimWorld world;
  world.script("other", 80, http_reply(200, "application/json", "{}"));
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(,"rules":["/r.lua"])");
  ProxyWorld proxy(world, config, {{"/r.lua", "rule \"cap\" { set = { max_tokens = { max = 50 } } }\n"}});
  CHECK_THAT(proxy.answer("/v1/completions", R"({"model":"other-1","prompt":"say","max_tokens":9000})").first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, Contains(R"("max_tokens":50})") && !Contains("9000"));
  const Message twice = proxy.answer("/v1/completions", R"({"model":"other-1","prompt":"say","max_tokens":1,"max_tokens":9000})");
  CHECK_THAT(twice.first_line, Contains("400"));
  CHECK_THAT(twice.body, Contains("max_tokens is sent twice"));
}
