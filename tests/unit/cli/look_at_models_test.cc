#include <catch2/catch.hpp>

#include "ledger/ledger.h"
#include "unit/cli/scratch.h"

using namespace ccrules;
using Catch::Contains;
using ccrules::test::CliResult;
using ccrules::test::run_cli;

TEST_CASE("models shows what is known of a model, with the configuration's prices over the table's") {
  const test::Scratch scratch;
  scratch.write("ccrules.json", R"({"prices":{"claude-opus-5-5":{"input":1.25}}})");
  const CliResult shown = run_cli({"models", "claude-opus-5*", "--config", scratch.path("ccrules.json")}, 0);
  CHECK(shown.code == 0);
  CHECK_THAT(shown.out, Contains("claude-opus-5-5") && Contains("1,000,000") && Contains("1.25") && Contains("prices of ccrules.json"));
  CHECK_THAT(shown.out, !Contains("sonnet"));
  const CliResult json = run_cli({"models", "claude-opus-5-5", "--json", "--config", scratch.path("ccrules.json")}, 0);
  CHECK_THAT(json.out, Contains(R"({"schema":"ccrules.models/1","models":[{"id":"claude-opus-5-5","provider":"anthropic",)") &&
                           Contains(R"("usd_per_million":{"input":1.25,"output":20)") && Contains(R"("from_configuration":true)"));
  CHECK(run_cli({"models", "no-such-model", "--config", scratch.path("ccrules.json")}, 0).code == 2);
}

TEST_CASE("models shows the prices that requests are billed at: all of the configuration's, above a prompt size too") {
  const test::Scratch scratch;
  scratch.write("ccrules.json", R"({"prices":{"claude-*":{"output":99},"claude-haiku-5-5":{"input":0.2},"*,claude-haiku-*":{"cache_read":7}}})");
  const CliResult json = run_cli({"models", "claude-haiku-5-5", "--json", "--config", scratch.path("ccrules.json")}, 0);
  CHECK_THAT(json.out, Contains(R"("usd_per_million":{"input":0.2,"output":99,"cache_read":7,"cache_write_5m":0.125,"cache_write_1h":0.2},)") &&
                           Contains(R"("tiers":[{"above_input_tokens":100000,"input":0.2,"output":99,"cache_read":7,)"
                                    R"("cache_write_5m":0.625,"cache_write_1h":1}],"from_configuration":true)"));
  const CliResult table = run_cli({"models", "claude-haiku-5-5", "--config", scratch.path("ccrules.json")}, 0);
  CHECK_THAT(table.out, Contains("0.125+") && !Contains("99+") && !Contains("7+"));
  scratch.write("ccrules.json", R"({"prices":{"claude-*@fast":{"output":99}}})");
  CHECK_THAT(run_cli({"models", "claude-haiku-5-5", "--json", "--config", scratch.path("ccrules.json")}, 0).out,
             Contains(R"("from_configuration":false)") && Contains(R"("output":0.5)"));
}

TEST_CASE("models takes newer prices from a file, says what changes, and costs follow") {
  const test::Scratch scratch;
  scratch.write("ccrules.json", R"({"models_dir":"kept"})");
  scratch.write("new.json", R"({"schema":"ccrules.models/1","provider":"anthropic","source":"their page","date":"2030-01-01",)"
                            R"("models":[{"id":"claude-opus-5-5","usd_per_million":{"input":1.5,"output":20}},)"
                            R"({"id":"claude-next-1","usd_per_million":{"input":3,"output":4}}]})");
  const auto run = [&scratch](std::vector<std::string> line) {
    line.insert(line.end(), {"--config", scratch.path("ccrules.json")});
    return run_cli(line, 0);
  };
  const CliResult done = run({"models", "--update", scratch.path("new.json")});
  INFO(done.err);
  CHECK(done.code == 0);
  CHECK_THAT(done.out, Contains("claude-opus-5-5  input 4 -> 1.5") && Contains("claude-next-1  new: input 3, output 4") &&
                           Contains("2 of 2 models of anthropic change; written to " + scratch.path("kept/anthropic.json")));
  CHECK_THAT(run({"models", "claude-opus-5-5"}).out, Contains("1.5") && Contains("their page, 2030-01-01"));
  CHECK_THAT(run({"models", "claude-next-1"}).out, Contains("claude-next-1"));
  CHECK_THAT(run({"models", "--update", scratch.path("new.json"), "--json"}).out,
             Contains(R"({"schema":"ccrules.models_update/1","file":")") && Contains(R"("models":[],"rows":2})"));

  scratch.write("bad.json", R"({"schema":"ccrules.models/1","provider":"anthropic","models":[{"id":"m","usd_per_million":{"input":"4"}}]})");
  const CliResult bad = run({"models", "--update", scratch.path("bad.json")});
  CHECK(bad.code == 2);
  CHECK_THAT(bad.err, Contains("bad.json: "));
  CHECK(run({"models", "--update", scratch.path("none.json")}).code == 2);
  CHECK_THAT(run({"models", "claude-opus-5-5"}).out, Contains("1.5"));  // nothing has changed
}

TEST_CASE("export writes the ledger's sums as JSON and its rows as CSV") {
  const test::Scratch scratch;
  constexpr std::int64_t kNowUs = 1'795'087'800'000'000;
  {
    ledger::Settings settings;
    settings.path = scratch.path("ledger.db");
    settings.keep_days = 0;
    auto opened = ledger::Ledger::open(settings);
    REQUIRE(opened.ok());
    ledger::Record row;
    row.id = "req_1";
    row.at_us = kNowUs;
    row.project = "web";
    row.cost_nanousd = 1'500'000'000;
    (*opened)->record(row);
  }
  const auto run = [&scratch](std::vector<std::string> line) {
    line.insert(line.end(), {"--ledger", scratch.path("ledger.db")});
    return run_cli(line, kNowUs);
  };
  CHECK_THAT(run({"export"}).out, Contains(R"("period":"30 days")") && Contains(R"("totalCost":1.5)"));
  CHECK_THAT(run({"export", "--format", "csv"}).out, Contains("timestamp,id,project") && Contains("req_1,web") && Contains("1.500000000"));
  CHECK_THAT(run({"export", "--project", "api"}).out, Contains(R"("totalCalls":0)"));
  CHECK(run({"export", "--days", "0"}).code == 2);
  CHECK(run_cli({"export", "--ledger", "/nowhere/l.db"}, kNowUs).code == 2);
}
