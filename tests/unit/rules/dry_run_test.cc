#include "rules/dry_run.h"

#include <catch2/catch.hpp>

#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;

namespace {

constexpr const char* kRules = R"(
alias { cheap = "ollama,qwen3-coder:30b", long = "openai,gpt-6.1-sol", main = "anthropic,claude-sonnet-5-5" }
rule "explicit"     { when = { model = "*,*" }, to = function(req) return req.model end }
rule "stop"         { when = { project = "/srv/secret/*" }, deny = { status = 403, message = "only local models" } }
rule "long-context" { when = { tokens = { gt = 60000 } }, to = "long" }
rule "canary"       { when = { bucket = { name = "gpt", by = "session", lt = 10 } }, to = "long", tag = { experiment = "gpt" } }
rule "night"        { when = { time = { from = "22:00", to = "06:00" } }, to = "cheap" }
rule "think"        { when = { thinking = true }, set = { ["thinking.budget_tokens"] = { max = 16000 } } }
rule "default"      { to = "main" }
rule "safety-net"   { fallback = { "openrouter,anthropic/claude-sonnet-5.5", "cheap" } }
rule "overloaded"   { on = "error", when = { status = { 429, 529 }, attempt = { lt = 2 } }, retry = { after = "retry-after", at_most = "20s" } }
)";

TestReport run(const std::string& name, const std::string& text) {
  test::MemoryFiles files;
  files.files["/etc/ccrules/rules/my.lua"] = kRules;
  files.files["/etc/ccrules/rules/" + name] = text;
  return run_tests({"/etc/ccrules"}, test::snapshot(), files);
}

std::string summary(const TestReport& report) {
  std::string out;
  for (const config::Diagnostic& problem : report.problems) {
    out += std::to_string(problem.where.line) + ":" + std::to_string(problem.where.column) + " " +
           problem.message + (problem.hint.empty() ? "" : " | " + problem.hint) + "\n";
  }
  for (const CaseResult& result : report.cases) {
    out += std::to_string(result.line) + " " + result.name + ": ";
    out += result.passed ? "ok" : "expected " + result.expected + " actual " + result.actual;
    out += "\n";
  }
  return out;
}

}  // namespace

TEST_CASE("a Lua test file checks target, rule, fallbacks, shadowed rules, tags, fields and refusals") {
  CHECK(summary(run("my_test.lua", R"(
base { model = "claude-sonnet-5-5", tokens = 1200, agent = "main", time = "14:00", bucket = 50 }
case "60 001 tokens go long"  { given = { tokens = 60001 }, expect = { to = "long", by = "long-context" } }
case "explicit keeps the net" { given = { model = "openai,gpt-6.1-sol", tokens = 90000 },
  expect = { to = "openai,gpt-6.1-sol", shadowed = { "long-context" }, fallback = 2 } }
case "canary"   { given = { bucket = 9.5 }, expect = { by = "canary", tag = { experiment = "gpt" } } }
case "night"    { given = { time = "23:30" }, expect = { to = "cheap", tag = { experiment = false } } }
case "thinking" { given = { thinking = true }, expect = { set = { ["thinking.budget_tokens"] = { max = 16000 } } } }
case "secret"   { given = { project = "/srv/secret/x" }, expect = { deny = 403, to = false } }
case "secret"   { given = { project = "/srv/secret/x" }, expect = { deny = { status = 403, message = "only local models" } } }
case "busy"     { on = "error", given = { status = 529, attempt = 1 }, expect = { retry = true, by = "overloaded" } }
case "busy 2"   { on = "error", given = { status = 529, attempt = 2 }, expect = { by = false, retry = false } }
)")) == R"(3 60 001 tokens go long: ok
4 explicit keeps the net: ok
6 canary: ok
7 night: ok
8 thinking: ok
9 secret: ok
10 secret: ok
11 busy: ok
12 busy 2: ok
)");
}

TEST_CASE("a failing case says in one line what was expected and what came") {
  CHECK(summary(run("my_test.lua", R"(base { model = "claude-sonnet-5-5", bucket = 50 }
case "wrong" { expect = { to = "cheap", by = "night", fallback = { "cheap" } } }
)")) == "2 wrong: expected to = ollama,qwen3-coder:30b; by = night; fallback = ollama,qwen3-coder:30b actual "
        "to = anthropic,claude-sonnet-5-5; by = default; fallback = openrouter,anthropic/claude-sonnet-5.5, "
        "ollama,qwen3-coder:30b\n");
}

TEST_CASE("what is misspelt in a test file is reported at its own place") {
  CHECK(summary(run("my_test.lua", R"(base { tokns = 5 }
case "a" {
  given = { tokens = 5,
            target_model = "x" },
  expect = { bye = "default" } }
case "b" { givn = {}, expect = {} }
case "c" { given = { tokens = "many" }, expect = {} }
case "d" { }
case "e" { expect = { deny = { statsu = 403 }, share = {} } }
)")) == R"(1:8 unknown fact 'tokns' | did you mean 'tokens'?
4:13 a test cannot give target_model: the rules decide it
5:14 expect has no 'bye' | did you mean 'by'?
6:12 a case has no 'givn' | did you mean 'given'?
7:31 tokens is number, not a string
8:6 case 'd' expects nothing | add expect = { to = "..." }
9:32 deny has no 'statsu' | deny has status, message, type
9:48 expect has no 'share' | expect has: to, by, reason, deny, fallback, shadowed, tag, set, headers, failed, no_target, bad_request, upstream, cache, budget, strict
)");
}

TEST_CASE("the JSONL twin runs one case a line and names the line of what is wrong") {
  const std::string found = summary(run("my.jsonl", R"({"base":{"model":"claude-sonnet-5-5","bucket":50}}
{"name":"long","given":{"tokens":60001},"expect":{"by":"long-context"}}

{"name":"wrong","given":{"tokens":60000},"expect":{"by":"long-context"}}
{"name":"typo","given":{"tokns":60000},"expect":{"by":"x"}}
{"name":
)"));
  CHECK_THAT(found, Catch::StartsWith(
                        "5:25 unknown fact 'tokns' | did you mean 'tokens'?\n6:9 not a JSON object: "));
  CHECK(summary(run("my.jsonl", R"({"base":{"model":"claude-sonnet-5-5","bucket":50}}
{"name":"long","given":{"tokens":60001},"expect":{"by":"long-context"}}

{"name":"wrong","given":{"tokens":60000},"expect":{"by":"long-context"}}
{"expect":{"by":"default"}}
{"name":"late","flow":[{"expect":{"to":"main"}},{"on":"error","given":{"status":529},"expect":{"by":"overloaded"}}]}
{"name":"all","over":["tokens",[1,60000]],"expect":{"by":"default"}}
)")) == R"(2 long: ok
4 wrong: expected by = long-context actual by = default
5 line 5: ok
6 late: ok
7 all: ok
)");
}

namespace {

constexpr const char* kAnthropicBody =
    R"({"model":"claude-sonnet-5-5","max_tokens":100,"system":"You are.\n - Primary working directory: /srv/secret/x\n","messages":[{"role":"user","content":"Hi"}]})";
constexpr const char* kOpenaiBody =
    R"({"model":"gpt-6.1-sol","messages":[{"role":"system","content":"x"},{"role":"user","content":"Hi"}]})";

std::string explained(const std::string& sample) {
  test::MemoryFiles files;
  files.files["/etc/ccrules/rules/my.lua"] = kRules;
  std::vector<config::Diagnostic> diagnostics;
  const Result<Explanation> explanation = explain(sample, test::snapshot(), files, diagnostics);
  CHECK(diagnostics.empty());
  if (!explanation.ok()) return "error: " + explanation.error().message;
  CHECK(explanation->tokens > 0);
  return explanation->dialect + " " + explanation->decision.rule;
}

}  // namespace

TEST_CASE("explain tells Anthropic from OpenAI JSON by its members and reads saved .http files") {
  CHECK(explained(kAnthropicBody) == "anthropic stop");
  CHECK_THAT(explained(kOpenaiBody), Catch::StartsWith("openai_chat "));
  CHECK(
      explained(
          R"({"model":"ollama,x","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]}]})") ==
      "openai_chat explicit");
  CHECK(explained(R"({"model":"ollama,x","max_tokens":5,"messages":[{"role":"user","content":"x"}]})") ==
        "anthropic explicit");
  CHECK(
      explained(
          std::string(
              "POST /v1/messages?beta=true HTTP/1.1\r\nhost: x\r\nx-ccrules-project: /srv/secret/y\r\n\r\n") +
          R"({"model":"ollama,x","max_tokens":5,"messages":[{"role":"user","content":"x"}]})") ==
      "anthropic stop");
  CHECK(explained(std::string("POST http://localhost:3456/v1/chat/completions HTTP/1.1\nx: y\n\n") +
                  R"({"model":"ollama,x","messages":[{"role":"user","content":"x"}]})") ==
        "openai_chat explicit");
  CHECK_THAT(explained("GET /favicon.ico HTTP/1.1\n\n"),
             Catch::Contains("no model endpoint answers GET /favicon.ico"));
  CHECK_THAT(explained("[]"), Catch::StartsWith("error: "));
  CHECK_THAT(explained("{\"model\":\"x\"}"), Catch::StartsWith("error: "));
  CHECK_THAT(explained(""), Catch::StartsWith("error: "));
}

TEST_CASE("a case may take a whole request from a file beside it, with facts given on top") {
  test::MemoryFiles files;
  files.files["/etc/ccrules/rules/my.lua"] = kRules;
  files.files["/etc/ccrules/tests/samples/a.json"] = kAnthropicBody;
  files.files["/etc/ccrules/tests/a_test.lua"] = R"(
case "secret"  { request = "samples/a.json", expect = { by = "stop", deny = true } }
case "public"  { request = "samples/a.json", given = { project = "/srv/open", tokens = 70000 }, expect = { by = "long-context" } }
)";
  CHECK(summary(run_tests({"/etc/ccrules"}, test::snapshot(), files)) == "2 secret: ok\n3 public: ok\n");
  files.files["/etc/ccrules/tests/a_test.lua"] = R"(
case "missing" { request = "samples/b.json", expect = {} }
)";
  CHECK(summary(run_tests({"/etc/ccrules"}, test::snapshot(), files)) ==
        "2:28 cannot read /etc/ccrules/tests/samples/b.json | paths are relative to the test file\n");
}

TEST_CASE("a folder is searched for tests, other files in it are left alone, and what is missing is said") {
  test::MemoryFiles files;
  files.files["/etc/ccrules/rules/my.lua"] = kRules;
  files.files["/etc/ccrules/log.jsonl"] = "{\"level\":\"info\"}\n";
  files.files["/etc/ccrules/.git/x_test.lua"] = "nonsense";
  files.files["/etc/ccrules/other/ccrules.json"] = "{}";
  files.files["/etc/ccrules/other/x_test.lua"] = "case \"b\" { expect = { by = \"nothing\" } }";
  files.files["/etc/ccrules/deep/er/x.test.lua"] = "case \"a\" { expect = { by = \"default\" } }";
  CHECK(summary(run_tests({"/etc/ccrules"}, test::snapshot(), files)) == "1 a: ok\n");
  const TestReport report = run_tests({"/etc/ccrules", "/nowhere"}, test::snapshot(), files);
  CHECK(report.cases.empty());
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].where.file == "/nowhere");
  CHECK(report.problems[0].message == "there is no such file or folder");
}

TEST_CASE("tests of rules that do not load report the rules' errors and run nothing") {
  test::MemoryFiles files;
  files.files["/etc/ccrules/rules/my.lua"] = "rule \"a\" { too = \"sim\" }";
  files.files["/etc/ccrules/rules/a_test.lua"] = "case \"a\" { expect = {} }";
  CHECK(summary(run_tests({"/etc/ccrules"}, test::snapshot(), files)) ==
        "1:12 unknown effect 'too' | did you mean 'to'?\n");
}

TEST_CASE("check warns about rules that load and cannot work") {
  test::MemoryFiles files;
  files.files["/etc/ccrules/rules/my.lua"] = R"(
alias { used = "sim,x", unused = "sim,y", quoted = "sim,z" }
rule "nothing" { when = { stream = true } }
rule "all"     { to = "used" }
rule "late"    { when = { stream = true }, to = "used" }
rule "typo"    { when = { stream = true }, fallback = "anthropic,claude-sonet-5-5" }
rule "dynamic" { to = function(req) return "quoted" end }
rule "tags"    { tag = { a = "b" } }
)";
  std::string found;
  for (const config::Diagnostic& diagnostic : check(test::snapshot(), files)) {
    CHECK(diagnostic.warning);
    found += std::to_string(diagnostic.where.line) + " " + diagnostic.message + "\n";
  }
  CHECK(found == R"(3 rule 'nothing' has no effect
5 rule 'late' never decides the target: 'all' above claims `to` for every request
6 rule 'typo': anthropic has no known model 'claude-sonet-5-5'
7 rule 'dynamic' never decides the target: 'all' above claims `to` for every request
2 alias 'unused' is not used
)");
}

TEST_CASE("a sample body tells its dialect, and with it the path a client would send it to") {
  struct Row {
    const char* body;
    const char* dialect;
    const char* path;
  };
  constexpr Row kRows[] = {
      {R"({"model":"m","max_tokens":5,"system":"s","messages":[{"role":"user","content":"hi"}]})", "anthropic", "/v1/messages"},
      {R"({"model":"m","max_completion_tokens":5,"messages":[{"role":"user","content":"hi"}]})", "openai_chat", "/v1/chat/completions"},
      {R"({"model":"m","input":"hi"})", "openai_responses", "/v1/responses"},
      {R"({"model":"m","options":{"num_ctx":4096},"messages":[{"role":"user","content":"hi"}]})", "ollama", "/api/chat"},
      {R"({"model":"m","contents":[{"role":"user","parts":[{"text":"hi"}]}]})", "gemini", "/v1beta/models/m:generateContent"},
  };
  for (const Row& row : kRows) {
    INFO(row.body);
    Sample sample;
    const Result<void> read = sample.read(row.body);
    REQUIRE(read.ok());
    CHECK(sample.dialect == row.dialect);
    CHECK(sample.path == row.path);
    CHECK(sample.outline.model == "m");
  }
}

TEST_CASE("check calls functions on plain requests and says which rule returns what no effect takes") {
  test::MemoryFiles files;
  files.files["/etc/ccrules/rules/my.lua"] = R"(
rule "fine"  { to = function(req) return "ollama,x" end }
rule "odd"   { set = function(req) return { max_tokens = "many" } end }
rule "big"   { when = { tokens = { gt = 100000 } }, tag = function(req) return req.effort.at_all end }
rule "not asked" { when = { tokens = 7 }, to = function(req) error("no") end })";
  std::string said;
  for (const config::Diagnostic& found : check(test::snapshot(), files)) {
    if (found.message.find("fails on a plain request") == std::string::npos) continue;
    CHECK(found.warning);
    said += std::to_string(found.where.line) + ":" + std::to_string(found.where.column) + " " + found.message.substr(0, found.message.find(':')) + "\n";
  }
  CHECK(said == "3:6 rule 'odd' fails on a plain request\n4:6 rule 'big' fails on a plain request\n");
}
