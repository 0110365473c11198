#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "providers": { "oai": { "dialect": "openai_chat", "base_url": "http://oai:80/v1", "models": ["gpt-*"] } },
  "budgets": [ { "scope": "project:a", "usd": 5, "per": "day" } ],
  "rules": ["/etc/my.lua"]
})";
constexpr const char* kRules = R"(
rule "payer" { budget = function(req) return req.tokens > 400 and "project:a" or "project:b" end }
rule "go" { to = "oai,gpt-5.5" }
)";
/// A size too small to learn from.
constexpr const char* kReply =
    R"({"id":"c1","object":"chat.completion","created":1,"model":"gpt-5.5","choices":[{"index":0,"finish_reason":"stop","message":)"
    R"({"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105}})";

std::string words(int count) {
  std::string text;
  while (count-- > 0) text += " word";
  return text;
}

}  // namespace

TEST_CASE("a rule whose code chooses the payer by the count is decided by a close count") {
  SimWorld world;
  world.script("oai", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kConfig, {{"/etc/my.lua", kRules}});
  const Message answer = proxy.answer("/v1/chat/completions",
                                      R"({"model":"gpt-5.5","messages":[{"role":"user","content":")" + words(400) + R"("}]})");
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK(proxy.rows().at(0).at("counted_grade") == "exact");
}

TEST_CASE("usage of an explicitly chosen model teaches about the model") {
  SimWorld world;
  world.script("oai", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kConfig, {{"/etc/my.lua", "rule \"x\" { when = { model = \"nothing\" }, to = \"oai,gpt-5.5\" }"}});
  const std::string body = R"({"model":"oai,gpt-5.5","messages":[{"role":"user","content":")" + std::string(3000, 'a') + R"("}]})";
  (void)proxy.answer("/v1/chat/completions", body);
  CHECK(proxy.rows().at(0).at("estimate_key") == "oai,gpt-5.5");
}

TEST_CASE("conversations of one session are counted apart: a subagent's count is not its parent's") {
  SimWorld world;
  world.script("oai", 80, http_reply(200, "application/json", kReply, "connection: close\r\n"));
  ProxyWorld proxy(world, kConfig, {{"/etc/my.lua", kRules}});
  const std::string head =
      R"({"model":"gpt-5.5","tools":[{"type":"function","function":{"name":"f","description":")" + words(200) + R"("}}],"messages":[)";
  const std::string session = "x-ccrules-session: s1\r\n";
  (void)proxy.answer("/v1/chat/completions", head + R"({"role":"user","content":"main)" + words(190) + R"("}]})", session);
  (void)proxy.answer("/v1/chat/completions",
                     head + R"({"role":"user","content":"sub)" + words(150) + R"("},{"role":"assistant","content":"a"},{"role":"user","content":"b"}]})",
                     session);
  const std::vector<Row> rows = proxy.rows();
  CHECK(rows.at(0).at("session") == rows.at(1).at("session"));
  CHECK(std::stoi(rows.at(1).at("counted_tokens")) < std::stoi(rows.at(0).at("counted_tokens")));
}
