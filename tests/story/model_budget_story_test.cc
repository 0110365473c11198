#include <array>

#include <catch2/catch.hpp>

#include "support/proxy_world.h"
#include "support/scripted_answer.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

/// Opus costs 4 and 20 USD per million tokens, Sonnet 2 and 10, Haiku less.
std::string config_with(const std::string& more) {
  return R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["claude-*"]},)"
         R"("b":{"dialect":"anthropic","base_url":"http://b:80","models":["none"]}},"circuit":{"failures":0},"retry":{"max_attempts":5},)" +
         more + "}";
}

std::string asking(std::string_view model) {
  return "{\"model\":\"" + std::string(model) + R"(","max_tokens":1000,"messages":[{"role":"user","content":"hi"}]})";
}

std::string answers_with(int output_tokens) { return http_reply(200, "application/json", anthropic_reply("hello", 10, output_tokens)); }
std::string overloaded() {
  return http_reply(529, "application/json", R"({"type":"error","error":{"type":"overloaded_error","message":"too much"}})");
}

std::string status_of(ProxyWorld& proxy, std::string_view model) {
  return proxy.answer("/v1/messages", asking(model)).first_line.substr(9, 3);
}

std::int64_t spent_by_model(ProxyWorld& proxy, std::string_view model) {
  return proxy.tallies().spend.nanousd("model", model, ledger::Span::kTotal, 0).value_or(-1);
}

/// All spellings of Opus that clients use, and one that names its provider.
constexpr std::array kOpus = {"claude-opus-5-5", "a,claude-opus-5-5", "claude-opus-5.5", "claude-opus-5-5-20260901", "claude-opus-5-5[1m]"};

}  // namespace

TEST_CASE("a model's budget is used up however the model is spelt, in requests and in the configuration, and after a restart") {
  for (const char* scope : {"model:claude-opus-5-5", "model:a,claude-opus-5.5", "model:anthropic/claude-opus-5.5", "model", "model:*"}) {
    CAPTURE(scope);
    SimWorld world;
    world.script("a", 80, answers_with(900));
    const std::string config = config_with(R"("budgets":[{"scope":")" + std::string(scope) + R"(","usd":0.1,"per":"total"}])");
    ProxyWorld proxy(world, config);
    int served = 0;  // some $0.018 each
    while (served < 20 && status_of(proxy, kOpus[static_cast<std::size_t>(served) % kOpus.size()]) == "200") ++served;
    CHECK((served >= 3 && served <= 5));
    for (const char* opus : kOpus) CHECK(status_of(proxy, opus) == "429");
    CHECK(status_of(proxy, "claude-sonnet-5-5") == "200");
    const std::int64_t of_opus = spent_by_model(proxy, "claude-opus-5-5");
    CHECK(of_opus == served * (10 * 4'000 + 900 * 20'000));
    CHECK(spent_by_model(proxy, "claude-sonnet-5-5") == 10 * 2'000 + 900 * 10'000);
    CHECK(proxy.rows().at(0).at("billed_model").empty());
    CHECK(proxy.rows().at(1).at("billed_model") == "claude-opus-5-5");
    proxy.ledger().flush();
    ProxyWorld again(world, config, {}, proxy.crash());
    CHECK(spent_by_model(again, "claude-opus-5-5") == of_opus);
    for (const char* opus : kOpus) CHECK(status_of(again, opus) == "429");
  }
}

TEST_CASE("what a rule sends to another model is paid by that model's budget, and rules know what a model has spent by any spelling") {
  SimWorld world;
  world.script("a", 80, answers_with(900));
  ProxyWorld proxy(world, config_with(R"("budgets":[{"scope":"model:claude-opus-5-5","usd":0.1}],"rules":["r.lua"])"),
                   {{"/etc/ccrules/r.lua", "rule \"up\" { when = { model = \"claude-sonnet-5-5\" }, to = \"a,claude-opus-5-5\" }\n"
                                           "rule \"poor\" { when = { model = \"claude-haiku-5-5\", budget_left = { scope = "
                                           "\"model:claude-opus-5.5\", lt = 0.09 } }, deny = \"too poor\" }\n"}});
  CHECK(status_of(proxy, "claude-haiku-5-5") == "200");
  int served = 0;
  while (served < 20 && status_of(proxy, "claude-sonnet-5-5") == "200") ++served;
  CHECK((served >= 3 && served <= 5));
  const Message refused = proxy.answer("/v1/messages", asking("claude-sonnet-5-5"));
  CHECK_THAT(refused.first_line, Contains("429"));
  CHECK_THAT(refused.body, Contains("model 'claude-opus-5-5'"));
  CHECK(status_of(proxy, "claude-opus-5-5") == "429");
  CHECK_THAT(proxy.answer("/v1/messages", asking("claude-haiku-5-5")).body, Contains("too poor"));
}

TEST_CASE("a fallback is judged by its own model: one that has nothing left is passed by, and what fails is told as it failed") {
  SimWorld world;
  world.script("a", 80, overloaded());
  world.script("b", 80, answers_with(900));
  const std::string budgets = R"("budgets":[{"scope":"model:claude-opus-5-5","usd":0}],)";
  {
    ProxyWorld proxy(world, config_with(budgets + R"("fallbacks":{"claude-sonnet-*":["b,claude-opus-5-5","b,claude-haiku-5-5"]})"));
    const Message answer = proxy.answer("/v1/messages", asking("claude-sonnet-5-5"));
    CHECK_THAT(answer.first_line, Contains("200"));
    CHECK(answer.field("x-ccrules-target") == "b,claude-haiku-5-5");
    CHECK(answer.field("anthropic-ratelimit-unified-status").empty());
    CHECK(spent_by_model(proxy, "claude-opus-5-5") == 0);
    CHECK(spent_by_model(proxy, "claude-haiku-5-5") > 0);
  }
  {
    ProxyWorld proxy(world, config_with(budgets + R"("fallbacks":{"claude-sonnet-*":["b,claude-opus-5-5"]})"));
    const Message answer = proxy.answer("/v1/messages", asking("claude-sonnet-5-5"));
    CHECK_THAT(answer.first_line, Contains("529"));
    CHECK(answer.field("anthropic-ratelimit-unified-status").empty());
  }
  {
    ProxyWorld proxy(world, config_with(budgets + R"("fallbacks":{"claude-opus-*":["b,claude-haiku-5-5"]})"));
    CHECK(status_of(proxy, "claude-opus-5-5") == "429");  // the request is refused, as by any other hard budget
  }
}

TEST_CASE("a fallback takes its own model's budget, and gives back what the first model's had set aside") {
  SimWorld world;
  world.script("a", 80, overloaded());
  world.script("b", 80, answers_with(900));
  ProxyWorld proxy(world, config_with(R"("budgets":[{"scope":"model","usd":0.1}],"fallbacks":{"claude-sonnet-*":["b,claude-opus-5-5"]})"));
  int served = 0;
  while (served < 20 && status_of(proxy, "claude-sonnet-5-5") == "200") ++served;
  CHECK((served >= 3 && served <= 5));
  const std::int64_t of_opus = spent_by_model(proxy, "claude-opus-5-5");
  CHECK(of_opus == served * (10 * 4'000 + 900 * 20'000));
  CHECK(spent_by_model(proxy, "claude-sonnet-5-5") == 0);
  constexpr std::int64_t kCap = 100'000'000;
  const std::int64_t now_us = proxy.worker().clock.wall_us();
  CHECK(proxy.tallies().spend.left_nanousd({"model", "claude-opus-5-5", ledger::Span::kDay, kCap}, now_us) == kCap - of_opus);
  CHECK(proxy.tallies().spend.left_nanousd({"model", "claude-sonnet-5-5", ledger::Span::kDay, kCap}, now_us) == kCap);
  CHECK(status_of(proxy, "claude-sonnet-5-5") == "529");
}

TEST_CASE("an answer that a rule would rather have from a model without budget is better than none") {
  SimWorld world;
  world.script("a", 80, answers_with(900));
  ProxyWorld proxy(world, config_with(R"("budgets":[{"scope":"model:claude-opus-5-5","usd":0}],"rules":["r.lua"])"),
                   {{"/etc/ccrules/r.lua", "rule \"up\" { on = \"response\", when = { model = \"claude-sonnet-5-5\" }, to = \"a,claude-opus-5-5\" }\n"}});
  const Message answer = proxy.answer("/v1/messages", asking("claude-sonnet-5-5"));
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK(answer.field("x-ccrules-target") == "a,claude-sonnet-5-5");
  CHECK(spent_by_model(proxy, "claude-sonnet-5-5") == 10 * 2'000 + 900 * 10'000);
}

TEST_CASE("no second attempt is made beside a slow one at a model whose budget is used up") {
  for (const bool room : {false, true}) {
    CAPTURE(room);
    SimWorld world;
    world.serve("a", 80, [&world](http::Exchange& exchange) {
      ScriptedAnswer answer;
      answer.silent = std::chrono::seconds(30);
      answer.whole = anthropic_reply("slow", 10, 900);
      return answer_with(world.loop, exchange, std::move(answer));
    });
    world.script("b", 80, answers_with(900));
    ProxyWorld proxy(world, config_with(R"("hedge":{"after":"2s"},"fallbacks":{"claude-sonnet-*":["b,claude-opus-5-5"]},)"
                                        R"("budgets":[{"scope":"model","usd":0.5},{"scope":"model:claude-opus-5-5","usd":)" +
                                        std::string(room ? "1" : "0") + "}]"));
    const Message answer = proxy.answer("/v1/messages", asking("claude-sonnet-5-5"));
    CHECK_THAT(answer.first_line, Contains("200"));
    CHECK(answer.field("x-ccrules-target") == (room ? "b,claude-opus-5-5" : "a,claude-sonnet-5-5"));
    CHECK((spent_by_model(proxy, "claude-opus-5-5") > 0) == room);
    constexpr std::int64_t kCap = 500'000'000;
    const std::int64_t now_us = proxy.worker().clock.wall_us();
    for (const char* model : {"claude-opus-5-5", "claude-sonnet-5-5"})
      CHECK(proxy.tallies().spend.left_nanousd({"model", model, ledger::Span::kDay, kCap}, now_us) == kCap - spent_by_model(proxy, model));
  }
}

TEST_CASE("a model's rate limit counts requests to it however they spell it") {
  SimWorld world;
  world.script("a", 80, answers_with(9));
  ProxyWorld proxy(world, config_with(R"("rate_limits":[{"scope":"model:claude-opus-5.5","requests":2,"per":"1h"}])"));
  CHECK(status_of(proxy, kOpus[1]) == "200");
  CHECK(status_of(proxy, kOpus[2]) == "200");
  for (const char* opus : kOpus) CHECK(status_of(proxy, opus) == "429");
  CHECK(status_of(proxy, "claude-sonnet-5-5") == "200");
}
