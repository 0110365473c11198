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

TEST_CASE("claims that come too late stay in the trace as shadowed") {
  auto rules = engine(R"(
rule "one" { to = "sim,a", set = { max_tokens = { max = 100, min = 10 } }, headers = { ["X-Team"] = "core" }, tag = { k = "1" } }
rule "two" { to = "sim,b", set = { max_tokens = 5, temperature = 0.5 }, headers = { ["x-team"] = "b", ["x-debug"] = remove }, tag = { k = "2", l = true } }
)");
  Sample sample;
  Trace trace;
  const Decision decision = rules->decide(sample.facts, &trace);
  CHECK(targets(decision) == "sim,a");
  REQUIRE(decision.edits.size() == 3);
  CHECK(decision.edits[0].field == "max_tokens");
  CHECK(decision.edits[0].kind == FieldEdit::Kind::kAtMost);
  CHECK(decision.edits[1].kind == FieldEdit::Kind::kAtLeast);
  CHECK(decision.edits[2].field == "temperature");
  CHECK(decision.edits[2].value_json == "0.5");
  REQUIRE(decision.headers.size() == 2);
  CHECK(decision.headers[0].name == "x-team");
  CHECK(decision.headers[0].value == "core");
  CHECK_FALSE(decision.headers[1].value.has_value());
  CHECK(decision.tags == std::map<std::string, std::string>{{"k", "1"}, {"l", "true"}});

  std::string shadowed;
  for (const Claim& claim : trace.claims) {
    if (claim.shadowed && claim.rule == "two") shadowed += claim.slot + "=" + claim.value + "@" + claim.where + " ";
  }
  CHECK(shadowed == "to=sim,b@rules/my.lua:3 set.max_tokens=5@rules/my.lua:3 headers.x-team=b@rules/my.lua:3 tag.k=2@rules/my.lua:3 ");
}

TEST_CASE("a refusal beats every target and nothing below it counts") {
  auto rules = engine(R"(
rule "first"  { to = "sim,a", tag = { before = "yes" } }
rule "secret" { when = { project = "/srv/secret/*" }, deny = { status = 451, message = "not from here", type = "policy_error" }, tag = { why = "secret" } }
rule "after"  { to = "sim,b", tag = { after = "yes" } }
)");
  Sample sample;
  sample.identity.project = "/srv/secret/x";
  for (const bool traced : {false, true}) {
    Trace trace;
    const Decision decision = rules->decide(sample.facts, traced ? &trace : nullptr);
    REQUIRE(decision.deny.has_value());
    CHECK(decision.deny->status == 451);
    CHECK(decision.deny->message == "not from here");
    CHECK(decision.deny->type == "policy_error");
    CHECK(decision.rule == "secret");
    CHECK(decision.targets.empty());
    CHECK(decision.no_target.empty());
    CHECK(decision.tags == std::map<std::string, std::string>{{"before", "yes"}, {"why", "secret"}});
  }
  sample.identity.project = "/srv/open";
  CHECK(targets(rules->decide(sample.facts)) == "sim,a");
}

TEST_CASE("every effect may be a function of the request") {
  auto rules = engine(R"(
rule "all" {
  to = function(req) return "ollama," .. req.model end,
  fallback = function(req) return { "sim,a", "sim,b" } end,
  set = { max_tokens = function(req) return { max = req.tokens * 2 } end, temperature = function() return remove end, top_p = function() end },
  headers = { ["x-tokens"] = function(req) return req.tokens end },
  tag = function(req) return { agent = req.agent, n = req.turns } end,
  reason = "{model} of {agent} with {tokens}, {{literal}",
}
rule "deny" { deny = function(req) if req.tokens > 5000 then return { status = 413, message = "too much" } end end }
)");
  Sample sample;
  Decision decision = rules->decide(sample.facts);
  CHECK(decision.failed_rules.empty());
  CHECK(targets(decision) == "ollama,claude-sonnet-5-5; sim,a; sim,b");
  CHECK(decision.reason == "claude-sonnet-5-5 of main with 1200, {literal}");
  REQUIRE(decision.edits.size() == 2);
  CHECK(decision.edits[0].kind == FieldEdit::Kind::kAtMost);
  CHECK(decision.edits[0].value_json == "2400");
  CHECK(decision.edits[1].kind == FieldEdit::Kind::kRemove);
  CHECK(decision.headers[0].value == "1200");
  CHECK(decision.tags == std::map<std::string, std::string>{{"agent", "main"}, {"n", "0"}});
  sample.facts.tokens = 9000;
  decision = rules->decide(sample.facts);
  REQUIRE(decision.deny.has_value());
  CHECK(decision.deny->status == 413);
}

TEST_CASE("a rule that fails is skipped and named, and the others decide") {
  auto rules = engine(R"(
rule "throws"   { to = function(req) error("oh no") end, tag = { a = "1" } }
rule "nonsense" { to = function(req) return { 5 } end }
rule "unknown"  { to = function(req) return "nobody,x" end }
rule "disabled" { to = function(req) return "off,off-1" end }
rule "loops"    { when = function(req) while true do end end, to = "sim,never" }
rule "eats"     { to = function(req) local t = {} while true do t[#t + 1] = ("x"):rep(1e6) .. #t end end }
rule "closure"  { to = function(req) return function() end end }
rule "fine"     { to = function(req) return "sim,x" end }
)");
  Sample sample;
  for (int i = 0; i < 3; ++i) {
    Trace trace;
    const Decision decision = rules->decide(sample.facts, i == 1 ? &trace : nullptr);
    CHECK(targets(decision) == "sim,x");
    CHECK(decision.rule == "fine");
    CHECK(decision.tags.empty());
    CHECK(decision.failed_rules ==
          std::vector<std::string>{"throws", "nonsense", "unknown", "disabled", "loops", "eats", "closure"});
    if (i != 1) continue;
    CHECK_THAT(trace.rules[0].error, Catch::Contains("rules/my.lua:2: oh no"));
    CHECK_THAT(trace.rules[2].error, Catch::Contains("there is no provider 'nobody'"));
    CHECK(trace.rules[4].error == "used more than its CPU time");
    CHECK_THAT(trace.rules[5].error, Catch::StartsWith("used more than"));
  }
}

TEST_CASE("a decision with many hostile rules still ends soon") {
  std::string lua;
  for (int i = 0; i < 50; ++i) lua += "rule \"loop" + std::to_string(i) + "\" { when = function() while true do end end, to = \"sim,x\" }\n";
  auto rules = engine(lua + "rule \"last\" { to = \"sim,y\" }");
  Sample sample;
  const Decision decision = rules->decide(sample.facts);
  CHECK(decision.failed_rules.size() == 50);
  CHECK(targets(decision) == "sim,y");
}

TEST_CASE("a rule that may deny fails closed, but only where its other conditions hold") {
  auto rules = engine(R"(
rule "guard" { when = { project = "/srv/secret/*", function(req) error("broken") end }, deny = true }
rule "main"  { to = "sim,x" }
)");
  Sample secret;
  secret.identity.project = "/srv/secret/x";
  const Decision decision = rules->decide(secret.facts);
  REQUIRE(decision.deny.has_value());
  CHECK(decision.deny->status == 403);
  CHECK(decision.rule == "guard");
  CHECK(decision.failed_rules == std::vector<std::string>{"guard"});
  CHECK_THAT(decision.deny->message, Catch::Contains("'guard'"));
  Sample open;
  open.identity.project = "/srv/open";
  CHECK(targets(rules->decide(open.facts)) == "sim,x");
}

TEST_CASE("a deny whose function fails is a refusal too") {
  auto rules = engine("rule \"guard\" { deny = function(req) return { status = \"many\" } end }\nrule \"main\" { to = \"sim,x\" }");
  Sample sample;
  REQUIRE(rules->decide(sample.facts).deny.has_value());
  CHECK(rules->decide(sample.facts).deny->status == 403);
}

TEST_CASE("rules for failed attempts claim retry, next_fallback and another target") {
  auto rules = engine(R"(
rule "overloaded" { on = "error", when = { status = { 429, 529 }, attempt = { lt = 2 } }, retry = { after = "2s", at_most = "20s" } }
rule "again"      { on = "error", when = { status = 529 }, retry = true, next_fallback = true }
rule "too-long"   { on = "error", when = { error = "context_exceeded" }, to = "openai,gpt-long" }
rule "function"   { on = "error", when = { provider = "ollama" }, to = function(req) if req.attempt == 1 then return "sim,x" end end }
)");
  CHECK(rules->has_error_rules());
  Sample sample;
  sample.facts.attempt = 1;
  sample.facts.status = 529;
  AttemptDecision decision = rules->decide_error(sample.facts);
  CHECK(decision.rule == "overloaded");
  CHECK(decision.retry == true);
  CHECK(decision.retry_after == std::chrono::milliseconds(2000));
  CHECK(decision.retry_at_most == std::chrono::milliseconds(20000));
  CHECK(decision.next_fallback == true);
  sample.facts.attempt = 2;
  CHECK(rules->decide_error(sample.facts).rule == "again");
  CHECK(rules->decide_error(sample.facts).retry_after == std::chrono::milliseconds(-1));
  sample.facts.status = 400;
  sample.facts.error = "context_exceeded";
  CHECK(rules->decide_error(sample.facts).to == Target{"openai", "gpt-long"});
  sample.facts.error = "connect_failed";
  CHECK_FALSE(rules->decide_error(sample.facts).retry.has_value());
  sample.facts.attempt = 1;
  sample.facts.provider = "ollama";
  CHECK(rules->decide_error(sample.facts).to == Target{"sim", "x"});
  CHECK_FALSE(engine("")->has_error_rules());
}

TEST_CASE("targets may be aliases, providers, models and routes") {
  config::Snapshot configuration = test::snapshot();
  configuration.routes["think"] = test::route("anthropic,claude-opus-5-5");
  configuration.routes["think"].parameters_json["max_tokens"] = "9";
  const auto to = [&configuration](const std::string& value, const char* model = "claude-x") {
    Sample sample(model);
    return targets(engine("alias { a = \"b\", b = \"sim,z\" }\nrule \"r\" { to = " + value + " }", configuration)->decide(sample.facts));
  };
  CHECK(to("\"a\"") == "sim,z");
  CHECK(to("\"openrouter\"") == "openrouter,claude-x");
  CHECK(to("\"openrouter\"", "x,claude-y") == "openrouter,claude-y");
  CHECK(to("\"gpt-5\"") == "openai,gpt-5");
  CHECK(to("\"think\"") == "anthropic,claude-opus-5-5");
  CHECK(to("config.routes.think") == "anthropic,claude-opus-5-5");
  CHECK(to("requested", "ollama,q") == "ollama,q");
  CHECK(to("pick(\"model\", { [\"claude-*\"] = \"sim,y\" })") == "sim,y");
}

TEST_CASE("a rule to a provider that is switched off does not take part, and the trace says why") {
  auto rules = engine("rule \"a\" { to = \"off,off-1\" }\nrule \"b\" { to = \"sim,x\", fallback = { \"off,off-1\", \"sim,y\" } }");
  Sample sample;
  Trace trace;
  CHECK(targets(rules->decide(sample.facts, &trace)) == "sim,x; sim,y");
  CHECK(trace.rules[0].failed_condition == "provider off is enabled");
  CHECK(trace.rules[0].actual == "disabled");
}

TEST_CASE("facts cannot be changed or kept for later") {
  auto rules = engine(R"(
local kept
rule "keeps"   { when = function(req) kept = req return false end, to = "sim,x" }
rule "changes" { to = function(req) req.model = "x" return "sim,x" end }
rule "text"    { to = function(req) req.text.system = "x" return "sim,x" end }
rule "fine"    { to = "sim,y" }
)");
  Sample sample;
  const Decision decision = rules->decide(sample.facts);
  CHECK(decision.failed_rules == std::vector<std::string>{"changes", "text"});
  CHECK(targets(decision) == "sim,y");
}

TEST_CASE("the same facts give the same decision, with a trace and without, in every engine built from the same files") {
  const std::string lua = R"(
rule "a" { when = { bucket = { name = "x", by = "session", lt = 50 } }, to = "sim,a", tag = function(req) local t = {} for k, v in pairs({ z = 1, y = 2, x = 3 }) do t[k] = v end return t end }
rule "b" { when = function(req) return #req.model % 2 == 0 end, to = function(req) return "sim," .. #req.model end, set = { max_tokens = { max = 5 } } }
rule "c" { when = { tokens = { gt = 500 } }, deny = function(req) if req.tokens > 900 then return "no" end end, headers = { ["x-a"] = "b" } }
rule "d" { to = "sim,d", fallback = { "sim,e", "sim,d" } }
)";
  auto first = engine(lua);
  auto second = engine(lua);
  CHECK(first->hash() == second->hash());
  CHECK(first->hash() != engine(lua + " ")->hash());
  std::uint64_t random = 88172645463325252ULL;  // xorshift: the same samples in every run
  const auto next = [&random] {
    random ^= random << 13U;
    random ^= random >> 7U;
    random ^= random << 17U;
    return random;
  };
  for (int i = 0; i < 2000; ++i) {
    Sample sample(std::string(next() % 40 + 1, 'm') + (next() % 5 == 0 ? "," : ""));
    sample.identity.session = std::to_string(next() % 50);
    sample.facts.tokens = static_cast<std::int64_t>(next() % 1000);
    Trace trace;
    const Decision plain = first->decide(sample.facts);
    Decision traced = second->decide(sample.facts, &trace);
    Trace none;
    CHECK(trace_json(plain, none, "") == trace_json(traced, none, ""));
    // Every slot has exactly one winner, and the winner stands above all that are shadowed.
    std::map<std::string, int> winners;
    std::map<std::string, bool> seen;
    for (const Claim& claim : trace.claims) {
      if (!claim.shadowed) ++winners[claim.slot];
      if (claim.shadowed && !plain.deny) CHECK(seen[claim.slot]);
      seen[claim.slot] = true;
    }
    for (const auto& [slot, count] : winners) CHECK(count == 1);
    if (plain.targets.empty()) CHECK((plain.deny || !plain.no_target.empty() || !plain.bad_request.empty()));
    for (std::size_t a = 0; a < plain.targets.size(); ++a) {
      for (std::size_t b = a + 1; b < plain.targets.size(); ++b) CHECK_FALSE(plain.targets[a] == plain.targets[b]);
    }
  }
}

TEST_CASE("a decision is stable JSON") {
  auto rules = engine(R"(rule "a" { when = { tokens = { lt = 5000 } }, to = "sim,a", fallback = "sim,b", tag = { k = "v" }, headers = { ["x-h"] = remove }, set = { max_tokens = { max = 5 } } }
rule "b" { when = { stream = true }, to = "sim,b" })");
  Sample sample;
  Trace trace;
  const Decision decision = rules->decide(sample.facts, &trace);
  trace.time_ns = 7;
  trace.rules.resize(2);
  trace.claims.resize(5);  // without those of the built-in pack
  trace.ruleset = "hash";
  REQUIRE(trace.rule_set->packs.size() == 1);
  CHECK(trace.rule_set->packs[0].name == "default");
  CHECK(trace.rule_set->packs[0].layer == "built-in");
  for (RuleTrace& row : trace.rules) row.time_ns = 3;
  RuleSetRef set;
  set.packs.push_back({"acme/cost", "1.2.0", "pack"});
  set.overrides.push_back({"acme/cost#night", "rules/my.lua:9"});
  trace.rule_set = std::make_shared<const RuleSetRef>(set);
  CHECK(trace_json(decision, trace, "dec_1") ==
        R"({"v":1,"id":"dec_1","on":"request","ruleset":"hash","packs":[{"name":"acme/cost","version":"1.2.0","layer":"pack"}],)"
        R"("overrides":[{"rule":"acme/cost#night","where":"rules/my.lua:9"}],"rule":"a","reason":"rule 'a'","targets":[{"provider":"sim","model":"a"},{"provider":"sim","model":"b"}],)"
        R"("set":[{"field":"max_tokens","kind":"max","value":5}],"headers":{"x-h":null},"tags":{"k":"v"},"failed_rules":[],)"
        R"("claims":[{"slot":"to","value":"sim,a","rule":"a","where":"rules/my.lua:1","shadowed":false},)"
        R"({"slot":"fallback","value":"sim,b","rule":"a","where":"rules/my.lua:1","shadowed":false},)"
        R"({"slot":"set.max_tokens","value":"max 5","rule":"a","where":"rules/my.lua:1","shadowed":false},)"
        R"({"slot":"headers.x-h","value":"remove","rule":"a","where":"rules/my.lua:1","shadowed":false},)"
        R"({"slot":"tag.k","value":"v","rule":"a","where":"rules/my.lua:1","shadowed":false}],)"
        R"("rules":[{"rule":"a","where":"rules/my.lua:1","layer":"user","matched":true,"time_ns":3},)"
        R"({"rule":"b","where":"rules/my.lua:2","layer":"user","matched":false,"failed_condition":"stream = true","actual":"false","time_ns":3}],)"
        R"("facts_read":{"model":"claude-sonnet-5-5","stream":false,"tokens":1200},"time_ns":7})");
}

TEST_CASE("rules in a folder load in the order of their names, without their tests") {
  config::Snapshot configuration = test::snapshot();
  configuration.rules = {"/etc/ccrules/team"};
  test::MemoryFiles files;
  files.files["/etc/ccrules/team/20-b.lua"] = "rule \"b\" { to = \"sim,b\" }";
  files.files["/etc/ccrules/team/10-a.lua"] = "rule \"a\" { to = \"sim,a\" }";
  files.files["/etc/ccrules/team/a_test.lua"] = "nonsense";
  std::vector<config::Diagnostic> diagnostics;
  auto rules = Engine::load(configuration, files, diagnostics);
  REQUIRE(rules != nullptr);
  Sample sample;
  CHECK(targets(rules->decide(sample.facts)) == "sim,a");
}

TEST_CASE("the folder of the configuration may be one of rules, and one without rules is an error") {
  config::Snapshot configuration = test::snapshot();
  configuration.file = "/etc/ccrules/ccrules.json";
  configuration.rules = {"/etc/ccrules/"};
  test::MemoryFiles files;
  files.files["/etc/ccrules/ccrules.json"] = R"({"rules":["."]})";
  std::vector<config::Diagnostic> diagnostics;
  CHECK(Engine::load(configuration, files, diagnostics) == nullptr);
  REQUIRE(diagnostics.size() == 1);
  CHECK(diagnostics[0].where.file == "/etc/ccrules");
  CHECK(diagnostics[0].message == "this folder of `rules` holds no rule file");

  files.files["/etc/ccrules/night.lua"] = "rule \"a\" { to = \"sim,a\" }";
  diagnostics.clear();
  const auto rules = Engine::load(configuration, files, diagnostics);
  REQUIRE(rules != nullptr);
  CHECK(diagnostics.empty());
  Sample sample;
  CHECK(targets(rules->decide(sample.facts)) == "sim,a");
}
