#include "rules/sieve.h"

#include <catch2/catch.hpp>

#include "rules/conditions.h"
#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::engine;
using ccrules::rules::test::Sample;

namespace {

constexpr const char* kConditions[] = {
    R"(model = "claude-sonnet-5-5")", R"(model = "*")", R"(model = "**")", R"(model = "*sonnet*")", R"(model = "*sonnet")",
    R"(model = "claude-*")", R"(model = "*5-5")", R"(model = "claude-*-5")", R"(model = "c?aude*")", R"(model = "*-?-5")",
    R"(model = { "gpt-*", "*haiku*" })", R"(model = none { "*opus*" })", R"(tokens = 1200)", R"(tokens = { gt = 1200 })",
    R"(tokens = { gte = 1200 })", R"(tokens = { lt = 1200 })", R"(tokens = { lte = 1200 })", R"(tokens = { gt = 100, lt = 5000 })",
    R"(stream = true)", R"(stream = false)", R"(effort = "high")", R"(effort = { present = false })", R"(effort = { present = true })",
    R"(max_tokens = { gt = 5 })", R"(tools = { has = "Bash" })", R"(tool_count = 0, model = "*5*", agent = "main")",
    R"(agent = "main", any { { tokens = 7 }, { tokens = 1200 } })", R"(time = { from = "00:00", to = "12:00" })",
    R"(model = "*sonnet*", function(req) return req.tokens > 1000 end)"};

}  // namespace

TEST_CASE("the sieve lets through what the conditions let through, and takes plain ones for all there is") {
  for (const char* condition : kConditions) {
    INFO(condition);
    const auto rules = engine(std::string("rule \"a\" { when = { ") + condition + " }, tag = { a = \"yes\" } }");
    const std::vector<Rule>& on_request = rules->rules().on_request;
    const Sieve sieve(on_request);
    const Sieve::Row& row = sieve.row(0);
    for (const char* model : {"claude-sonnet-5-5", "CLAUDE-Sonnet-5-5", "claude-haiku-4-5", "gpt-6.1-sol", "sonnet", "", "claude-", "c-5-5"}) {
      for (const std::int64_t tokens : {7, 1199, 1200, 1201, 100000}) {
        Sample sample;
        sample.outline.model = model;
        sample.facts.tokens = tokens;
        Reader reader(sample.facts);
        Sieve::Glance glance(reader);
        const Sieve::Answer answer = sieve.ask(row, glance);
        Trace trace;
        const bool matched = rules->decide(sample.facts, &trace).tags.contains("a");
        INFO(model << " " << tokens);
        CHECK(rules->decide(sample.facts).tags.contains("a") == matched);
        if (answer != Sieve::Answer::kMaybe) CHECK((answer == Sieve::Answer::kYes) == matched);
      }
    }
  }
}

TEST_CASE("only what is not plain is looked at again") {
  const auto rules = engine(R"(
rule "plain"  { when = { model = "*haiku*", tokens = { gt = 5, lt = 9 }, stream = true }, to = "sim,x" }
rule "any"    { when = { model = "*sonnet*", any { { tokens = 5 }, { tokens = 1200 } } }, to = "sim,x" }
rule "all"    { tag = { a = "b" } }
rule "window" { when = { model = "*sonnet*", time = { from = "00:00", to = "12:00" } }, tag = { a = "b" } }
rule "never"  { when = { model = "*haiku*", time = { from = "00:00", to = "12:00" } }, tag = { a = "b" } }
rule "lua"    { when = { model = "*sonnet*" }, to = function(req) return "sim,x" end })");
  const Sieve sieve(rules->rules().on_request);
  Sample sample;
  sample.outline.model = "claude-sonnet-5-5";
  sample.facts.tokens = 1200;
  Reader reader(sample.facts);
  Sieve::Glance glance(reader);
  CHECK(sieve.ask(sieve.row(0), glance) == Sieve::Answer::kNo);
  CHECK(sieve.ask(sieve.row(1), glance) == Sieve::Answer::kYes);
  CHECK(sieve.ask(sieve.row(2), glance) == Sieve::Answer::kYes);
  CHECK(sieve.ask(sieve.row(3), glance) == Sieve::Answer::kMaybe);
  CHECK(sieve.ask(sieve.row(4), glance) == Sieve::Answer::kNo);
  CHECK(sieve.ask(sieve.row(5), glance) == Sieve::Answer::kYes);
  CHECK(sieve.row(0).fixed_targets);
  CHECK_FALSE(sieve.row(2).only_targets);
  CHECK(sieve.row(5).only_targets);
  CHECK_FALSE(sieve.row(5).fixed_targets);
}

TEST_CASE("more facts than a glance keeps, and long texts, are told apart all the same") {
  const auto rules = engine(R"(
rule "many" { when = { model = "*", tokens = { gt = 1 }, agent = "main", stream = false, max_tokens = { present = false }, turns = 0,
                       images = 0, documents = 0, tool_count = 0, tool_results = 0, thinking = false, client = { present = false } },
              tag = { a = "yes" } })");
  Sample sample;
  sample.outline.model = "claude-sonnet-5-5";
  sample.facts.tokens = 1200;
  sample.identity.agent = "main";
  CHECK(rules->decide(sample.facts).tags.contains("a"));
  sample.identity.client = "curl";
  CHECK_FALSE(rules->decide(sample.facts).tags.contains("a"));

  const auto texts = engine(R"(rule "text" { when = { user = "*needle*" }, tag = { a = "yes" } })");
  sample.identity.user = std::string(1000, 'x');
  CHECK_FALSE(texts->decide(sample.facts).tags.contains("a"));
  sample.identity.user += "needle";
  CHECK(texts->decide(sample.facts).tags.contains("a"));
}

TEST_CASE("comparing tokens says how near the count is, also the second time") {
  const auto rules = engine(R"(
rule "a" { when = { tokens = { gt = 90000 } }, tag = { a = "yes" } }
rule "b" { when = { tokens = { gt = 1250 } }, tag = { b = "yes" } })");
  Sample sample;
  sample.facts.tokens = 1200;
  TokensUse use;
  use.low = 1100;
  use.high = 1300;
  sample.facts.tokens_use = &use;
  (void)rules->decide(sample.facts);  // for what it notes
  CHECK(use.near);
  CHECK_FALSE(use.seen);
}
