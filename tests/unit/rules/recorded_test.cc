#include "rules/recorded.h"

#include <limits>

#include <catch2/catch.hpp>

#include "rules/fixed_counters.h"
#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::engine;
using ccrules::rules::test::Sample;

namespace {

struct Past {
  Decision decision;
  RecordedRequest request;
};

/// Decides as the proxy does, and keeps what the ledger would.
Past decide(Engine& rules, Sample& sample) {
  FactRecorder recorder;
  Facts facts = sample.facts;
  recorder.listen(facts);
  Past past;
  past.decision = rules.decide(facts);
  past.request.identity = sample.identity;
  past.request.model = sample.outline.model;
  past.request.dialect = facts.dialect;
  past.request.path = facts.path;
  past.request.stream = sample.outline.stream;
  past.request.wall_us = facts.wall_us;
  past.request.facts_json = recorder.json(facts);
  return past;
}

Redecision again(Engine& rules, const Past& past) {
  auto decided = decide_again(rules, past.request);
  INFO(past.request.facts_json);
  REQUIRE(decided.ok());
  return *std::move(decided);
}

/// Counters that know one number for everything.
class Busy final : public Counters {
 public:
  [[nodiscard]] std::optional<double> spend_usd(Scope, Period period) const override {
    return period == Period::kDay ? 12.5 : 70;
  }
  [[nodiscard]] std::optional<double> budget_left_usd(Scope) const override { return 0.25; }
  [[nodiscard]] std::optional<double> requests(Scope, std::chrono::milliseconds) const override { return 61; }
  [[nodiscard]] std::string_view health(std::string_view provider) const override {
    return provider == "anthropic" ? "down" : "ok";
  }
  [[nodiscard]] std::optional<Warmth> warm(const Target& target, std::string_view) const override {
    Warmth warmth;
    warmth.warm = target.provider == "openai";
    warmth.tokens = 50000;
    return warmth;
  }
  [[nodiscard]] std::optional<Move> move(const Target&, const Target& to, std::string_view) const override {
    return Move{to.provider == "openai" ? 3 : std::numeric_limits<double>::infinity(), 0.5};
  }
};

}  // namespace

TEST_CASE("a decision made again from what was kept is the decision that was made") {
  const auto rules = engine(R"lua(
    rule "agent"    { when = { agent = "reviewer", client = "claude-code", project = "/srv/*" }, to = "anthropic,claude-a" }
    rule "thinker"  { when = { thinking = true, thinking_budget = { gt = 1000 } }, to = "anthropic,claude-b" }
    rule "effort"   { when = { effort = "max" }, to = "anthropic,claude-c" }
    rule "pictures" { when = { images = { gt = 1 }, documents = 0 }, to = "anthropic,claude-d" }
    rule "tools"    { when = { tool_count = { gt = 2 }, turns = { gt = 4 } }, to = "anthropic,claude-e" }
    rule "header"   { when = { headers = { ["x-team"] = "core" } }, to = "anthropic,claude-f" }
    rule "night"    { when = { ["time.hour"] = 3 }, to = "anthropic,claude-g" }
    rule "long"     { when = { tokens = { gt = 60000 } }, to = "anthropic,claude-h" }
    rule "rest"     { to = "openai,gpt-6" }
  )lua");
  const auto check = [&rules](const std::function<void(Sample&)>& change, const char* rule) {
    Sample sample;
    change(sample);
    const Past past = decide(*rules, sample);
    CHECK(past.decision.rule == rule);
    const Redecision redecision = again(*rules, past);
    CHECK(redecision.decision.rule == rule);
    CHECK(test::targets(redecision.decision) == test::targets(past.decision));
    CHECK(redecision.not_kept.empty());
  };
  check([](Sample&) {}, "rest");
  check(
      [](Sample& sample) {
        sample.identity.agent = "reviewer";
        sample.identity.client = "claude-code";
        sample.identity.project = "/srv/web";
      },
      "agent");
  check(
      [](Sample& sample) {
        sample.outline.thinking.kind = chat::ThinkingKind::kEnabled;
        sample.outline.thinking.budget_tokens = 4000;
      },
      "thinker");
  check([](Sample& sample) { sample.outline.effort = "max"; }, "effort");
  check([](Sample& sample) { sample.outline.images = 2; }, "pictures");
  check(
      [](Sample& sample) {
        sample.outline.tools = 3;
        sample.outline.messages = 5;
      },
      "tools");
  check([](Sample& sample) { sample.headers["x-team"] = "core"; }, "header");
  check([](Sample& sample) { sample.facts.wall_us = 1'700'017'200LL * 1'000'000; }, "night");  // 03:00 UTC
  check([](Sample& sample) { sample.facts.tokens = 60001; }, "long");
}

TEST_CASE("counters answer again as they did, however they stand now") {
  const auto rules = engine(R"lua(
    rule "spent" { when = { spend_today = { gt = 12 }, rate = { by = "session", per = "1m", gt = 60 } }, to = "openai,gpt-6" }
    rule "rest"  { to = "anthropic,claude-a" }
  )lua");
  const Busy busy;
  Sample sample;
  sample.identity.session = "s-1";
  sample.facts.counters = &busy;
  const Past past = decide(*rules, sample);
  CHECK(past.decision.rule == "spent");
  CHECK(again(*rules, past).decision.rule == "spent");
}

TEST_CASE("what a move would bring is decided again as it was") {
  for (const bool pays : {true, false}) {
    const std::string to = pays ? "openai,gpt-6" : "sim,x";
    const auto rules = engine("rule \"moves\" { when = { warm = { target = \"anthropic,claude-a\", to = \"" + to +
                              "\", turns = { gte = 3 }, move_usd = { lte = 0.5 } } }, to = \"" + to + "\" }\n" +
                              "rule \"rest\" { to = \"anthropic,claude-a\" }");
    const Busy busy;
    Sample sample;
    sample.identity.session = "s-1";
    sample.facts.counters = &busy;
    const Past past = decide(*rules, sample);
    CHECK(past.decision.rule == "moves");
    CHECK(again(*rules, past).decision.rule == "moves");
    CHECK_THAT(past.request.facts_json, Catch::Contains("\"anthropic,claude-a > " + to + "\":{" + (pays ? "\"turns\":3," : "") + "\"cost_usd\":0.5}"));
  }
}

TEST_CASE("headers that may hold a credential are not kept, even when a rule reads them") {
  const auto rules = engine(R"lua(
    rule "key"  { when = { headers = { ["x-team-key"] = "*" } }, to = "openai,gpt-6" }
    rule "team" { when = { headers = { ["x-team"] = "*" } }, to = "openai,gpt-6" }
    rule "rest" { to = "anthropic,claude-a" }
  )lua");
  Sample sample;
  sample.headers["x-team-key"] = "s3cret";
  sample.headers["x-team"] = "core";
  const Past past = decide(*rules, sample);
  CHECK_THAT(past.request.facts_json, !Catch::Contains("s3cret"));
}

TEST_CASE("rules that read texts are told apart when their decision is made again") {
  std::vector<RuleSource> sources;
  sources.push_back(test::source(Layer::kUser, "", "rules/my.lua",
                                 R"lua(rule "deep" { when = { text = { last_user = "*ultra*" } }, to = "openai,gpt-6" })lua"));
  const auto rules = test::engine_of(std::move(sources));
  Sample sample;
  const Redecision redecision = again(*rules, decide(*rules, sample));
  CHECK(redecision.not_kept == std::vector<std::string>{"text.last_user"});
}

TEST_CASE("facts that nobody recorded are an error, not a decision") {
  const auto rules = engine(R"lua(rule "rest" { to = "openai,gpt-6" })lua");
  RecordedRequest request;
  request.facts_json = R"({"tokens":"many"})";
  CHECK(!decide_again(*rules, request).ok());
  request.facts_json = "{";
  CHECK(!decide_again(*rules, request).ok());
}
