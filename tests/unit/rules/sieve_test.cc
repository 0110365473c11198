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
    for (const char* model : {"claude-sonnet-5-5", "claude-haiku-4-5", "gpt-6.1-sol", "sonnet", "", "claude-", "c-5-5"}) {
      for (const std::int64_t tokens : {7, 1199, 1200, 1201, 100000}) {
        Sample sample;
        sample.outline.model = model;
        sample.facts.tokens = tokens;
        Reader reader(sample.facts);
        const bool passes = sieve.passes(row, reader);
        Trace trace;
        const bool matched = rules->decide(sample.facts, &trace).tags.contains("a");
        INFO(model << " " << tokens);
        CHECK(rules->decide(sample.facts).tags.contains("a") == matched);
        CHECK((passes || !matched));
        if (row.whole) CHECK(passes == matched);
      }
    }
  }
}

TEST_CASE("only what is not plain is looked at again") {
  const auto rules = engine(R"(
rule "plain" { when = { model = "*haiku*", tokens = { gt = 5, lt = 9 }, stream = true }, to = "sim,x" }
rule "any"   { when = { model = "*haiku*", any { { tokens = 5 }, { tokens = 6 } } }, to = "sim,x" }
rule "all"   { tag = { a = "b" } })");
  const Sieve sieve(rules->rules().on_request);
  CHECK(sieve.row(0).count == 4);
  CHECK(sieve.row(0).whole);
  CHECK(sieve.row(0).only_targets);
  CHECK_FALSE(sieve.row(1).whole);
  CHECK(sieve.row(2).count == 0);
  CHECK(sieve.row(2).whole);
  CHECK_FALSE(sieve.row(2).only_targets);
}
