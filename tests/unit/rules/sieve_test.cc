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

Sieve::Answer answer_of(Sieve& sieve, std::size_t rule, Reader& reader) {
  Sieve::Glance glance(reader);
  const bool possible = (sieve.candidates(reader, glance)[rule / 64] >> rule % 64 & 1U) != 0;
  return possible ? sieve.ask(sieve.row(rule), glance) : Sieve::Answer::kNo;
}

}  // namespace

TEST_CASE("the sieve lets through what the conditions let through, and takes plain ones for all there is") {
  for (const char* condition : kConditions) {
    INFO(condition);
    const auto rules = engine(std::string("rule \"a\" { when = { ") + condition + " }, tag = { a = \"yes\" } }");
    const std::vector<Rule>& on_request = rules->rules().on_request;
    Sieve sieve(on_request);
    for (const char* model : {"claude-sonnet-5-5", "CLAUDE-Sonnet-5-5", "claude-haiku-4-5", "gpt-6.1-sol", "sonnet", "", "claude-", "c-5-5"}) {
      for (const std::int64_t tokens : {7, 1199, 1200, 1201, 100000}) {
        Sample sample;
        sample.outline.model = model;
        sample.facts.tokens = tokens;
        Reader reader(sample.facts);
        const Sieve::Answer answer = answer_of(sieve, 0, reader);
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
  Sieve sieve(rules->rules().on_request);
  Sample sample;
  sample.outline.model = "claude-sonnet-5-5";
  sample.facts.tokens = 1200;
  Reader reader(sample.facts);
  CHECK(answer_of(sieve, 0, reader) == Sieve::Answer::kNo);
  CHECK(answer_of(sieve, 1, reader) == Sieve::Answer::kYes);
  CHECK(answer_of(sieve, 2, reader) == Sieve::Answer::kYes);
  CHECK(answer_of(sieve, 3, reader) == Sieve::Answer::kMaybe);
  CHECK(answer_of(sieve, 4, reader) == Sieve::Answer::kNo);
  CHECK(answer_of(sieve, 5, reader) == Sieve::Answer::kYes);
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

namespace {

/// "yes" by rule name, of a decision whose rules all tag.
std::map<std::string, std::string> tags(Engine& rules, const Sample& sample, bool traced) {
  Trace trace;
  return rules.decide(sample.facts, traced ? &trace : nullptr).tags;
}

}  // namespace

// Every text is asked about more than once, so that what was kept of it answers, too; there are more texts than slots, and more
// rules than bits in a word.
TEST_CASE("what was worked out for a text answers for that text alone") {
  std::string lua;
  for (int i = 0; i < 150; ++i) {
    const std::string number = std::to_string(i);
    const char* const fact = i % 3 == 0 ? "agent" : i % 3 == 1 ? "project" : "model";
    const std::string text = i % 2 == 0 ? "\"*" + number + "\"" : "{ \"name-" + number + "\", \"*-9" + number + "*\" }";
    lua += "rule \"r" + number + "\" { when = { " + fact + " = " + text + (i % 5 == 0 ? ", tokens = { gt = 10 }" : "") +
           " }, tag = { t" + number + " = \"yes\" } }\n";
  }
  lua += "rule \"absent\" { when = { agent = { present = false } }, tag = { absent = \"yes\" } }\n";
  lua += "rule \"not\" { when = { agent = { ne = \"name-3\" } }, tag = { other = \"yes\" } }\n";
  lua += "rule \"mixed\" { when = any { { agent = \"name-3\" }, { model = \"name-5\" } }, tag = { mixed = \"yes\" } }\n";
  const auto rules = engine(lua);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 200; ++i) {
      const std::string name = i == 0 ? "" : i % 50 == 49 ? std::string(100, 'x') + std::to_string(i) : "name-" + std::to_string(i);
      Sample sample;
      sample.outline.model = name;
      sample.identity.agent = i % 7 == 0 ? "" : name;
      sample.identity.project = name + "7";
      sample.facts.tokens = i;
      INFO(name);
      CHECK(tags(*rules, sample, false) == tags(*rules, sample, true));
    }
  }
}

TEST_CASE("a function that fails is heard of, whatever the texts behind it say") {
  const auto rules = engine(R"(
rule "first"  { when = any { function(req) error("no") end, { model = "gpt-*" } }, tag = { a = "yes" } }
rule "behind" { when = { { model = "gpt-*" }, function(req) error("no") end }, tag = { b = "yes" } }
)");
  Sample sample;
  sample.outline.model = "claude-sonnet-5-5";
  Trace trace;
  CHECK(rules->decide(sample.facts).failed_rules == rules->decide(sample.facts, &trace).failed_rules);
  sample.outline.model = "gpt-6.1-sol";
  Trace again;
  CHECK(rules->decide(sample.facts).failed_rules == rules->decide(sample.facts, &again).failed_rules);
}

TEST_CASE("a rule of a chain for the chosen model matches by what the chain finds") {
  const auto rules = engine(R"(
rule "to"    { to = "sim,claude-opus-5-5" }
rule "none"  { fallback = pick("target_model", { ["gpt-*"] = "sim,a" }) }
rule "text"  { when = { model = "*haiku*" }, fallback = pick("target_model", { ["claude-*"] = "sim,b" }) }
rule "chain" { fallback = pick("target_model", { ["claude-opus-*"] = { "sim,c", "sim,d" } }) }
)");
  for (const char* model : {"claude-haiku-4-5", "claude-sonnet-5-5", "claude-haiku-4-5"}) {
    Sample sample;
    sample.outline.model = model;
    Trace trace;
    const Decision decision = rules->decide(sample.facts);
    CHECK(decision == rules->decide(sample.facts, &trace));
    CHECK(decision.targets.size() == (std::string_view(model).find("haiku") != std::string_view::npos ? 2 : 3));
  }
}
