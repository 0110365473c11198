#include <catch2/catch.hpp>

#include "core/json.h"
#include "unit/cli/scratch.h"

using Catch::Contains;
using ccrules::test::CliResult;
using ccrules::test::Scratch;

namespace {

constexpr const char* kConfig = R"({
  "providers": { "anthropic": {}, "openrouter": {} },
  "routes": { "default": "anthropic,claude-sonnet-5-5" },
  "rules": ["rules.lua"]
})";
constexpr const char* kRules = R"(rule "long" { when = { tokens = { gt = 1000 } }, to = "openrouter,long/one" }
)";

Scratch& with_rules(Scratch& scratch) {
  scratch.write("ccrules.json", kConfig);
  scratch.write("rules.lua", kRules);
  return scratch;
}

}  // namespace

TEST_CASE("a passing test is one line with its target and its rule, and the exit code is 0") {
  Scratch scratch;
  with_rules(scratch).write("a_test.lua",
                            R"(case "long ones" { given = { tokens = 1001 }, expect = { by = "long" } })");
  const CliResult tested = scratch.run({"test"});
  CHECK(tested.code == 0);
  CHECK(tested.err.empty());
  CHECK_THAT(tested.out,
             Catch::StartsWith("a_test.lua\n  ✓ long ones  openrouter,long/one  long\n\n1 passed in "));
}

TEST_CASE("check warns of files that a running proxy does not watch") {
  Scratch scratch;
  with_rules(scratch).write("a_test.jsonl", std::string(1024 * 1024 + 1, '\n'));
  const CliResult checked = scratch.run({"check"});
  CHECK(checked.code == 0);
  CHECK_THAT(checked.out, Contains("warning") && Contains("a_test.jsonl are not noticed") && Contains("more than 1048576 bytes"));
  scratch.write("ccrules.json", std::string(kConfig).insert(1, R"("reload": { "watch": false },)"));
  CHECK_THAT(scratch.run({"check"}).out, !Contains("not noticed"));
}

TEST_CASE("a failing test says what was expected, what came, and which condition stood in the way") {
  Scratch scratch;
  with_rules(scratch).write("a_test.lua",
                            R"(case "edge" { given = { tokens = 1000 }, expect = { by = "long" } })");
  const CliResult tested = scratch.run({"test"});
  CHECK(tested.code == 1);
  CHECK_THAT(tested.out,
             Contains("✗ edge") && Contains("expected  by = long") && Contains("actual    by = default"));
  CHECK_THAT(tested.out, Contains("tokens > 1000  (is 1000)") && Contains("a_test.lua:1"));
  CHECK_THAT(tested.out, Contains("0 passed, 1 failed in "));
}

TEST_CASE("test --failures keeps silent about what passed") {
  Scratch scratch;
  with_rules(scratch).write("a_test.lua", R"(
case "good" { given = { tokens = 2000 }, expect = { by = "long" } }
case "bad" { expect = { by = "long" } })");
  const CliResult tested = scratch.run({"test", "--failures"});
  CHECK(tested.code == 1);
  CHECK_THAT(tested.out, Contains("bad") && !Contains("good") && Contains("1 passed, 1 failed"));
}

TEST_CASE("test --json holds every case with its decision") {
  Scratch scratch;
  with_rules(scratch).write("a.jsonl", R"({"name":"n","given":{"tokens":2000},"expect":{"by":"long"}})"
                                       "\n");
  const CliResult tested = scratch.run({"test", "--json"});
  CHECK(tested.code == 0);
  CHECK(ccrules::json::is_valid(tested.out));
  CHECK_THAT(tested.out, Contains(R"("schema":"ccrules.test/1","passed":1,"failed":0)"));
}

TEST_CASE("a test file that does not load is exit code 2 with its line") {
  Scratch scratch;
  with_rules(scratch).write("a_test.lua", "\ncase \"n\" { expect = { byy = \"long\" } }\n");
  const CliResult tested = scratch.run({"test"});
  CHECK(tested.code == 2);
  CHECK_THAT(tested.err, Contains("a_test.lua:2:") && Contains("byy"));
}

TEST_CASE("without test files the exit code is 2 and the message says what was looked for") {
  Scratch scratch;
  with_rules(scratch);
  const CliResult tested = scratch.run({"test"});
  CHECK(tested.code == 2);
  CHECK_THAT(tested.err, Contains("no tests in") && Contains("*_test.lua"));
}

TEST_CASE("serve does not start with wrong rules, and tells each mistake in a line of its own") {
  Scratch scratch;
  scratch.write("ccrules.json", R"({ "rules": ["rules.lua"] })");
  scratch.write("rules.lua", "rule \"a\" { to = \"nope,m\" }\nrule \"b\" { to = \"neither,m\" }\n");
  const CliResult refused = scratch.run({"serve"});
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Contains("error: the rules cannot be loaded:\n  ") && Contains("rules.lua:1:17: there is no provider 'nope'") &&
                              Contains("\n  ") && Contains("rules.lua:2:17: there is no provider 'neither'"));
}

TEST_CASE("check is silent success on sound rules and exit code 2 with file, line and hint on others") {
  Scratch scratch;
  scratch.write("ccrules.json", R"({ "rules": ["rules.lua"] })");
  scratch.write("rules.lua", R"(rule "a" { to = "sim,hello" })");
  const CliResult sound = scratch.run({"check"});
  CHECK(sound.code == 0);
  CHECK_THAT(sound.out, Catch::StartsWith("ok  "));
  scratch.write("rules.lua", R"(rule "a" { when = { tokns = 1 }, to = "sim,hello" })");
  const CliResult wrong = scratch.run({"check"});
  CHECK(wrong.code == 2);
  CHECK_THAT(wrong.out,
             Contains("rules.lua:1:21: error: unknown fact 'tokns'") && Contains("did you mean 'tokens'?"));
  CHECK_THAT(wrong.out, Contains("\n1 error\n"));
  const CliResult json = scratch.run({"check", "--json"});
  CHECK(json.code == 2);
  CHECK(ccrules::json::is_valid(json.out));
  CHECK_THAT(json.out, Contains(R"("schema":"ccrules.check/1","ok":false)") && Contains(R"("line":1)"));
}

TEST_CASE("check of a configuration that does not load is exit code 2, in JSON too") {
  Scratch scratch;
  scratch.write("ccrules.json", R"({ "listen": { "prot": 1 } })");
  CHECK(scratch.run({"check"}).code == 2);
  const CliResult json = scratch.run({"check", "--json"});
  CHECK(json.code == 2);
  CHECK_THAT(json.out, Contains("listen.prot"));
}

TEST_CASE("explain says which rule returned nonsense, where it stands, and ends with exit code 2") {
  const Scratch scratch;
  scratch.write("ccrules.json", R"({"routes": {"default": "sim,hello"}, "rules": ["rules.lua"]})");
  scratch.write("rules.lua", "\nrule \"odd\" { to = function(req) return 5 end }\n");
  scratch.write("request.json", R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})");
  scratch.write("text.json", "not a request");
  const CliResult explained = scratch.run({"explain", scratch.path("request.json")});
  CHECK(explained.code == 2);
  CHECK_THAT(explained.out, Contains("sim,hello"));
  CHECK_THAT(explained.err, Contains("rules.lua:2: error: rule 'odd' failed: a target is a string"));
  const CliResult text = scratch.run({"explain", scratch.path("text.json")});
  CHECK(text.code == 2);
  CHECK_THAT(text.err, Contains("this is no request: neither a JSON object nor a saved .http file"));
}

TEST_CASE("explain shows what an override switched off, and where the override stands") {
  const Scratch scratch;
  scratch.write("ccrules.json", R"({"routes": {"default": "sim,hello"}, "rules": ["rules.lua"]})");
  scratch.write("rules.lua", "\noverride \"default#default\" { off = true }\n");
  const CliResult explained = scratch.run({"explain", "-"}, R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})");
  CHECK(explained.code == 0);
  CHECK_THAT(explained.out, Contains("switched off\n  default#default  by rules.lua:2\n"));
}

TEST_CASE("explain shows the decision of a request from a file or from standard input") {
  Scratch scratch;
  with_rules(scratch);
  const std::string request =
      R"({"model":"claude-opus-5-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})";
  scratch.write("request.json", request);
  const CliResult from_file = scratch.run({"explain", scratch.path("request.json")});
  CHECK(from_file.code == 0);
  CHECK_THAT(from_file.out,
             Contains("decision  anthropic,claude-sonnet-5-5") && Contains("reason    default model"));
  CHECK_THAT(from_file.out, Contains("rules.lua:1") && Contains("tokens > 1000"));
  CHECK(scratch.run({"explain", "-"}, request).code == 0);
  const CliResult json = scratch.run({"explain", "-", "--json"}, request);
  CHECK(ccrules::json::is_valid(json.out));
  CHECK_THAT(json.out, Contains(R"("schema":"ccrules.explain/1")"));
}

TEST_CASE("explain of something that is no request is exit code 2 with one sentence") {
  Scratch scratch;
  with_rules(scratch);
  const CliResult broken = scratch.run({"explain", "-"}, "{");
  CHECK(broken.code == 2);
  CHECK_THAT(broken.err, Catch::StartsWith("error: stdin: "));
  const CliResult absent = scratch.run({"explain", "nofile.json"});
  CHECK(absent.code == 2);
  CHECK_THAT(absent.err, Contains("nofile.json"));
}

TEST_CASE("serve does not start on a configuration with an error and says where it is") {
  Scratch scratch;
  scratch.write("ccrules.json", R"({ "listen": { "port": 70000 } })");
  const CliResult served = scratch.run({"serve"});
  CHECK(served.code == 2);
  CHECK_THAT(served.err, Contains("ccrules.json:1:") && Contains("listen.port"));
}
