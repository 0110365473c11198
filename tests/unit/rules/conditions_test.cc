#include <catch2/catch.hpp>

#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::engine;
using ccrules::rules::test::Sample;

namespace {

/// Whether `when = CODE` holds for a sample: model claude-sonnet-5-5, 1200 tokens, agent main, what `change` makes of it.
bool holds(const std::string& code, const std::function<void(Sample&)>& change = {}) {
  INFO(code);
  auto rules = engine("rule \"r\" { when = " + code + ", tag = { yes = true } }");
  Sample sample;
  if (change) change(sample);
  Trace trace;
  const Decision plain = rules->decide(sample.facts);
  const Decision traced = rules->decide(sample.facts, &trace);
  CHECK(plain.tags == traced.tags);
  CHECK(plain.failed_rules.empty());
  return plain.tags.count("yes") != 0;
}

/// "failed condition (is actual)" of such a rule.
std::string why_not(const std::string& code, const std::function<void(Sample&)>& change = {}) {
  auto rules = engine("rule \"r\" { when = " + code + ", tag = { yes = true } }");
  Sample sample;
  if (change) change(sample);
  Trace trace;
  rules->decide(sample.facts, &trace);
  const RuleTrace& row = trace.rules.front();
  return row.matched ? "matched" : row.failed_condition + " (is " + row.actual + ")";
}

}  // namespace

TEST_CASE("a text condition is a value, a glob, or a list of either") {
  CHECK(holds(R"({ agent = "main" })"));
  CHECK_FALSE(holds(R"({ agent = "Main" })"));
  CHECK(holds(R"({ model = "CLAUDE-SONNET-5-5" })"));  // model names are compared without case
  CHECK(holds(R"({ model = "*sonnet*" })"));
  CHECK_FALSE(holds(R"({ model = "*haiku*" })"));
  CHECK(holds(R"({ model = { "*haiku*", "claude-sonnet-?-?" } })"));
  CHECK_FALSE(holds(R"({ model = { "*haiku*", "gpt-*" } })"));
  CHECK(holds(R"({ project = "/srv/secret/*" })", [](Sample& s) { s.identity.project = "/srv/secret/x"; }));
  CHECK_FALSE(holds(R"({ project = "*" })"));  // absent is not empty
}

TEST_CASE("numbers are compared strictly or not, as the word says") {
  const auto tokens = [](std::int64_t n) { return [n](Sample& s) { s.facts.tokens = n; }; };
  CHECK_FALSE(holds("{ tokens = { gt = 60000 } }", tokens(60000)));
  CHECK(holds("{ tokens = { gt = 60000 } }", tokens(60001)));
  CHECK(holds("{ tokens = { gte = 60000 } }", tokens(60000)));
  CHECK_FALSE(holds("{ tokens = { lt = 60000 } }", tokens(60000)));
  CHECK(holds("{ tokens = { lte = 60000 } }", tokens(60000)));
  CHECK(holds("{ tokens = { gt = 10, lt = 20 } }", tokens(15)));
  CHECK_FALSE(holds("{ tokens = { gt = 10, lt = 20 } }", tokens(20)));
  CHECK(holds("{ tokens = 15 }", tokens(15)));
  CHECK(holds("{ tokens = { 14, 15 } }", tokens(15)));
  CHECK(holds("{ tokens = { ne = 14 } }", tokens(15)));
  CHECK_FALSE(holds("{ tokens = { ne = { 14, 15 } } }", tokens(15)));
  CHECK_FALSE(holds("{ max_tokens = { lt = 10 } }"));  // absent: no comparison holds
  CHECK(holds("{ max_tokens = { ne = 10 } }"));
}

TEST_CASE("flags, presence, lists and texts have their own words") {
  CHECK(holds("{ stream = false }"));
  CHECK_FALSE(holds("{ stream = true }"));
  CHECK(holds("{ thinking = true }", [](Sample& s) { s.outline.thinking.kind = chat::ThinkingKind::kAdaptive; }));
  CHECK_FALSE(holds("{ thinking = true }", [](Sample& s) { s.outline.thinking.kind = chat::ThinkingKind::kDisabled; }));
  CHECK(holds("{ max_tokens = { present = false } }"));
  CHECK(holds("{ max_tokens = { present = true } }", [](Sample& s) { s.outline.max_tokens = 5; }));
  const auto tools = [](Sample& s) { s.outline.tool_names = {"Bash", "mcp__db__query"}; };
  CHECK(holds(R"({ tools = { has = "Bash" } })", tools));
  CHECK(holds(R"({ tools = "mcp__*" })", tools));
  CHECK(holds(R"({ tools = { has = { "Bash", "mcp__*" } } })", tools));
  CHECK_FALSE(holds(R"({ tools = { has = { "Bash", "Read" } } })", tools));
  CHECK(holds(R"({ text = { last_user = { has = "deploy" } } })", [](Sample& s) { s.outline.last_user_json = R"("please \u0064eploy")"; }));
  CHECK(holds(R"({ ["text.system"] = "*one\ntwo*" })", [](Sample& s) { s.outline.system_json = {"\"one\"", "\"two\""}; }));
  CHECK(holds(R"({ model = { has = "SONNET" } })"));
  CHECK(holds(R"({ headers = { ["X-Team"] = "core" } })", [](Sample& s) { s.headers["x-team"] = "core"; }));
  CHECK_FALSE(holds(R"({ headers = { ["x-team"] = "core" } })"));
  CHECK(holds(R"({ model = { eq = "a*b" } })", [](Sample& s) { s.outline.model = "a*b"; }));
  CHECK_FALSE(holds(R"({ model = { eq = "a*b" } })", [](Sample& s) { s.outline.model = "axb"; }));
}

TEST_CASE("any, none and functions combine conditions") {
  CHECK(holds(R"(any { { agent = "other" }, { tokens = { lt = 5000 } } })"));
  CHECK(holds(R"(any { agent = "other", stream = false })"));
  CHECK_FALSE(holds(R"(none { { agent = "other" }, { tokens = { lt = 5000 } } })"));
  CHECK(holds(R"({ stream = false, none { { model = "*opus*" } } })"));
  CHECK(holds(R"({ model = none { "*opus*", "*haiku*" } })"));
  CHECK(holds(R"({ model = any { "*opus*", { has = "sonnet" } } })"));
  CHECK(holds("function(req) return req.tokens < 5000 and req.agent == 'main' end"));
  CHECK(holds("{ tokens = function(tokens, req) return tokens == req.tokens and tokens == 1200 end }"));
  CHECK(holds(R"({ model = function(model) return model:find("sonnet") end })"));
  CHECK(holds(R"({ stream = false, function(req) return not req.thinking end })"));
  CHECK(holds("{}"));
}

TEST_CASE("time windows wrap around midnight and take an offset") {
  const auto at = [](int hour, int minute) {
    return [hour, minute](Sample& s) { s.facts.wall_us = (20458LL * 1440 + hour * 60 + minute) * 60'000'000; };  // a Monday
  };
  const std::string night = R"({ time = { from = "22:00", to = "06:00" } })";
  CHECK(holds(night, at(22, 0)));
  CHECK(holds(night, at(5, 59)));
  CHECK_FALSE(holds(night, at(6, 0)));
  CHECK_FALSE(holds(night, at(21, 59)));
  CHECK(holds(R"({ time = { from = "22:00", to = "06:00", tz = "+02:00" } })", at(20, 0)));
  CHECK(holds(R"({ time = { from = "09:00", to = "24:00", tz = "-05:30", wday = { lte = 5 } } })", at(14, 30)));
  CHECK(holds(R"({ time = { hour = { gte = 14 }, wday = 1 } })", at(14, 0)));
  CHECK(holds("function(req) return req.time.iso == '2026-01-05T14:30:00Z' and req.time.wday == 1 and req.time.hour == 14 end", at(14, 30)));
}

TEST_CASE("a bucket is the same for the same name and key and spreads evenly over keys") {
  auto rules = engine(R"(
rule "canary" { when = { bucket = { name = "gpt", by = "session", lt = 10 } }, tag = { gpt = true } }
rule "other"  { when = function(req) return req.bucket("other", req.session) < 10 end, tag = { other = true } })");
  int gpt = 0;
  int both = 0;
  for (int i = 0; i < 10000; ++i) {
    Sample sample;
    sample.identity.session = "s-" + std::to_string(i);
    const Decision decision = rules->decide(sample.facts);
    gpt += decision.tags.count("gpt") != 0 ? 1 : 0;
    both += decision.tags.size() == 2 ? 1 : 0;
    CHECK(decision.tags == rules->decide(sample.facts).tags);
  }
  CHECK(gpt > 900);
  CHECK(gpt < 1100);
  CHECK(both > 50);
  CHECK(both < 160);
  Sample nobody;
  CHECK(why_not(R"({ bucket = { name = "gpt", by = "session", lt = 10 } })") == "bucket(gpt) < 10 (is absent)");
  CHECK(rules->decide(nobody.facts).failed_rules == std::vector<std::string>{"other"});  // nil < 10 is an error of the rule
}

TEST_CASE("a trace names the condition that failed and the value it saw") {
  CHECK(why_not("{ tokens = { gt = 60000 } }") == "tokens > 60000 (is 1200)");
  CHECK(why_not(R"({ stream = false, model = "*haiku*" })") == R"(model = "*haiku*" (is "claude-sonnet-5-5"))");
  CHECK(why_not(R"({ model = { "*haiku*", "gpt-*" } })") ==
        R"(any { model = "*haiku*", model = "gpt-*" } (is "claude-sonnet-5-5"))");
  CHECK(why_not(R"({ project = "/x" })") == R"(project = "/x" (is absent))");
  CHECK(why_not("{ thinking = true }") == "thinking = true (is false)");
  CHECK(why_not(R"({ tools = { has = "Bash" } })", [](Sample& s) { s.outline.tool_names = {"Read", "Edit"}; }) ==
        R"(tools has "Bash" (is Read, Edit))");
  CHECK(why_not("function(req) return false end") == "function at line 1 (is false)");
  CHECK(why_not("{ tokens = function(tokens) return tokens > 5000 end }") == "tokens by the function at line 1 (is 1200)");
  CHECK(why_not(R"(none { { agent = "main" } })") == R"(none { agent = "main" } (is "main"))");
  CHECK(why_not(R"({ time = { from = "22:00", to = "06:00" } })", [](Sample& s) { s.facts.wall_us = 20458LL * 86'400'000'000 + 43'200'000'000; }) ==
        "time from 22:00 to 06:00 UTC (is \"2026-01-05T12:00:00Z\")");
}

TEST_CASE("functions read every fact of the table and none that is not in it") {
  CHECK(holds(R"(function(req)
    local t = req.tools
    return req.model == "claude-sonnet-5-5" and req.tokens == 1200 and req.tokens_exact == false and req.max_tokens == nil
      and req.stream == false and req.thinking == false and req.thinking_budget == nil and req.effort == nil and req.agent == "main"
      and req.request_class == nil and req.session == nil and req.user == nil and req.project == nil and req.client == nil
      and req.dialect == "anthropic" and req.path == "/v1/messages" and req.turns == 0 and req.images == 0 and #t == 0
      and #req.system_hash == 16 and req.last_role == nil and req.text.last_user == "" and req.headers["x"] == nil
  end)"));
  auto rules = engine(R"(rule "r" { when = function(req) local name = "tokns" return req[name] == 5 end, to = "sim" })");
  Sample sample;
  Trace trace;
  CHECK(rules->decide(sample.facts, &trace).failed_rules == std::vector<std::string>{"r"});
  CHECK_THAT(trace.rules.front().error, Catch::Contains("unknown fact 'tokns'; did you mean 'tokens'?"));
}

TEST_CASE("the system hash ignores the attribution line and nothing else") {
  const auto hash = [](std::vector<std::string_view> blocks) {
    auto rules = engine("rule \"r\" { tag = { hash = function(req) return req.system_hash end } }");
    Sample sample;
    sample.outline.system_json = std::move(blocks);
    return rules->decide(sample.facts).tags["hash"];
  };
  CHECK(hash({"\"x-anthropic-billing-header: cc_version=1\"", "\"prompt\""}) == hash({"\"x-anthropic-billing-header: cc_version=2\"", "\"prompt\""}));
  CHECK(hash({"\"prompt\""}) != hash({"\"prompt2\""}));
}

TEST_CASE("a trace holds only the facts that were read") {
  auto rules = engine(R"(
rule "a" { when = { tokens = { gt = 5000 }, stream = true }, to = "sim" }
rule "b" { tag = { agent = function(req) return req.agent end } })");
  Sample sample;
  sample.outline.last_user_json = "\"secret\"";
  Trace trace;
  rules->decide(sample.facts, &trace);
  CHECK(trace.facts_read.count("tokens") == 1);
  CHECK(trace.facts_read.at("tokens") == "1200");
  CHECK(trace.facts_read.at("agent") == "\"main\"");
  CHECK(trace.facts_read.count("stream") == 0);
  CHECK(trace.facts_read.count("text.last_user") == 0);
}
