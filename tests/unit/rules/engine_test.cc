#include <catch2/catch.hpp>

#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::engine;
using ccrules::rules::test::Sample;
using ccrules::rules::test::targets;

TEST_CASE("the first claim on a slot wins and the other slots stay open") {
  auto rules = engine(R"(
alias { cheap = "ollama,qwen3-coder:30b", main = "anthropic,claude-sonnet-5-5" }
rule "explicit"   { when = { model = "*,*" }, to = function(req) return req.model end }
rule "background" { when = { model = "*haiku*" }, to = "cheap" }
rule "default"    { to = "main" }
rule "safety-net" { fallback = { "openrouter,anthropic/claude-sonnet-5.5", "cheap" } }
)");
  Sample sample("openai,gpt-6.1-sol");
  Decision decision = rules->decide(sample.facts);
  CHECK(decision.rule == "explicit");
  CHECK(targets(decision) == "openai,gpt-6.1-sol; openrouter,anthropic/claude-sonnet-5.5; ollama,qwen3-coder:30b");

  Sample haiku("claude-haiku-5-5");
  decision = rules->decide(haiku.facts);
  CHECK(decision.rule == "background");
  CHECK(targets(decision) == "ollama,qwen3-coder:30b; openrouter,anthropic/claude-sonnet-5.5");
}

TEST_CASE("without a rule file the built-in pack routes by the configuration") {
  config::Snapshot configuration = test::snapshot();
  configuration.rules.clear();
  configuration.routes["default"] = test::route("openai,gpt-6.1-sol");
  auto rules = engine("", configuration);
  Sample sample("claude-sonnet-5-5");
  const Decision decision = rules->decide(sample.facts);
  CHECK(decision.rule == "default");
  CHECK(decision.reason == "default model");
  CHECK(targets(decision) == "openai,gpt-6.1-sol");
}
