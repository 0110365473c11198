#include <catch2/catch.hpp>

#include "rules/dry_run.h"
#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;

namespace {

constexpr const char* kRules = R"(
rule "long" {
  when = { tokens = { gt = 60000 }, images = 0 },
  to = "openai,gpt-6.1-sol",
}
rule "lua" {
  when = function(req)
    if req.turns > 5 then
      return req.turns < 10
    end
    return false
  end,
  to = "ollama,x",
}
rule "agents" { when = any { agent = "reviewer", { stream = true } }, tag = { a = "b" } }
rule "net" { fallback = { "anthropic,claude-sonnet-5-5", "ollama,x" } }
rule "busy" { on = "error", when = { status = { 429, 529 } }, retry = true }
)";

TestReport run(const std::string& tests, bool mutate = false, const std::string& rules = kRules) {
  test::MemoryFiles files;
  files.files["/etc/ccrules/rules/my.lua"] = rules;
  files.files["/etc/ccrules/my_test.lua"] = tests;
  TestOptions options;
  options.coverage = true;
  options.mutate = mutate;
  return run_tests({"/etc/ccrules/my_test.lua"}, test::snapshot(), files, options);
}

std::string gaps(const TestReport& report) {
  std::string out;
  for (const CoverageGap& gap : report.coverage->gaps) {
    out += std::to_string(gap.at.line) + ":" + std::to_string(gap.at.column) + " " + gap.text + "\n";
  }
  return out;
}

std::string survivors(const TestReport& report) {
  std::string out;
  for (const auto& survivor : report.mutation->survivors) {
    out += std::to_string(survivor.mutant.at.line) + ":" + std::to_string(survivor.mutant.at.column) + " " + survivor.mutant.rule +
           ": " + survivor.mutant.change;
    for (const std::string& name : survivor.tests) out += " | " + name;
    out += "\n";
  }
  return out;
}

}  // namespace

TEST_CASE("coverage names rules that never matched, outcomes never seen and lines that never ran") {
  const TestReport report = run(R"(base { model = "claude-sonnet-5-5", images = 0 }
case "long" { given = { tokens = 60001 }, expect = { by = "long" } }
case "short" { given = { tokens = 60000 }, expect = { fallback = 1 } }
)");
  REQUIRE(report.problems.empty());
  REQUIRE(report.coverage);
  CHECK(gaps(report) == R"(3:37 rule 'long': images = 0 was never false
6:6 rule 'lua' never matched
7:10 rule 'lua': function at line 7 was never true
9:1 this line never ran
15:6 rule 'agents' never matched
15:30 rule 'agents': agent = "reviewer" was never true
15:52 rule 'agents': stream = true was never true
17:6 rule 'busy' never matched
17:49 rule 'busy': status = 429 was never looked at
17:54 rule 'busy': status = 529 was never looked at
)");
  CHECK(report.coverage->rules.hit == 2);
  CHECK(report.coverage->rules.total == 5);
  CHECK(report.coverage->outcomes.total == 14);
  CHECK(report.coverage->lines.hit + 1 == report.coverage->lines.total);
}

TEST_CASE("tests that show everything leave no gap") {
  const TestReport report = run(R"(base { model = "claude-sonnet-5-5", images = 0 }
case "long" { given = { tokens = 60001, turns = 6 }, expect = { by = "long" } }
case "images" { given = { tokens = 60001, images = 1, turns = 6 }, expect = { by = "lua" } }
case "many turns" { given = { tokens = 60000, turns = 10, agent = "reviewer" }, expect = { tag = { a = "b" } } }
case "stream" { given = { stream = true }, expect = { tag = { a = "b" } } }
case "429" { on = "error", given = { status = 429 }, expect = { by = "busy" } }
case "529" { on = "error", given = { status = 529 }, expect = { by = "busy" } }
case "500" { on = "error", given = { status = 500 }, expect = { by = false } }
)");
  REQUIRE(report.problems.empty());
  CHECK(gaps(report).empty());
  CHECK(report.failed() == 0);
  CHECK(report.coverage->percent() == 100.0);
}

TEST_CASE("mutation testing names the mistakes that no test notices, and the tests that should have") {
  const std::string rules = R"(rule "long" {
  when = { tokens = { gt = 60000 }, images = 0 },
  to = "openai,gpt-6.1-sol",
  tag = { size = "long" },
}
rule "rest" { to = "anthropic,claude-sonnet-5-5" }
)";
  const TestReport weak = run(R"(base { model = "claude-sonnet-5-5", images = 0 }
case "long" { given = { tokens = 90000 }, expect = { to = "openai,gpt-6.1-sol" } }
case "short" { given = { tokens = 10 }, expect = { by = "rest" } }
)",
                              true, rules);
  REQUIRE(weak.problems.empty());
  REQUIRE(weak.mutation);
  CHECK(survivors(weak) == R"(2:23 long: tokens: gt 60000 became gte 60000 | long
2:28 long: tokens gt: 60000 became 60001 | long
2:37 long: the condition on images was dropped | long
4:3 long: tag was dropped | long
4:18 long: tag.size: "long" became "long-mutant" | long
6:20 rest: to: "anthropic,claude-sonnet-5-5" became another target | short
)");
  const TestReport strong = run(R"(base { model = "claude-sonnet-5-5", images = 0 }
case "long" { given = { tokens = 60001 }, expect = { to = "openai,gpt-6.1-sol", tag = { size = "long" } } }
case "short" { given = { tokens = 60000 }, expect = { to = "anthropic,claude-sonnet-5-5" } }
case "images" { given = { tokens = 60001, images = 1 }, expect = { by = "rest" } }
)",
                                true, rules);
  REQUIRE(strong.mutation);
  CHECK(survivors(strong).empty());
  CHECK(strong.mutation->total >= 10);
  CHECK(strong.mutation->percent() == 100.0);
}

TEST_CASE("mutations are only tried when the tests pass as they are") {
  const TestReport report = run(R"(case "x" { expect = { by = "nobody" } })", true);
  CHECK(report.failed() == 1);
  CHECK_FALSE(report.mutation);
}

TEST_CASE("check warns of functions that remember and refuses those that set globals") {
  test::MemoryFiles files;
  files.files["/etc/ccrules/rules/my.lua"] = R"(local count, seen = 0, {}
rule "every second" { when = function(req)
  count = count + 1
  return count % 2 == 0
end, tag = { second = "yes" } }
rule "first time" { when = function(req)
  local new = not seen[req.session]
  seen[req.session] = true
  return new
end, tag = { first = "yes" } }
rule "global" { when = function(req) last = req.model; return true end, tag = { a = "b" } }
)";
  std::string found;
  for (const config::Diagnostic& one : check(test::snapshot(), files)) {
    found += std::to_string(one.where.line) + ":" + std::to_string(one.where.column) + (one.warning ? " warning: " : " error: ") +
             one.message + "\n";
  }
  CHECK(found == R"(3:3 warning: a function changes 'count' outside itself: decisions would depend on the requests before
8:3 warning: a function changes the table 'seen' outside itself: decisions would depend on the requests before
11:38 error: a function sets the global 'last', which fails when it runs
)");
}

TEST_CASE("coverage and mutations may be about a pack's rules, and rules that are switched off make no mistakes") {
  test::MemoryFiles files;
  files.files["/etc/ccrules/rules/my.lua"] = "override \"default#serving\" { off = true }\n";
  files.files["/etc/ccrules/my_test.lua"] = "case \"a\" { given = { model = \"sim,x\" }, expect = { to = \"sim,x\", by = \"explicit\" } }\n";
  TestOptions options;
  options.coverage = true;
  options.mutate = true;
  options.pack = "default";
  const TestReport report = run_tests({"/etc/ccrules/my_test.lua"}, test::snapshot(), files, options);
  REQUIRE(report.problems.empty());
  REQUIRE(report.mutation);
  CHECK(report.coverage->rules.hit >= 1);
  CHECK(survivors(report).find("direct-route") != std::string::npos);
  CHECK(survivors(report).find("explicit: to was dropped") == std::string::npos);
  CHECK(survivors(report).find("serving") == std::string::npos);
  options.pack = "nobody";
  const TestReport none = run_tests({"/etc/ccrules/my_test.lua"}, test::snapshot(), files, options);
  REQUIRE(none.problems.size() == 1);
  CHECK(none.problems[0].message == "no rules of a pack 'nobody' are loaded");
}
