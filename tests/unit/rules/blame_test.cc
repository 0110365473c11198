#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "rules/vm.h"
#include "rules/watchdog.h"
#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::engine;
using ccrules::rules::test::Sample;
using ccrules::rules::test::targets;

namespace {

using std::chrono::nanoseconds;

constexpr int kDecisions = 30;

/// Lua that keeps the CPU busy for about `time`, on this machine.
std::string busy_for(nanoseconds time) {
  constexpr int kRounds = 200'000;
  const auto loop = [](std::int64_t rounds) { return "for i = 1, " + std::to_string(rounds) + " do end "; };
  const auto rules = engine("rule \"measured\" { when = function() " + loop(kRounds) + " return false end, to = \"sim,x\" }");
  Sample sample;
  nanoseconds best = std::chrono::seconds(1);
  for (int i = 0; i < 5; ++i) {
    const nanoseconds before = thread_cpu_time();
    (void)rules->decide(sample.facts);
    best = std::min(best, thread_cpu_time() - before);
  }
  return loop(kRounds * time.count() / best.count());
}

const RuleStatus* find(const EngineStatus& status, const std::string& rule) {
  for (const RuleStatus& row : status.troubled) {
    if (row.rule == rule) return &row;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("rules that spend most of the time and return do not have the next one stopped") {
  const std::string busy = busy_for(limits::kRuleTime * 3 / 5);
  const auto rules = engine("rule \"a\" { when = function() " + busy + " return false end, to = \"sim,a\" }\n"
                            "rule \"b\" { when = function() " + busy + " return false end, to = \"sim,b\" }\n"
                            "rule \"small\" { to = function(req) return 'sim,' .. #req.model end }");
  Sample sample;
  for (int i = 0; i < kDecisions; ++i) {
    CHECK(targets(rules->decide(sample.facts)) == "sim,17");
    CHECK(find(rules->status(), "small") == nullptr);
  }
}

TEST_CASE("rules that spend the time of all answer for it, until there is time for the others") {
  const std::string busy = busy_for(limits::kRuleTime * 4 / 5);
  std::string lua;
  for (int i = 0; i < 6; ++i) lua += "rule \"slow " + std::to_string(i) + "\" { when = function() " + busy + " return false end, to = \"sim,slow\" }\n";
  const auto rules = engine(lua + "rule \"small\" { to = function(req) return 'sim,' .. #req.model end }\nrule \"plain\" { to = \"sim,plain\" }");
  Sample sample;
  std::string last;
  for (int i = 0; i < kDecisions; ++i) {
    Trace trace;
    last = targets(rules->decide(sample.facts, &trace));
    const EngineStatus status = rules->status();
    const RuleStatus* small = find(status, "small");
    if (small == nullptr) continue;
    CHECK(small->stops == 0);
    CHECK_THAT(small->last_error, Catch::Contains("not evaluated: other rules used up the time for Lua"));
    CHECK(status.troubled.size() > 1);  // those who did
  }
  CHECK(last == "sim,17");
}

namespace {

/// How "large" failed in many decisions beside a rule. So much memory takes time, where the machine is busy more than a rule has:
/// that is no memory of another.
std::vector<std::string> failures_beside(const std::string& rule, std::vector<RuleStatus>* troubled = nullptr) {
  const auto rules = engine(rule + R"(
rule "large" { to = function() local t = {} for i = 1, 2 do t[i] = ("y"):rep(9e5 + i) end return "sim,large" end })");
  std::vector<std::string> failures;
  for (int i = 0; i < kDecisions; ++i) {
    Sample sample;
    sample.facts.wall_us = i * 120'000'000LL;  // so far apart that none is quarantined
    (void)rules->decide(sample.facts);
    const EngineStatus status = rules->status();
    if (const RuleStatus* large = find(status, "large")) failures.push_back(large->last_error);
    if (troubled != nullptr) *troubled = status.troubled;
  }
  std::erase_if(failures, [](const std::string& error) { return error.find("CPU time") != std::string::npos; });
  return failures;
}

}  // namespace

TEST_CASE("what a rule leaves as garbage is not missing in the next one's memory") {
  CHECK(failures_beside(R"(
rule "litter" { when = function() local s = ("x"):rep(6e5) return #(s .. s .. s) == 0 end, to = "sim,litter" })") == std::vector<std::string>());
}

TEST_CASE("a rule that keeps the memory of all and returns answers for it, not the one that needs some next") {
  std::vector<RuleStatus> troubled;
  CHECK(failures_beside(R"(
local kept = {}
rule "keeps" { when = function() kept[#kept + 1] = ("x"):rep(1e6 + #kept) return false end, to = "sim,keeps" })", &troubled) == std::vector<std::string>());
  CHECK(std::any_of(troubled.begin(), troubled.end(), [](const RuleStatus& row) { return row.rule == "keeps"; }));
}

TEST_CASE("a call's garbage is gone when it is over, and what it keeps beyond what was loaded is hoarded") {
  const std::unique_ptr<Vm> vm = Vm::create();
  REQUIRE(vm != nullptr);
  std::string error;
  CHECK(vm->run("kept = {} for i = 1, 20000 do kept[i] = 'loaded ' .. i end", "load", error));
  vm->freeze();
  CHECK(vm->run("local s = ('x'):rep(9e5) s = s .. s", "litter", error));
  CHECK(vm->used_bytes() < limits::kLuaBytes / 2);
  CHECK_FALSE(vm->hoards());
  CHECK(vm->run("for i = 1, 5 do kept[#kept + 1] = 0 end", "keeps little", error));
  CHECK_FALSE(vm->hoards());
  for (int i = 0; i < 4; ++i) CHECK(vm->run("for i = 1, 10 do kept[#kept + 1] = ('x'):rep(1e5 + #kept) end", "keeps much", error));
  CHECK(vm->hoards());
  vm->keep();
  CHECK_FALSE(vm->hoards());
}
