#include <memory>

#include <catch2/catch.hpp>

#include "support/proxy_world.h"
#include "support/scripted_answer.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

/// $10 and $100 per million tokens: an answer costs $0.0081, and a request may cost some $0.009.
constexpr const char* kConfig = R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]}},)"
                                R"("prices":{"m-1":{"input":10,"output":100}},"budgets":[{"scope":"subagent","usd":0.02,"per":"total"}]})";
constexpr const char* kBody = R"({"model":"m-1","max_tokens":80,"messages":[{"role":"user","content":"hi"}]})";

std::string headers_of(const std::string& agent, const std::string& parent) {
  return "x-claude-code-agent-id: " + agent + "\r\n" + (parent.empty() ? "" : "x-claude-code-parent-agent-id: " + parent + "\r\n");
}
Message ask(ProxyWorld& proxy, const std::string& agent, const std::string& parent = {}) {
  return proxy.answer("/v1/messages", kBody, headers_of(agent, parent));
}

}  // namespace

TEST_CASE("a tree of subagents has one budget, also after a restart") {
  SimWorld world;
  world.script("a", 80, http_reply(200, "application/json", anthropic_reply("hello", 10, 80)));
  ProxyWorld proxy(world, kConfig);
  CHECK_THAT(ask(proxy, "A").first_line, Contains("200"));
  CHECK_THAT(ask(proxy, "B", "A").first_line, Contains("200"));
  CHECK_THAT(ask(proxy, "C", "B").body, Contains("subagent 'A'"));
  proxy.ledger().flush();
  ProxyWorld again(world, kConfig, {}, proxy.crash());
  CHECK_THAT(ask(again, "C", "B").body, Contains("subagent 'A'"));
  CHECK_THAT(ask(again, "D", "C").body, Contains("subagent 'A'"));
  CHECK_THAT(ask(again, "B", "A").body, Contains("subagent 'A'"));
  CHECK_THAT(ask(again, "X", "never seen").first_line, Contains("200"));
}

TEST_CASE("a subagent whose first request was under way when the proxy was killed still belongs to its tree") {
  SimWorld world;
  world.serve("a", 80, [&world](http::Exchange& exchange) {
    ScriptedAnswer answer;
    answer.silent = std::chrono::seconds(5);
    answer.whole = anthropic_reply("hello", 10, 80);
    return answer_with(world.loop, exchange, std::move(answer));
  });
  ProxyWorld proxy(world, kConfig);
  CHECK_THAT(ask(proxy, "A").first_line, Contains("200"));
  const auto client = proxy.ask("/v1/messages", kBody, headers_of("B", "A"));
  world.loop.run_for(std::chrono::seconds(1));
  proxy.ledger().flush();
  ProxyWorld again(world, kConfig, {}, proxy.crash());
  CHECK_THAT(ask(again, "C", "B").body, Contains("subagent 'A'"));
}

TEST_CASE("thousands of other subagents do not split a tree") {
  SimWorld world;
  world.script("a", 80, http_reply(200, "application/json", anthropic_reply("hello", 10, 80)));
  ProxyWorld proxy(world, kConfig);
  CHECK_THAT(ask(proxy, "A").first_line, Contains("200"));
  CHECK_THAT(ask(proxy, "B", "A").first_line, Contains("200"));
  for (std::size_t i = 0; i < proxy::Subagents::kMost; ++i) {
    const std::string run = "run" + std::to_string(i);
    CHECK(proxy.tallies().subagents.root(run, i % 2 == 0 ? "" : "run" + std::to_string(i - 1)) != std::nullopt);
  }
  CHECK(proxy.tallies().subagents.root("E", "B") == std::nullopt);
  CHECK_THAT(ask(proxy, "C", "B").body, Contains("subagent 'A'"));
}
