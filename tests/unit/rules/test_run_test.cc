#include "rules/test_run.h"

#include <catch2/catch.hpp>

#include "rules/dry_run.h"
#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;

namespace {

constexpr const char* kRules = R"(
alias { cheap = "ollama,qwen3-coder:30b", main = "anthropic,claude-sonnet-5-5" }
rule "canary"     { when = { bucket = { name = "gpt", by = "session", lt = 10 } }, to = "openai,gpt-6.1-sol" }
rule "long"       { when = { tokens = { gt = 60000 } }, to = "cheap" }
rule "default"    { to = "main" }
rule "safety-net" { fallback = { "openrouter,anthropic/claude-sonnet-5.5", "cheap" } }
rule "overloaded" { on = "error", when = { status = { 429, 529 }, attempt = { lt = 2 } }, retry = true }
rule "refused"    { on = "response", when = { stop_reason = "refusal" }, next_fallback = true, tag = { refused = "yes" } }
rule "too-long"   { on = "error", when = { error = "context_exceeded" }, to = "openai,gpt-6.1-sol" }
)";

constexpr const char* kBody =
    R"({"model":"claude-sonnet-5-5","max_tokens":100,"messages":[{"role":"user","content":"Hi"}]})";

struct Folder {
  test::MemoryFiles files;
  TestOptions options;

  explicit Folder(const std::string& tests) {
    files.files["/etc/ccrules/rules/my.lua"] = kRules;
    files.files["/etc/ccrules/my_test.lua"] = tests;
    options.upstream = [](const Sample& sample, const Decision& decision) -> Result<std::string> {
      return R"({"model":")" + decision.targets.front().model + R"(","messages":)" +
             std::to_string(sample.outline.messages) + "}";
    };
  }
  TestReport report() { return run_tests({"/etc/ccrules"}, test::snapshot(), files, options); }
  std::string run() {
    std::string out;
    const TestReport found = report();
    for (const config::Diagnostic& problem : found.problems) {
      out += std::to_string(problem.where.line) + ":" + std::to_string(problem.where.column) + " " +
             problem.message + "\n";
    }
    for (const CaseResult& result : found.cases) {
      out += std::to_string(result.line) + " " + result.name + ": " +
             (result.passed ? "ok" : result.expected + " | " + result.actual);
      out += result.note.empty() ? "\n" : " (" + result.note + ")\n";
    }
    return out;
  }
};

}  // namespace

TEST_CASE("a sweep decides once for every value and checks shares of targets and rules") {
  Folder folder(R"(base { model = "claude-sonnet-5-5", tokens = 100, bucket = 50 }
sweep "a tenth" { over = { "session", 2000, "s-%d" }, given = { bucket = "hash" },
  expect = { share = { ["openai,gpt-6.1-sol"] = { 8, 12 }, main = { 88, 92 } }, rules = { canary = { 8, 12 } } } }
sweep "too few" { over = { "session", 100, "s-%d" }, expect = { share = { ["openai,gpt-6.1-sol"] = { 9, 11 } } } }
sweep "edge"    { over = { "tokens", { from = 59998, to = 60002 } }, expect = { share = { cheap = 40 } } }
sweep "all"     { over = { "tokens", { 1, 60000, 60001 } }, expect = { by = "default" } }
)");
  CHECK(folder.run() == R"(2 a tenth: ok (anthropic,claude-sonnet-5-5 90.5 %, openai,gpt-6.1-sol 9.5 %)
4 too few: share of openai,gpt-6.1-sol = 9 to 11 % | share of openai,gpt-6.1-sol = 0 % (anthropic,claude-sonnet-5-5 100 %)
5 edge: ok (anthropic,claude-sonnet-5-5 60 %, ollama,qwen3-coder:30b 40 %)
6 all: by = default | by = long (at tokens = 60001)
)");
}

TEST_CASE("a flow follows one request through its attempts, rules first and then the built-in policy") {
  Folder folder(R"(base { model = "claude-sonnet-5-5", tokens = 100, bucket = 50 }
flow "529 twice, then the net" {
  { expect = { to = "main", fallback = 2 } },
  { on = "error", given = { status = 529 }, expect = { retry = true, by = "overloaded", to = "main" } },
  { on = "error", given = { status = 529 }, expect = { by = "safety-net", to = "openrouter,anthropic/claude-sonnet-5.5" } },
  { on = "error", given = { status = 500 }, expect = { next_fallback = true, to = "cheap" } },
  { on = "error", given = { status = 500 }, expect = { next_fallback = false, to = false } },
}
flow "too long" {
  { given = { session = "a" }, expect = { by = "default" } },
  { on = "error", given = { status = 400, error = "context_exceeded" }, expect = { to = "openai,gpt-6.1-sol", by = "too-long" } },
}
flow "a refusal goes on, an answer stays" {
  { expect = { to = "main" } },
  { on = "response", given = { stop_reason = "refusal" }, expect = { by = "refused", to = "openrouter,anthropic/claude-sonnet-5.5", tag = { refused = "yes" } } },
  { on = "response", given = { stop_reason = "end_turn" }, expect = { by = false, to = false } },
}
flow "a bad request ends it" {
  { expect = { by = "default" } },
  { on = "error", given = { status = 400 }, expect = { to = "cheap", by = false } },
}
)");
  CHECK(folder.run() == R"(2 529 twice, then the net: ok
9 too long: ok
13 a refusal goes on, an answer stays: ok
20 a bad request ends it: to = ollama,qwen3-coder:30b | to = none (step 2 of 2)
)");
}

TEST_CASE("a test gives a time that there is") {
  for (const std::string time : {"14:00", "4:05", "23:59:59", "2024-02-29T14:00:00Z", "2026-11-21T14:00"}) {
    INFO(time);
    CHECK(Folder("case \"a\" { given = { time = \"" + time + "\" }, expect = { fits = true } }").run().find("time is written") ==
          std::string::npos);
  }
  for (const std::string time : {"24:00", "-0:30", "14:60", "14:00:60", "2026-02-30T14:00:00Z", "2026-02-29T14:00:00Z", "2026-11-31T14:00:00Z",
                                 "2026-11-21T24:00:00Z", "2026-1-021T14:00:00Z", "-026-01-01T14:00:00Z"}) {
    INFO(time);
    CHECK_THAT(Folder("case \"a\" { given = { time = \"" + time + "\" }, expect = { fits = true } }").run(),
               Catch::Contains("time is written \"14:00\" or \"2026-11-21T14:00:00Z\" (UTC)"));
  }
}

TEST_CASE("how long a retry waits can be expected: as a duration, in seconds, or as the rule says it") {
  Folder folder(R"(
case "as a duration" { on = "error", given = { status = 500 }, expect = { retry = "2000ms" } }
case "in seconds"    { on = "error", given = { status = 500 }, expect = { retry = 2 } }
case "as the rule"   { on = "error", given = { status = 500 }, expect = { retry = { after = "2s", at_most = "20s" } } }
case "as asked"      { on = "error", given = { status = 529 }, expect = { retry = "retry-after" } }
case "too long"      { on = "error", given = { status = 500 }, expect = { retry = 2.5 } }
case "too short"     { on = "error", given = { status = 500 }, expect = { retry = { after = "retry-after", at_most = "1m" } } }
case "not at all"    { on = "error", given = { status = 400 }, expect = { retry = "2s" } }
)");
  folder.files.files["/etc/ccrules/rules/my.lua"] += "rule \"later\" { on = \"error\", when = { status = 500 }, retry = { after = \"2s\", at_most = \"20s\" } }";
  CHECK(folder.run() == R"(2 as a duration: ok
3 in seconds: ok
4 as the rule: ok
5 as asked: ok
6 too long: retry = 2.5s | retry = 2s
7 too short: retry.after = retry-after; retry.at_most = 60s | retry.after = 2s; retry.at_most = 20s
8 not at all: retry = 2s | retry = false
)");
  Folder wrong(R"(case "a" { on = "error", given = { status = 500 }, expect = { retry = "soon" } }
case "b" { on = "error", given = { status = 500 }, expect = { retry = { afte = "2s", at_most = -1 } } }
case "c" { on = "error", given = { status = 500 }, expect = { retry = {} } }
)");
  CHECK(wrong.run() == R"(1:71 retry is true, false, how long it waits ("2s") or { after = "retry-after", at_most = "20s" }
2:73 retry has no 'afte'
2:96 a duration is written "250ms", "20s" or "2m"
3:71 retry is true, false, how long it waits ("2s") or { after = "retry-after", at_most = "20s" }
)");
}

TEST_CASE(
    "the upstream body of a whole request is compared byte for byte, and the first difference has a path") {
  Folder folder(R"(base { bucket = 50 }
case "same"  { request = "samples/a.json", expect = { upstream = "golden/a.json" } }
case "other" { request = "samples/a.json", given = { tokens = 70000 }, expect = { upstream = "golden/a.json" } }
case "new"   { request = "samples/a.json", expect = { upstream = "golden/new.json" } }
case "bytes" { request = "samples/a.json", expect = { upstream = "golden/bytes.json" } }
)");
  folder.files.files["/etc/ccrules/samples/a.json"] = kBody;
  folder.files.files["/etc/ccrules/golden/a.json"] = "{\"model\":\"claude-sonnet-5-5\",\"messages\":1}\n";
  folder.files.files["/etc/ccrules/golden/bytes.json"] =
      "{ \"model\":\"claude-sonnet-5-5\",\"messages\":1}\n";
  CHECK(folder.run() == R"(2 same: ok
3 other: upstream model = "claude-sonnet-5-5" | upstream model = "qwen3-coder:30b"
4 new: upstream = /etc/ccrules/golden/new.json | upstream = a body to compare with nothing: the file does not exist
5 bytes: upstream = /etc/ccrules/golden/bytes.json byte for byte | upstream = the same JSON written otherwise
)");
}

TEST_CASE("update hands over the golden bodies that differ and changes nothing by itself") {
  Folder folder(R"(base { bucket = 50 }
case "new" { request = "samples/a.json", expect = { upstream = "golden/new.json" } }
)");
  folder.files.files["/etc/ccrules/samples/a.json"] = kBody;
  folder.options.update = true;
  const TestReport report = folder.report();
  CHECK(report.failed() == 0);
  REQUIRE(report.updates.size() == 1);
  CHECK(report.updates[0].path == "/etc/ccrules/golden/new.json");
  CHECK(report.updates[0].bytes == "{\"model\":\"claude-sonnet-5-5\",\"messages\":1}\n");
  folder.files.files[report.updates[0].path] = report.updates[0].bytes;
  CHECK(folder.report().updates.empty());
}

TEST_CASE("a rule that fails is a mistake, unless the test says that it shall") {
  Folder folder(R"(
case "nobody expects it" { expect = { by = "default" } }
case "somebody does"     { expect = { by = "default", failed = { "nonsense" } } }
flow "of an attempt" {
  { expect = { failed = { "nonsense" } } },
  { on = "error", given = { status = 418 }, expect = { retry = false } },
  { on = "error", given = { status = 418 }, expect = { failed = { "worse" } } },
})");
  folder.files.files["/etc/ccrules/rules/my.lua"] += R"(
rule "nonsense" { set = { max_tokens = function(req) return "many" end } }
rule "worse" { on = "error", when = { status = 418 }, retry = function(req) return "when the cows come home" end }
)";
  CHECK(folder.run() ==
        "2 nobody expects it: failed = none | failed = nonsense\n3 somebody does: ok\n"
        "6 of an attempt: failed = none | failed = worse (step 2 of 3)\n");
}

TEST_CASE("another order of running gives the same results in the order of the file") {
  Folder folder(R"(base { model = "claude-sonnet-5-5", bucket = 50 }
case "a" { given = { tokens = 1 }, expect = { by = "default" } }
base { tokens = 70000 }
case "b" { expect = { by = "long" } }
case "c" { given = { tokens = 60000 }, expect = { by = "default" } }
)");
  const std::string straight = folder.run();
  CHECK(straight == "2 a: ok\n4 b: ok\n5 c: ok\n");
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    folder.options.shuffle = seed;
    CHECK(folder.run() == straight);
  }
}

TEST_CASE("sweeps and flows that make no sense are refused at their place, and nothing runs") {
  Folder folder(R"(case "fine" { expect = { by = "default" } }
sweep "a" { expect = {} }
sweep "b" { over = { "sesion", 10, "s-%d" }, expect = {} }
sweep "c" { over = { "session", 10, "s" }, expect = {} }
sweep "d" { over = { "tokens", { from = 5, to = 1 } }, expect = {} }
sweep "e" { over = { "tokens", 1e9 }, expect = {} }
sweep "f" { over = { "tokens", { 1 } }, expect = { share = { main = "all" } } }
flow "g" { expect = {} }
flow "h" { { on = "error", expect = {} } }
flow "i" { { expect = { upstream = "x.json" } } }
case "j" { on = "errors", expect = {} }
case "k" { request = 5, expect = {} }
case "l" { expect = "default" }
)");
  CHECK(folder.run() == R"(2:7 sweep 'a' goes over nothing
3:22 unknown fact 'sesion'
4:37 the third part of over is a text with %d in it: "s-%d"
5:32 a range goes up: from <= to, step > 0
6:32 a sweep has 1 to 100000 values
7:69 a share is a percentage or a range such as { 9, 11 }
8:6 flow 'g' is a list of steps
9:12 a flow begins with a request
10:25 upstream needs a whole request
11:17 on is "request", "error" or "response"
12:22 request is the path of a sample: "samples/plan-mode.json"
13:21 expect is a table: { to = "..." }
)");
}
