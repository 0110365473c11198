#include <catch2/catch.hpp>

#include "rules/fixed_counters.h"
#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::engine_of;
using ccrules::rules::test::errors_of;
using ccrules::rules::test::Sample;
using ccrules::rules::test::source;
using ccrules::rules::test::targets;

namespace {

config::Snapshot with_local() {
  config::Snapshot snapshot = test::snapshot();
  for (config::Provider& provider : snapshot.providers) provider.local = provider.id == "ollama";
  return snapshot;
}

std::vector<RuleSource> only(RuleSource one) {
  std::vector<RuleSource> sources;
  sources.push_back(std::move(one));
  return sources;
}

}  // namespace

TEST_CASE("the higher layer's claim wins, in whatever order the sources come") {
  std::vector<RuleSource> sources;
  sources.push_back(source(Layer::kBuiltIn, "default", "d.lua", R"(rule "a" { to = "sim,built-in", tag = { built = 1, user = 0 } })"));
  sources.push_back(source(Layer::kPack, "acme/cost", "p.lua", R"(rule "a" { to = "sim,pack" } rule "night" { tag = { pack = 1 } })"));
  sources.push_back(source(Layer::kUser, "", "u.lua", R"(rule "a" { tag = { user = 1 } })"));
  RuleSource project = source(Layer::kProject, "", "p/.ccrules/rules.lua", R"(rule "p" { to = "sim,project" })");
  project.project = "/srv/web";
  sources.push_back(std::move(project));
  sources.push_back(source(Layer::kEnforced, "", "e.lua", R"(rule "limit" { set = { max_tokens = { max = 100 } } })"));
  auto rules = engine_of(std::move(sources));

  Sample sample;
  Trace trace;
  Decision decision = rules->decide(sample.facts, &trace);
  CHECK(targets(decision) == "sim,pack");
  CHECK(decision.tags == std::map<std::string, std::string>{{"user", "1"}, {"pack", "1"}, {"built", "1"}});
  CHECK(decision.edits.size() == 1);
  CHECK(std::string(trace.rules.front().layer) == "enforced");
  REQUIRE(trace.rule_set->packs.size() == 2);
  CHECK(trace.rule_set->packs[0].name == "acme/cost");
  CHECK(trace.rule_set->packs[0].version == "1.0.0");

  SECTION("a project's rules see only requests of its directory and what is below it") {
    sample.identity.project = "/srv/web";
    CHECK(targets(rules->decide(sample.facts)) == "sim,project");
    sample.identity.project = "/srv/web/api";
    CHECK(targets(rules->decide(sample.facts)) == "sim,project");
    sample.identity.project = "/srv/website";
    CHECK(targets(rules->decide(sample.facts)) == "sim,pack");
  }
}

TEST_CASE("an override switches a pack's rule off, visibly, and never an enforced one") {
  const auto sources = [](const std::string& user) {
    std::vector<RuleSource> all;
    all.push_back(source(Layer::kEnforced, "", "e.lua", R"(rule "never" { when = { agent = "x" }, deny = true })"));
    all.push_back(source(Layer::kUser, "", "u.lua", user));
    all.push_back(source(Layer::kPack, "acme/cost", "p.lua", R"(rule "night" { to = "sim,pack" })"));
    return all;
  };
  auto rules = engine_of(sources(R"(override "acme/cost#night" { off = true })"));
  Sample sample;
  Trace trace;
  CHECK(targets(rules->decide(sample.facts, &trace)).empty());
  REQUIRE(trace.rule_set->overrides.size() == 1);
  CHECK(trace.rule_set->overrides[0].rule == "acme/cost#night");
  CHECK(trace.rule_set->overrides[0].where == "u.lua:1");
  CHECK_THAT(trace_json(rules->decide(sample.facts, &trace), trace, "d"),
             Catch::Contains(R"("overrides":[{"rule":"acme/cost#night","where":"u.lua:1"}])"));

  CHECK(errors_of(sources(R"(override "never" { off = true })")) ==
        std::vector<std::string>{"1:10 rule 'never' is enforced and cannot be overridden"});
  CHECK(errors_of(sources(R"(override "acme/cost#nihgt" { off = true })")) ==
        std::vector<std::string>{"1:10 there is no rule 'acme/cost#nihgt' to override | did you mean 'acme/cost#night'?"});
  CHECK(errors_of(only(source(Layer::kPack, "p", "p.lua", R"(override "x" { off = true })"))).front() ==
        "1:10 only your own rule files may override rules of others | remove it, and tell users of the pack to write it");
}

TEST_CASE("an enforced rule denies, limits and pins, and does nothing else") {
  const auto first_error = [](const char* rule) {
    return errors_of(only(source(Layer::kEnforced, "", "e.lua", rule))).front();
  };
  CHECK(first_error(R"(rule "a" { on = "error", retry = true })") ==
        "1:17 an enforced rule decides on requests: it may deny, limit and pin");
  CHECK(first_error(R"(rule "a" { to = function(req) return req.model end })") ==
        "1:17 an enforced rule may deny, limit and pin: 'to' takes fixed values here");
  CHECK(first_error(R"(rule "a" { set = { effort = function() return "low" end } })") ==
        "1:18 an enforced rule may deny, limit and pin: 'set' takes fixed values here");
  auto rules = engine_of(only(source(Layer::kEnforced, "", "e.lua", R"(
rule "pin" { to = "sim,pinned", set = { effort = { values = { "low", "medium" } } }, headers = { ["x-org"] = "a" } }
rule "stop" { when = function(req) return req.tokens > 5000 end, deny = function() return "too large" end })")));
  Sample sample;
  CHECK(targets(rules->decide(sample.facts)) == "sim,pinned");
  sample.facts.tokens = 6000;
  CHECK(rules->decide(sample.facts).deny->message == "too large");
}

TEST_CASE("facts that a pack was not granted do not exist for it") {
  RuleSource pack = source(Layer::kPack, "p", "p.lua", "");
  const auto with = [&pack](const std::string& lua) {
    RuleSource copy = pack;
    copy.files[0].text = std::make_shared<const std::string>(lua);
    return only(std::move(copy));
  };
  pack.grants = Grants::none();
  CHECK_THAT(errors_of(with(R"(rule "a" { when = { text = { last_user = "x" } }, deny = true })")).front(),
             Catch::StartsWith("1:21 fact 'text' does not exist for this pack: it was not granted 'text' | "));
  CHECK_THAT(errors_of(with(R"(rule "a" { when = { headers = { x = "x" } }, deny = true })")).front(),
             Catch::Contains("not granted 'headers'"));
  CHECK_THAT(errors_of(with(R"(rule "a" { when = { spend_today = { gt = 5 } }, deny = true })")).front(),
             Catch::Contains("not granted 'spend'"));
  CHECK_THAT(errors_of(with(R"(rule "a" { when = function(req) return req.messages[1] end, deny = true })")).front(),
             Catch::Contains("fact 'messages' does not exist for this pack"));
  CHECK_THAT(errors_of(with(R"(rule "a" { reason = "{text.system}", tag = { a = 1 } })")).front(), Catch::Contains("not granted 'text'"));
  CHECK_THAT(errors_of(with(R"(rule "a" { to = pick("headers", {}) })")).front(), Catch::Contains("not granted 'headers'"));

  // A name made at run time finds nothing either.
  auto rules = engine_of(with(R"(rule "a" { to = function(req) local name = "te" .. "xt" return req[name].system end })"));
  Sample sample;
  Trace trace;
  CHECK(rules->decide(sample.facts, &trace).failed_rules == std::vector<std::string>{"a"});
  CHECK_THAT(trace.rules[0].error, Catch::Contains("unknown fact 'text'"));

  pack.grants.text = true;
  rules = engine_of(with(R"(rule "a" { when = { text = { system = "*secret*" } }, deny = true })"));
  sample.outline.system_json = {"\"a secret\""};
  CHECK(rules->decide(sample.facts).deny.has_value());
}

TEST_CASE("a data pack holds no Lua, and two packs share neither names nor globals") {
  RuleSource data = source(Layer::kPack, "d", "d/rules.lua", R"(rule "a" { to = "sim,a" })");
  data.data_only = true;
  CHECK(errors_of(only(data)).front() == "0:0 pack 'd' is of kind data and may not hold Lua | write its rules as rules.json");
  std::vector<RuleSource> sources;
  sources.push_back(source(Layer::kPack, "one", "one.lua", R"(helper = 5 rule "a" { tag = { one = helper } })"));
  sources.push_back(source(Layer::kPack, "two", "two.lua", R"(rule "a" { tag = { two = tostring(helper) } })"));
  sources.push_back(source(Layer::kPack, "three", "rules.json", R"({"rules":[{"name":"a","tag":{"three":3}}]})"));
  auto rules = engine_of(std::move(sources));
  Sample sample;
  CHECK(rules->decide(sample.facts).tags == std::map<std::string, std::string>{{"one", "5"}, {"two", "nil"}, {"three", "3"}});
}

TEST_CASE("an alias means what the highest layer says") {
  std::vector<RuleSource> sources;
  sources.push_back(source(Layer::kUser, "", "u.lua", R"(alias { cheap = "ollama,mine" })"));
  sources.push_back(source(Layer::kPack, "p", "p.lua", R"(alias { cheap = "openai,gpt-6", deep = "sim,d" } rule "a" { to = "cheap", fallback = "deep" })"));
  auto rules = engine_of(std::move(sources));
  Sample sample;
  CHECK(targets(rules->decide(sample.facts)) == "ollama,mine; sim,d");
}

TEST_CASE("a rule about the provider is judged once the targets are known, whatever rule chose them") {
  const char* const privacy = R"(
rule "private" { when = { project = "/srv/secret/*", provider_class = "external" }, deny = { status = 403, message = "local only" } }
rule "seen"    { when = { provider_class = "local" }, tag = { local_only = true } }
)";
  const auto rules = engine_of(
      [privacy] {
        std::vector<RuleSource> sources;
        sources.push_back(source(Layer::kUser, "", "u.lua", privacy));
        sources.push_back(source(Layer::kPack, "p", "p.lua", R"(
rule "cheap" { when = { tokens = { lt = 5000 } }, to = "ollama,x" }
rule "deep"  { to = "anthropic,claude-opus-5-5" }
rule "net"   { fallback = { "openrouter,x", "sim,y" } }
rule "away"  { on = "error", to = "openai,gpt-6" }
rule "home"  { on = "error", when = { status = 500 }, to = "ollama,z" })"));
        return sources;
      }(),
      with_local());
  for (const bool traced : {false, true}) {
    Sample sample;
    Trace trace;
    Trace* wanted = traced ? &trace : nullptr;
    sample.identity.project = "/srv/secret/x";
    Decision decision = rules->decide(sample.facts, wanted);
    CHECK_FALSE(decision.deny.has_value());
    CHECK(targets(decision) == "ollama,x; sim,y");  // the fallback that would leave the house is gone
    CHECK(decision.tags == std::map<std::string, std::string>{{"local_only", "true"}});
    sample.facts.tokens = 9000;
    decision = rules->decide(sample.facts, wanted);
    REQUIRE(decision.deny.has_value());
    CHECK(decision.deny->message == "local only");
    CHECK(decision.targets.empty());
    // Nor may an error rule lead there.
    sample.facts.attempt = 1;
    sample.facts.status = 500;
    const AttemptDecision after = rules->decide_error(sample.facts, wanted);
    REQUIRE(after.to.has_value());
    CHECK(after.to->provider == "ollama");
    sample.facts.status = 529;
    CHECK_FALSE(rules->decide_error(sample.facts, wanted).to.has_value());
    sample.facts.attempt = 0;
    sample.identity.project = "/srv/open";
    CHECK(targets(rules->decide(sample.facts, wanted)) == "anthropic,claude-opus-5-5; openrouter,x; sim,y");
  }
}

TEST_CASE("a rule about the provider only denies and tags, and its function is read where it stands") {
  CHECK_THAT(errors_of(only(source(Layer::kUser, "", "u.lua", R"(rule "a" { when = { provider_class = "local" }, to = "sim,a" })"))).front(),
             Catch::StartsWith("1:49 a rule that reads target_provider or provider_class may only deny and tag"));
  CHECK_THAT(errors_of(only(source(Layer::kUser, "", "u.lua", R"(rule "a" { to = function(req) return req.target_provider end })"))).front(),
             Catch::Contains("may only deny and tag"));
  CHECK_THAT(errors_of(only(source(Layer::kUser, "", "u.lua", R"(rule "a" { on = "error", when = { provider_class = "local" }, deny = true })"))).front(),
             Catch::Contains("are facts of requests"));

  auto rules = engine_of(only(source(Layer::kUser, "", "u.lua", R"(
rule "to" { to = "ollama,x" }
rule "b" { when = function(req) return req.target_provider == "ollama" end, deny = "no ollama" })")));
  Sample sample;
  CHECK(rules->decide(sample.facts).deny->message == "no ollama");

  // Where the reader cannot see it, it would come too early: then the rule fails, and closed.
  rules = engine_of(only(source(Layer::kUser, "", "u.lua", R"(
local function outside(req) return req.provider_class == "external" end
rule "to" { to = "ollama,x" }
rule "b" { when = outside, deny = "no" })")));
  const Decision decision = rules->decide(sample.facts);
  REQUIRE(decision.deny.has_value());
  CHECK(decision.failed_rules == std::vector<std::string>{"b"});
  CHECK_THAT(decision.reason, Catch::Contains("is known once the targets are"));
}
