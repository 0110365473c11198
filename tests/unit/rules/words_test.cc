#include <catch2/catch.hpp>

#include "core/error.h"
#include "dialect/dialect.h"
#include "rules/api.h"
#include "rules/dry_run.h"
#include "rules/test_file.h"
#include "support.h"
#include "tokens/counter.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::errors;
using ccrules::rules::test::findings;

namespace {

using Lines = std::vector<std::string>;

const api::Values& values_of(api::Fact fact) { return *api::fact_row(fact).values; }

/// What a rule on failed attempts is refused for.
Lines on_error(const std::string& when) { return errors("rule \"a\" { on = \"error\", retry = true, when = {\n" + when + " } }"); }
Lines on_request(const std::string& when) { return errors("rule \"a\" { to = \"sim\", when = {\n" + when + " } }"); }

}  // namespace

TEST_CASE("the table has every kind of error, every dialect and every grade of a count, and no others") {
  const auto last = static_cast<std::size_t>(ErrorCode::kInternal);
  REQUIRE(values_of(api::Fact::kError).words.size() == last + 1);
  for (std::size_t code = 0; code <= last; ++code) {
    CHECK(values_of(api::Fact::kError).has(error_code_name(static_cast<ErrorCode>(code))));
  }
  for (const char* word : values_of(api::Fact::kDialect).words) CHECK(dialect::by_name(word) != nullptr);
  for (const char* path : {"/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/embeddings", "/api/chat",
                           "/v1beta/models/m:generateContent"}) {
    INFO(path);
    CHECK(values_of(api::Fact::kDialect).has(dialect::find("POST", path).spoken->name()));
  }
  for (const tokens::Grade grade : {tokens::Grade::kExact, tokens::Grade::kAnchored, tokens::Grade::kEstimated}) {
    CHECK(values_of(api::Fact::kTokensGrade).has(tokens::grade_name(grade)));
  }
  CHECK(values_of(api::Fact::kTokensGrade).words.size() == 3);
}

TEST_CASE("a word that a fact never is is an error at the word") {
  CHECK(on_error("error = \"timout\"") == Lines{"2:9 error is never 'timout' | did you mean 'timeout'?"});
  CHECK(on_error("error = { \"overloaded\", \"upstream_auth\" }")[0].substr(0, 38) == "2:25 error is never 'upstream_auth' | ");
  CHECK(on_error("error = { ne = \"timout\" }") == Lines{"2:16 error is never 'timout' | did you mean 'timeout'?"});
  CHECK(on_error("error = { eq = \"timout\" }") == Lines{"2:16 error is never 'timout' | did you mean 'timeout'?"});
  CHECK(on_error("error = none { \"timout\" }") == Lines{"2:16 error is never 'timout' | did you mean 'timeout'?"});
  CHECK(on_error("error = \"upstream_x*\"")[0].substr(0, 34) == "2:9 error is never 'upstream_x*' |");
  CHECK(on_error("error = { has = \"conect\" }").size() == 1);
  CHECK(on_request("dialect = \"openai-chat\"") == Lines{"2:11 dialect is never 'openai-chat' | did you mean 'openai_chat'?"});
  CHECK(errors("rule \"a\" { deny = true, when = {\nprovider_class = \"internal\" } }") ==
        Lines{"2:18 provider_class is never 'internal' | did you mean 'external'?"});
  CHECK(on_request("tokens_grade = \"guessed\"") ==
        Lines{"2:16 tokens_grade is never 'guessed' | it is one of: exact, anchored, estimated"});
  CHECK(on_request("health = { anthropic = \"donw\" }") ==
        Lines{"2:24 health(anthropic) is never 'donw' | did you mean 'down'?"});
  CHECK(errors("rule \"a\" { on = \"response\", next_fallback = true, when = { stop_reason = \"refused\" } }") ==
        Lines{"1:74 stop_reason is never 'refused' | did you mean 'refusal'?"});
  CHECK(errors("rule \"a\" { set = { [\"thinking.type\"] = \"enable\" } }") ==
        Lines{"1:40 set.thinking.type is never 'enable' | did you mean 'enabled'?"});
  CHECK(errors("rule \"a\" { to = pick(\"dialect\", { gemni = \"sim\" }) }")[0].find("dialect is never 'gemni'") != std::string::npos);
}

TEST_CASE("words and globs that a fact can be are taken") {
  test::engine(R"(rule "a" { on = "error", retry = true, when = { error = { "timeout", "conn*", "*_exceeded" } } }
rule "b" { on = "error", retry = true, when = { error = { has = "connect" } } }
rule "c" { on = "response", next_fallback = true, when = { stop_reason = none { "end_turn", "tool_use" } } }
rule "d" { to = "sim", when = { dialect = "openai*", health = { anthropic = { "down", "trial" } } } }
rule "l" { deny = "no", when = { provider_class = "local" } }
rule "e" { to = "sim", when = { effort = "ultra", request_class = "my-own", client = "aider", last_role = "developer" } }
)");
}

TEST_CASE("check warns of what a fact is probably never") {
  CHECK(findings("rule \"a\" { to = \"sim,x\", when = {\nrequest_class = \"backgroud\" } }") ==
        "2:1 request_class is probably never 'backgroud' | did you mean 'background'?\n");
  CHECK(findings("rule \"a\" { to = \"sim,x\", when = {\nclient = { \"claude_code\", \"aider\" } } }") ==
        "2:12 client is probably never 'claude_code' | did you mean 'claude-code'?\n");
  CHECK(findings("rule \"a\" { set = { effort = \"hihg\" } }") == "1:6 effort is probably never 'hihg' | did you mean 'high'?\n");
  CHECK(findings("rule \"a\" { to = \"sim,x\", when = {\npath = \"/v1/mesages\" } }") ==
        "2:1 no endpoint has the path '/v1/mesages' | did you mean '/v1/messages'?\n");
  CHECK(findings("rule \"a\" { to = \"sim,x\", when = {\npath = { \"/v1/messages\", \"/api/chat\", \"/v1beta/models/x:generateContent\" } } }").empty());
  CHECK(findings("rule \"a\" { on = \"error\", retry = true, when = {\nprovider = \"opnai\" } }") ==
        "2:1 there is no provider 'opnai' | did you mean 'openai'?\n");
  CHECK(findings("rule \"a\" { deny = true, when = {\ntarget_provider = \"opnai\" } }") ==
        "2:1 there is no provider 'opnai' | did you mean 'openai'?\n");
}

TEST_CASE("check warns of numbers that a fact never has") {
  CHECK(findings("rule \"a\" { on = \"error\", retry = true, when = {\nstatus = { 529, 5029 } } }") ==
        "2:17 `status = 5029` never holds | status is from 0 to 599\n");
  CHECK(findings("rule \"a\" { to = \"sim,x\", when = { time = {\nhour = { gte = 24 } } } }") ==
        "2:10 `time.hour >= 24` never holds | time.hour is from 0 to 23\n");
  CHECK(findings("rule \"a\" { to = \"sim,x\", when = { time = {\nwday = 0 } } }") ==
        "2:8 `time.wday = 0` never holds | time.wday is from 1 to 7\n");
  CHECK(findings("rule \"a\" { to = \"sim,x\", when = { bucket = { name = \"x\", lt = 0 } } }").find("bucket(x) < 0") !=
        std::string::npos);
  CHECK(findings("rule \"a\" { on = \"error\", retry = true, when = {\nstatus = { gte = 500, lt = 600 } } }").empty());
}

TEST_CASE("a test that gives a word or number which never comes is refused") {
  test::MemoryFiles files;
  const auto refused = [&files](const std::string& given) {
    files.files["/etc/ccrules/rules/my.lua"] = "rule \"a\" { on = \"error\", retry = true }";
    files.files["/etc/ccrules/rules/my_test.lua"] =
        "flow \"f\" {\n  { expect = { } },\n  { on = \"error\", given = {\n" + given + " }, expect = { retry = true } },\n}\n";
    config::Snapshot snapshot = test::snapshot();
    snapshot.rules = {"/etc/ccrules/rules/my.lua"};
    std::vector<config::Diagnostic> diagnostics;
    std::vector<TestCase> tests;
    for (const auto& source : find_test_files({"/etc/ccrules/rules/my_test.lua"}, files, diagnostics)) {
      (void)read_tests(source, files, tests, diagnostics);
    }
    std::string out;
    for (const config::Diagnostic& one : diagnostics) {
      out += std::to_string(one.where.line) + ":" + std::to_string(one.where.column) + " " + one.message +
             (one.hint.empty() ? "" : " | " + one.hint) + "\n";
    }
    return out;
  };
  CHECK(refused("error = \"upstream_overloaded\"").substr(0, 40) == "4:9 error is never 'upstream_overloaded'");
  CHECK(refused("status = 5290") == "4:10 status is from 0 to 599\n");
  CHECK(refused("error = \"overloaded\", status = 529").empty());
}
