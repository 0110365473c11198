#include <catch2/catch.hpp>

#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::engine;
using ccrules::rules::test::Sample;
using ccrules::rules::test::targets;

namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kNowUs = 1'790'000'000 * kSecondUs;

const RuleStatus* find(const EngineStatus& status, const std::string& rule) {
  for (const RuleStatus& row : status.troubled) {
    if (row.rule == rule) return &row;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("a rule stopped three times within a minute is quarantined and no longer runs") {
  auto rules = engine(R"(
rule "loops" { when = function(req) if req.tokens > 5000 then while true do end end return req.tokens > 100 end, to = "sim,loops" }
rule "fine"  { to = "sim,fine" })");
  Sample sample;
  sample.facts.wall_us = kNowUs;
  CHECK(targets(rules->decide(sample.facts)) == "sim,loops");
  CHECK(rules->status().troubled.empty());
  sample.facts.tokens = 9000;
  for (int i = 0; i < 3; ++i) {
    const EngineStatus before = rules->status();
    CHECK((before.troubled.empty() || !before.troubled[0].quarantined));
    const Decision decision = rules->decide(sample.facts);
    CHECK(targets(decision) == "sim,fine");
    CHECK(decision.failed_rules == std::vector<std::string>{"loops"});
    sample.facts.wall_us += 20 * kSecondUs;
  }
  const EngineStatus status = rules->status();
  const RuleStatus* row = find(status, "loops");
  REQUIRE(row != nullptr);
  CHECK(row->quarantined);
  CHECK(row->quarantined_since_us == kNowUs + 40 * kSecondUs);
  CHECK(row->stops == 3);
  CHECK(row->where == "rules/my.lua:2");
  CHECK(row->last_error == "used more than its CPU time");
  // Also where it would have worked.
  sample.facts.tokens = 1200;
  Trace trace;
  CHECK(targets(rules->decide(sample.facts, &trace)) == "sim,fine");
  CHECK(trace.rules[0].quarantined);
  CHECK_THAT(trace_json(Decision(), trace, ""), Catch::Contains(R"("quarantined":true)"));
}

TEST_CASE("stops that are further apart, and errors that are no stops, do not quarantine") {
  auto rules = engine(R"(
rule "loops"  { to = function(req) while true do end end }
rule "throws" { to = function(req) error("oh no") end }
rule "fine"   { to = "sim,fine" })");
  Sample sample;
  sample.facts.wall_us = kNowUs;
  for (int i = 0; i < 5; ++i) {
    CHECK(targets(rules->decide(sample.facts)) == "sim,fine");
    sample.facts.wall_us += 31 * kSecondUs;
  }
  const EngineStatus status = rules->status();
  REQUIRE(status.troubled.size() == 2);
  CHECK_FALSE(find(status, "loops")->quarantined);
  CHECK(find(status, "loops")->stops == 5);
  CHECK(find(status, "throws")->stops == 0);
  CHECK(find(status, "throws")->failures == 5);
}

TEST_CASE("a quarantined rule that may deny keeps denying what its declarative conditions match") {
  auto rules = engine(R"(
rule "secret" { when = { project = "/srv/secret/*", function(req) while true do end end }, deny = "no" }
rule "fine"   { to = "sim,fine" })");
  Sample sample;
  sample.facts.wall_us = kNowUs;
  sample.identity.project = "/srv/secret/a";
  for (int i = 0; i < 3; ++i) {
    const Decision decision = rules->decide(sample.facts);
    REQUIRE(decision.deny.has_value());
    CHECK_THAT(decision.deny->message, Catch::Contains("could not be evaluated"));
  }
  CHECK(rules->status().troubled.front().quarantined);
  CHECK(rules->status().troubled.front().may_deny);
  const Decision decision = rules->decide(sample.facts);
  REQUIRE(decision.deny.has_value());
  CHECK(decision.deny->status == 403);
  CHECK_THAT(decision.deny->message, Catch::Contains("quarantined"));
  CHECK_THAT(decision.deny->message, Catch::Contains("rules/my.lua:2"));
  sample.identity.project = "/srv/open";
  CHECK(targets(rules->decide(sample.facts)) == "sim,fine");
}

TEST_CASE("a quarantined rule whose condition is a function denies everything in its scope") {
  auto rules = engine(R"(
rule "judge" { when = any { { agent = "other" }, function(req) while true do end end }, deny = "no" }
rule "fine"  { to = "sim,fine" })");
  Sample sample;
  sample.facts.wall_us = kNowUs;
  for (int i = 0; i < 5; ++i) CHECK(rules->decide(sample.facts).deny.has_value());
  CHECK(rules->status().troubled.front().stops == 3);  // it ran three times and never again
}

TEST_CASE("none { } around a function that may not run keeps its certain part") {
  auto rules = engine(R"(
rule "guard" { when = none { { agent = "trusted" }, function(req) while true do end end }, deny = "no" }
rule "fine"  { to = "sim,fine" })");
  Sample sample;
  sample.facts.wall_us = kNowUs;
  for (int i = 0; i < 4; ++i) CHECK(rules->decide(sample.facts).deny.has_value());
  sample.identity.agent = "trusted";
  CHECK(targets(rules->decide(sample.facts)) == "sim,fine");
}

TEST_CASE("a quarantined error rule is skipped, and one that may deny refuses") {
  auto rules = engine(R"(
rule "loops" { on = "error", when = { status = 500 }, retry = function() while true do end end }
rule "deny"  { on = "error", when = { status = 501, function() while true do end end }, deny = "no" }
rule "next"  { on = "error", next_fallback = true })");
  Sample sample;
  sample.facts.wall_us = kNowUs;
  sample.facts.attempt = 1;
  for (int i = 0; i < 5; ++i) {
    sample.facts.status = 500;
    AttemptDecision decision = rules->decide_error(sample.facts);
    CHECK_FALSE(decision.retry.has_value());
    CHECK_FALSE(decision.deny.has_value());
    CHECK(decision.next_fallback == true);
    CHECK(decision.failed_rules == std::vector<std::string>{"loops"});
    sample.facts.status = 501;
    decision = rules->decide_error(sample.facts);
    CHECK(decision.deny.has_value());
  }
  CHECK(rules->status().troubled.size() == 2);
}

TEST_CASE("a rule that hoards memory in its upvalues loses it, and the rules beside it go on") {
  auto rules = engine(R"(
local kept = {}
rule "hoards" { when = { agent = "hoarder" }, to = function(req) while true do kept[#kept + 1] = ("x"):rep(1e5) .. #kept end end }
rule "beside" { to = function(req) local t = {} for i = 1, 100 do t[i] = ("y"):rep(1000) .. i end return "sim,beside" end })");
  Sample sample;
  sample.facts.wall_us = kNowUs;
  sample.identity.agent = "hoarder";
  const Decision decision = rules->decide(sample.facts);
  CHECK(decision.failed_rules == std::vector<std::string>{"hoards"});
  CHECK(targets(decision) == "sim,beside");
  for (int i = 0; i < 10; ++i) {
    sample.identity.agent = i % 2 == 0 ? "hoarder" : "main";
    CHECK(targets(rules->decide(sample.facts)) == "sim,beside");
  }
}
