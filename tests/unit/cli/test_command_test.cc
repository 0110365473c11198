#include <catch2/catch.hpp>

#include "core/world.h"
#include "support/files.h"
#include "unit/cli/scratch.h"

using ccrules::test::CliResult;
using ccrules::test::Scratch;
using Catch::Contains;

namespace {

void with_rules(const Scratch& scratch) {
  scratch.write("ccrules.json", R"({ "providers": { "anthropic": {}, "openai": {} },
  "routes": { "default": "anthropic,claude-sonnet-5-5" }, "rules": ["rules.lua"] })");
  scratch.write("rules.lua", "rule \"long\" { when = { tokens = { gt = 60000 } }, to = \"openai,gpt-6.1-sol\" }\n");
  scratch.write("rules_test.lua", R"(base { model = "claude-opus-5-5", tokens = 5 }
case "long" { given = { tokens = 90000 }, expect = { by = "long" } }
case "a < b & \"c\" # d" { expect = { by = "default" } }
)");
}

}  // namespace

TEST_CASE("test --coverage shows what was not reached, and --min makes too little of it exit code 3") {
  Scratch scratch;
  with_rules(scratch);
  const CliResult covered = scratch.run({"test", "--coverage"});
  CHECK(covered.code == 0);
  CHECK_THAT(covered.out, Contains("coverage") && Contains("rules.lua  1/1  100 %  2/2  100 %"));
  scratch.write("rules_test.lua", "case \"short\" { given = { tokens = 5 }, expect = { by = \"default\" } }\n");
  const CliResult missed = scratch.run({"test", "--min", "60"});
  CHECK(missed.code == 3);
  CHECK_THAT(missed.out, Contains("rules.lua:1:6") && Contains("rule 'long' never matched"));
  CHECK_THAT(missed.err, Contains("rule coverage is 0 %, less than --min 60"));
  CHECK(scratch.run({"test", "--min", "much"}).code == 2);
}

TEST_CASE("test --mutate names the mistake and the test that should have noticed it") {
  Scratch scratch;
  with_rules(scratch);
  const CliResult mutated = scratch.run({"test", "--mutate"});
  CHECK(mutated.code == 0);
  CHECK_THAT(mutated.out, Contains("✗ rules.lua:1:35  long: tokens: gt 60000 became gte 60000") &&
                              Contains("should have been noticed by 'long'"));
  CHECK(scratch.run({"test", "--mutate", "--min", "100"}).code == 3);
}

TEST_CASE("test writes TAP and JUnit with what a test is called, escaped") {
  Scratch scratch;
  with_rules(scratch);
  scratch.write("wrong_test.lua", "case \"wrong\" { given = { model = \"x\" }, expect = { by = \"long\" } }\n");
  const CliResult tap = scratch.run({"test", "--tap", "--junit", scratch.path("out/junit.xml")});
  CHECK(tap.code == 1);
  CHECK_THAT(tap.out, Catch::StartsWith("TAP version 13\n1..3\nok 1 - long\nok 2 - a < b & \"c\" \\# d\nnot ok 3 - wrong\n  ---\n"));
  CHECK_THAT(tap.out, Contains("expected: \"by = long\"\n"));
  const std::string xml = ccrules::test::read_file(scratch.path("out/junit.xml"));
  CHECK_THAT(xml, Contains("tests=\"3\" failures=\"1\"") && Contains("name=\"a &lt; b &amp; &quot;c&quot; # d\"") &&
                      Contains("<failure message=\"expected by = long\">"));
}

TEST_CASE("test --update writes golden bodies, and nothing when a file cannot be loaded") {
  Scratch scratch;
  with_rules(scratch);
  scratch.write("samples/a.json", R"({"model":"claude-opus-5-5","max_tokens":5,"messages":[{"role":"user","content":"hi"}]})");
  scratch.write("whole_test.lua", "case \"whole\" { request = \"samples/a.json\", expect = { upstream = \"golden/a.json\" } }\n");
  CHECK(scratch.run({"test"}).code == 1);
  scratch.write("broken_test.lua", "case \"broken\" { expct = {} }\n");
  const CliResult refused = scratch.run({"test", "--update"});
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Contains("broken_test.lua:1:17: error: a case has no 'expct'") && Contains("did you mean 'expect'?"));
  CHECK_FALSE(ccrules::system_files().exists(scratch.path("golden/a.json")));
  scratch.write("broken_test.lua", "");
  const CliResult updated = scratch.run({"test", "--update"});
  CHECK(updated.code == 0);
  CHECK_THAT(updated.err, Contains("written: golden/a.json"));
  CHECK(ccrules::test::read_file(scratch.path("golden/a.json")) ==
        "{\"model\":\"claude-sonnet-5-5\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n");
  CHECK(scratch.run({"test"}).code == 0);
}

TEST_CASE("test --shuffle says how to repeat its order") {
  Scratch scratch;
  with_rules(scratch);
  const CliResult shuffled = scratch.run({"test", "--shuffle=7"});
  CHECK(shuffled.code == 0);
  CHECK_THAT(shuffled.err, Contains("--shuffle=7"));
  CHECK(scratch.run({"test", "--shuffle"}).code == 0);
  CHECK(scratch.run({"test", "--shuffle=x"}).code == 2);
}

TEST_CASE("fmt lays out files, --check only names them, and what is no Lua stays as it is") {
  Scratch scratch;
  with_rules(scratch);
  scratch.write("rules.lua", "rule \"a\"{to=\"openai,gpt-6.1-sol\"}\n");
  const CliResult checked = scratch.run({"fmt", "--check"});
  CHECK(checked.code == 1);
  CHECK(checked.out == "rules.lua\n");
  CHECK(scratch.run({"fmt"}).code == 0);
  CHECK(ccrules::test::read_file(scratch.path("rules.lua")) == "rule \"a\" { to = \"openai,gpt-6.1-sol\" }\n");
  CHECK(scratch.run({"fmt", "--check"}).code == 0);
  scratch.write("rules.lua", "rule \"a\" {\n  to = = \"x\" }\n");
  const CliResult broken = scratch.run({"fmt"});
  CHECK(broken.code == 2);
  CHECK_THAT(broken.err, Contains("rules.lua:2:1: error: unexpected symbol near '='"));
  CHECK(ccrules::test::read_file(scratch.path("rules.lua")) == "rule \"a\" {\n  to = = \"x\" }\n");
  CHECK(scratch.run({"fmt", "-"}, "rule \"a\"{off=true}").out == "rule \"a\" { off = true }\n");
}

TEST_CASE("new writes a rule with its tests, before what would shadow it, and nothing when it would not decide") {
  Scratch scratch;
  with_rules(scratch);
  const CliResult made = scratch.run({"new", "many turns", "--when", "turns > 50 and model = *opus*", "--to", "openai,gpt-6-luna"});
  CHECK(made.code == 0);
  CHECK(made.err == "written to rules.lua, its tests to rules_test.lua; all 5 tests there pass\n");
  CHECK_THAT(ccrules::test::read_file(scratch.path("rules.lua")), Catch::EndsWith(R"(
rule "many turns" {
  when = { turns = { gt = 50 }, model = "*opus*" },
  to = "openai,gpt-6-luna",
}
)"));
  CHECK_THAT(ccrules::test::read_file(scratch.path("rules_test.lua")), Contains(R"(
case "many turns: not when turns = 50" {
  given = { turns = 50, model = "xopusx" },
  expect = { by = "default" },
}
)"));
  scratch.write("rules.lua", "-- Ours.\nrule \"all\" { to = \"openai,gpt-6.1-sol\" }\n");
  scratch.write("rules_test.lua", "");
  CHECK(scratch.run({"new", "small", "--when", "tokens < 100", "--to", "openai,gpt-6-luna"}).code == 0);
  CHECK_THAT(ccrules::test::read_file(scratch.path("rules.lua")), Catch::StartsWith("-- Ours.\nrule \"small\" {"));
}

TEST_CASE("new refuses what it does not understand with one sentence") {
  Scratch scratch;
  with_rules(scratch);
  const std::string before = ccrules::test::read_file(scratch.path("rules.lua"));
  CHECK_THAT(scratch.run({"new", "x", "--when", "tokns > 5", "--to", "openai,gpt-6-luna"}).err, Contains("did you mean 'tokens'?"));
  CHECK_THAT(scratch.run({"new", "x", "--when", "tokens > many", "--to", "openai,gpt-6-luna"}).err, Contains("tokens is a number"));
  CHECK(scratch.run({"new", "x", "--when", "tokens > 5"}).code == 2);
  CHECK(scratch.run({"new"}).code == 2);
  const CliResult unknown = scratch.run({"new", "x", "--when", "tokens > 70000", "--to", "nowhere,x"});
  CHECK(unknown.code == 2);
  CHECK_THAT(unknown.err, Contains("nowhere") && Contains("nothing was written"));
  CHECK(ccrules::test::read_file(scratch.path("rules.lua")) == before);
}

TEST_CASE("facts and bench print tables and JSON") {
  Scratch scratch;
  with_rules(scratch);
  CHECK_THAT(scratch.run({"facts", "tokens"}).out, Contains("tokens_exact") && !Contains("system_hash"));
  CHECK_THAT(scratch.run({"facts", "--json"}).out, Catch::StartsWith(R"({"schema":"ccrules.facts/1","facts":[{"name":"model")"));
  const CliResult benched = scratch.run({"bench", "--time", "20"});
  CHECK(benched.code == 0);
  CHECK_THAT(benched.out, Contains("a second on one thread") && Contains("long"));
  CHECK_THAT(scratch.run({"bench", "--time", "5", "--json"}).out, Catch::StartsWith(R"({"schema":"ccrules.bench/1","samples":2)"));
  CHECK(scratch.run({"facts", "--editor"}).code == 0);
  CHECK_THAT(ccrules::test::read_file(scratch.path(".luarc.json")), Contains(".ccrules/types"));
}
