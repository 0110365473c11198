#include <catch2/catch.hpp>

#include "core/limits.h"
#include "support/proxy_world.h"
#include "support/scripted_answer.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kBody = R"({"model":"m-1","max_tokens":80,"messages":[{"role":"user","content":"hi"}]})";

/// $10 and $100 per million tokens: an answer costs $0.0081.
std::string config_with(const std::string& more) {
  return R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]}},"prices":{"m-1":{"input":10,"output":100}},)" +
         more + "}";
}

/// So many others spend more than anybody here that nobody is remembered.
void crowd(ProxyWorld& proxy) {
  ledger::Record other;
  other.at_us = proxy.worker().clock.wall_us() + 20'000'000;
  other.cost_nanousd = 1'000'000'000;
  for (std::size_t i = 0; i < 2 * limits::kSpendKeys; ++i) {
    other.user = "u" + std::to_string(i);
    proxy.tallies().spend.add(other);
  }
}

Message ask(ProxyWorld& proxy, const std::string& user) {
  return proxy.answer("/v1/messages", kBody, "x-ccrules-user: " + user + "\r\n");
}

}  // namespace

TEST_CASE("a rule that denies who has spent too much does so when thousands of others came since") {
  for (const char* rule : {"rule \"dear\" { when = { spend = { by = \"user\", per = \"day\", gt = 0.02 } }, deny = \"enough\" }\n",
                           "rule \"left\" { when = { budget_left = { by = \"user\", lt = 0.01 } }, deny = \"enough\" }\n"}) {
    CAPTURE(rule);
    SimWorld world;
    world.script("a", 80, http_reply(200, "application/json", anthropic_reply("hello", 10, 80)));
    const std::string config = config_with(R"("budgets":[{"scope":"user","usd":0.03,"mode":"soft"}],"rules":["r.lua"])");
    const std::map<std::string, std::string> files = {{"/etc/ccrules/r.lua", rule}};
    ProxyWorld proxy(world, config, files);
    int served = 0;
    while (served < 9 && ask(proxy, "ann").first_line.find("200") != std::string::npos) ++served;
    CHECK(served == 3);
    crowd(proxy);
    CHECK(proxy.tallies().spend.nanousd("user", "ann", ledger::Span::kDay, proxy.worker().clock.wall_us()) == 0);
    CHECK_THAT(ask(proxy, "ann").body, Contains("enough"));
    CHECK_THAT(ask(proxy, "carl").first_line, Contains("200"));
    // What the decision was made from is what was read, not what was remembered.
    CHECK_THAT(proxy.rows().at(4).at("facts"), Contains("0.0243") || Contains("0.0057"));
  }
}

TEST_CASE("a soft budget warns of what was spent before thousands of others came") {
  SimWorld world;
  world.script("a", 80, http_reply(200, "application/json", anthropic_reply("hello", 10, 80)));
  ProxyWorld proxy(world, config_with(R"("budgets":[{"scope":"user","usd":0.02,"mode":"soft"}])"));
  CHECK(ask(proxy, "ann").field("anthropic-ratelimit-unified-status") == "allowed");
  CHECK(ask(proxy, "ann").field("anthropic-ratelimit-unified-status") == "allowed");  // 41 % were used when it came
  crowd(proxy);
  CHECK(ask(proxy, "ann").field("anthropic-ratelimit-unified-status") == "allowed_warning");
  CHECK(ask(proxy, "carl").field("anthropic-ratelimit-unified-status") == "allowed");
}
