#include <catch2/catch.hpp>

#include "ledger/ledger.h"
#include "unit/cli/scratch.h"

using namespace ccrules;
using ccrules::test::CliResult;

namespace {

constexpr const char* kConfiguration = R"({
  "providers": {
    "anthropic": { "api_key": "k" },
    "openai": { "api_key": "k" },
  },
  "routes": { "default": "anthropic,claude-sonnet-5-5" },
  "ledger": { "path": "ledger.db" },
})";

/// A configuration and a ledger of its own.
struct Past {
  test::Scratch scratch;

  Past() { scratch.write("ccrules.json", kConfiguration); }

  static ledger::Record row(const std::string& id, std::int64_t tokens) {
    ledger::Record row;
    row.id = id;
    row.decision_id = "dec_" + id.substr(4);
    row.at_us = 1'700'000'000'000'000;
    row.dialect = "anthropic";
    row.path = "/v1/messages";
    row.requested_model = "claude-opus-5-5";
    row.rule = "default";
    row.reason = "default model";
    row.provider = "anthropic";
    row.model = "claude-sonnet-5-5";
    row.attempts = 1;
    row.status = 200;
    row.usage.input_tokens = 1'000'000;
    row.usage.output_tokens = 0;
    row.cost_nanousd = 3'000'000'000;
    row.facts_json = R"({"tokens":)" + std::to_string(tokens) + R"(,"turns":1,"last_role":"user"})";
    return row;
  }

  void write(const std::vector<ledger::Record>& rows) const {
    ledger::Settings settings;
    settings.path = scratch.path("ledger.db");
    settings.keep_days = 0;
    auto opened = ledger::Ledger::open(settings);
    REQUIRE(opened.ok());
    for (const ledger::Record& row : rows) (*opened)->record(row);
    (*opened)->flush();
  }
};

}  // namespace

TEST_CASE("why tells where a past request went, and for each rule the condition that failed and the value it saw") {
  const Past past;
  past.scratch.write("rules.lua", R"lua(rule "long" { when = { tokens = { gt = 60000 } }, to = "openai,gpt-5.5" })lua");
  past.scratch.write("with-rules.json", std::string(kConfiguration).insert(1, R"("rules": ["rules.lua"],)"));
  past.write({Past::row("req_abc1", 1234), Past::row("req_abd2", 70000)});
  for (const char* id : {"req_abc1", "dec_abc1", "req_abc"}) {
    const CliResult shown = past.scratch.run({"why", id, "--config", "with-rules.json"});
    INFO(shown.err);
    CHECK(shown.code == 0);
    CHECK_THAT(shown.out, Catch::Contains("anthropic,claude-sonnet-5-5") && Catch::Contains("2023-11-14 22:13:20 UTC"));
    CHECK_THAT(shown.out, Catch::Contains("tokens > 60000  (is 1234)"));
  }
}

TEST_CASE("explain with the id of a past request tells what why tells") {
  const Past past;
  past.write({Past::row("req_abc1", 1234)});
  for (const char* id : {"req_abc1", "dec_abc1", "req_a"}) {
    const CliResult explained = past.scratch.run({"explain", id});
    CHECK(explained.code == 0);
    CHECK(explained.out == past.scratch.run({"why", id}).out);
    CHECK_THAT(past.scratch.run({"explain", id, "--json"}).out, Catch::Contains(R"("schema":"ccrules.why/1","id":"req_abc1")"));
  }
  CHECK(past.scratch.run({"explain", "req_zzz"}).code == 1);
  const CliResult no_file = past.scratch.run({"explain", "request"});
  CHECK(no_file.code == 2);
}

TEST_CASE("what clients and providers wrote reaches the terminal as text, in one line") {
  const Past past;
  const std::string hostile = "x\x1b]0;title\x07\xc2\x9b" "2J\nstatus 200";
  ledger::Record row = Past::row("req_abc1", 1234);
  row.requested_model = row.model = row.project = row.session = row.client = row.error = row.reason = hostile;
  ledger::Record refused = Past::row("req_def2", 1234);
  refused.error = hostile;
  refused.facts_json.clear();
  past.write({row, refused});
  for (const auto& line : std::vector<std::vector<std::string>>{
           {"why", "req_abc1"}, {"why", "req_def2"}, {"stats", "--since", "all"}, {"stats", "--since", "all", "--by", "project"}}) {
    const CliResult shown = past.scratch.run(line);
    INFO(shown.out << shown.err);
    CHECK(shown.code == 0);
    CHECK(shown.out.find_first_of("\x1b\x07") == std::string::npos);
    CHECK(shown.out.find("\xc2\x9b") == std::string::npos);
    CHECK(shown.out.find("\nstatus 200") == std::string::npos);
  }
}

TEST_CASE("why says when today's rules would decide otherwise") {
  const Past past;
  past.scratch.write("rules.lua", R"lua(rule "long" { when = { tokens = { gt = 60000 } }, to = "openai,gpt-5.5" })lua");
  past.scratch.write("with-rules.json", std::string(kConfiguration).insert(1, R"("rules": ["rules.lua"],)"));
  past.write({Past::row("req_abd2", 70000)});
  const CliResult shown = past.scratch.run({"why", "req_abd2", "--config", "with-rules.json"});
  CHECK_THAT(shown.out, Catch::Contains("the rules have changed since then") && Catch::Contains("openai,gpt-5.5"));
  const CliResult json = past.scratch.run({"why", "req_abd2", "--config", "with-rules.json", "--json"});
  CHECK_THAT(json.out, Catch::Contains(R"("schema":"ccrules.why/1")") && Catch::Contains(R"("rules_unchanged":false)"));
}

TEST_CASE("why does not guess: unknown and ambiguous ids are errors, refused requests have no decision") {
  const Past past;
  ledger::Record refused = Past::row("req_abx9", 0);
  refused.facts_json.clear();
  refused.provider.clear();
  refused.model.clear();
  refused.status = 401;
  refused.error = "wrong or missing key";
  past.write({Past::row("req_abc1", 1), Past::row("req_abc2", 2), refused});
  const CliResult none = past.scratch.run({"why", "req_zzz"});
  CHECK(none.code == 1);
  CHECK_THAT(none.err, Catch::Contains("there is no request 'req_zzz'"));
  const CliResult two = past.scratch.run({"why", "req_abc"});
  CHECK(two.code == 2);
  const CliResult undecided = past.scratch.run({"why", "req_abx9"});
  CHECK(undecided.code == 0);
  CHECK_THAT(undecided.out, Catch::Contains("never came to a decision: wrong or missing key"));
  const CliResult no_ledger = past.scratch.run({"why", "req_abc1", "--ledger", "elsewhere.db"});
  CHECK(no_ledger.code == 2);
  CHECK_THAT(no_ledger.err, Catch::Contains("there is no ledger at "));
}

TEST_CASE("replay counts what other rules would change and what it would cost") {
  const Past past;
  past.scratch.write("new.lua", R"lua(rule "long" { when = { tokens = { gt = 60000 } }, to = "anthropic,claude-opus-5-5" })lua");
  past.write({Past::row("req_1", 1234), Past::row("req_2", 70000), Past::row("req_3", 80000)});
  const CliResult same = past.scratch.run({"replay", "--since", "all"});
  INFO(same.out << same.err);
  CHECK(same.code == 0);
  CHECK_THAT(same.out, Catch::Contains("3 decisions; 3 stay as they are"));
  const CliResult shown = past.scratch.run({"replay", "new.lua", "--since", "all"});
  INFO(shown.out << shown.err);
  CHECK(shown.code == 1);
  CHECK_THAT(shown.out, Catch::Contains("2 change") && Catch::Contains("anthropic,claude-opus-5-5") &&
                            Catch::Contains("req_2") && Catch::Contains("in all +$"));
  CHECK_THAT(shown.out, Catch::Contains("assumes the same tokens"));
  const CliResult json = past.scratch.run({"replay", "new.lua", "--since", "all", "--json"});
  CHECK_THAT(json.out, Catch::Contains(R"("schema":"ccrules.replay/1","requests":3,"same":1,"changed":2,"not_judged":0)"));
  CHECK(past.scratch.run({"replay", "--rules", "new.lua", "--since", "all", "--json"}).out == json.out);
  CHECK_THAT(json.out, Catch::Contains(R"("cost_nanousd":6000000000)"));
}

TEST_CASE("replay says which share it cannot judge, because no text is kept") {
  const Past past;
  past.scratch.write("new.lua", R"lua(rule "deep" { when = { text = { last_user = "*ultrathink*" } }, to = "openai,gpt-5.5" })lua");
  past.write({Past::row("req_1", 1), Past::row("req_2", 2)});
  const CliResult shown = past.scratch.run({"replay", "new.lua", "--since", "all"});
  CHECK(shown.code == 0);
  CHECK_THAT(shown.out, Catch::Contains("2 could not be judged") && Catch::Contains("judged 0 %") && Catch::Contains("text.last_user (2)"));
}

TEST_CASE("replay takes a model that answered as a fallback for no change of the rules") {
  const Past past;
  past.scratch.write("new.lua",
                     R"lua(rule "net" { to = "anthropic,claude-opus-5-5", fallback = { "anthropic,claude-sonnet-5-5" } })lua");
  ledger::Record row = Past::row("req_1", 1);
  row.attempts = 2;
  past.write({row});
  const CliResult shown = past.scratch.run({"replay", "new.lua", "--since", "all"});
  INFO(shown.out << shown.err);
  CHECK_THAT(shown.out, Catch::Contains("1 stay as they are"));
}

TEST_CASE("replay refuses files that are not there and rules that do not load") {
  const Past past;
  past.write({Past::row("req_1", 1)});
  CHECK_THAT(past.scratch.run({"replay", "nowhere.lua"}).err, Catch::Contains("there is no nowhere.lua"));
  past.scratch.write("broken.lua", "rule \"x\" { when = { tokenz = 3 } }");
  const CliResult broken = past.scratch.run({"replay", "broken.lua"});
  CHECK(broken.code == 2);
  CHECK_THAT(broken.err, Catch::Contains("broken.lua:1:"));
}
