#include <tuple>

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "ledger/ledger.h"
#include "unit/cli/run_cli.h"
#include "unit/cli/scratch.h"

using namespace ccrules;
using Catch::Contains;
using ccrules::test::CliResult;
using ccrules::test::run_cli;

namespace {

constexpr std::int64_t kNowUs = 1'795'087'800'000'000;  // 2026-11-19T11:30:00Z

/// A configuration with budgets, and a ledger in which $3 were spent today and $4 last month.
struct Spent {
  Spent() {
    scratch.write("ccrules.json",
                  R"({"budgets":[{"usd":5},{"scope":"project","usd":2,"per":"total"},{"scope":"tag:run=42","usd":9,"mode":"soft"}]})");
    ledger::Settings settings;
    settings.path = path;
    settings.keep_days = 0;
    auto opened = ledger::Ledger::open(settings);
    REQUIRE(opened.ok());
    for (const auto& [id, project, cost, at_us] :
         {std::tuple("req_1", "api", 4'000'000'000, kNowUs - 30 * 86'400'000'000), std::tuple("req_2", "web", 3'000'000'000, kNowUs)}) {
      ledger::Record row;
      row.id = id;
      row.project = project;
      row.at_us = at_us;
      row.cost_nanousd = cost;
      row.tags_json = R"({"run":"42"})";
      (*opened)->record(row);
    }
  }
  [[nodiscard]] CliResult run(std::vector<std::string> line) const {
    line.insert(line.end(), {"--config", scratch.path("ccrules.json"), "--ledger", path});
    return run_cli(line, kNowUs);
  }
  test::Scratch scratch;
  std::string path = scratch.path("ledger.db");
};

}  // namespace

TEST_CASE("budget shows what every budget has left, of each that has one of its own") {
  const Spent spent;
  const CliResult shown = spent.run({"budget"});
  CHECK(shown.code == 0);
  CHECK_THAT(shown.out, Contains("project:web") && Contains("project:api") && Contains("tag:run=42") && Contains("2026-11-20T00:00Z"));
  CHECK_THAT(shown.out, Contains("-$1") || Contains("$-1"));
  const CliResult json = spent.run({"budget", "--json"});
  CHECK_THAT(json.out, Contains(R"("schema":"ccrules.budget/1","complete":true)") &&
                           Contains(R"({"scope":"all","per":"day","mode":"hard","limit_nanousd":5000000000,"spent_nanousd":3000000000,)"
                                    R"("left_nanousd":2000000000,"resets_at_us":1795132800000000})") &&
                           Contains(R"({"scope":"project:api","per":"total","mode":"hard","limit_nanousd":2000000000,)"
                                    R"("spent_nanousd":4000000000,"left_nanousd":-2000000000,"resets_at_us":null})"));
}

TEST_CASE("budget shows a tag without a value once for each value that spent something") {
  const Spent spent;
  spent.scratch.write("ccrules.json", R"({"budgets":[{"scope":"tag:run","usd":5},{"scope":"tag:ru","usd":6}]})");
  const CliResult json = spent.run({"budget", "--json"});
  CHECK_THAT(json.out, Contains(R"({"scope":"tag:run=42","per":"day","mode":"hard","limit_nanousd":5000000000,"spent_nanousd":3000000000,)"));
  CHECK_THAT(json.out, !Contains("6000000000") && !Contains(R"("scope":"tag:run",)"));
}

TEST_CASE("budget gate ends with 3 when more was spent than it lets pass") {
  const Spent spent;
  CHECK(spent.run({"budget", "gate", "--max-usd", "3"}).code == 0);
  const CliResult over = spent.run({"budget", "gate", "--max-usd", "2.99"});
  CHECK(over.code == 3);
  CHECK_THAT(over.out, Contains("more than"));
  CHECK(spent.run({"budget", "gate", "--max-usd", "6.99", "--scope", "tag:run=42", "--per", "total"}).code == 3);
  CHECK(spent.run({"budget", "gate", "--max-usd", "7", "--scope", "tag:run=42", "--per", "total"}).code == 0);
  CHECK(spent.run({"budget", "gate", "--max-usd", "0", "--scope", "project:none"}).code == 0);
  CHECK_THAT(spent.run({"budget", "gate", "--max-usd", "1", "--json"}).out,
             Contains(R"({"schema":"ccrules.budget_gate/1","scope":"all","per":"day","spent_nanousd":3000000000,"max_nanousd":1000000000,"passed":false})"));
}

TEST_CASE("a budget gate knows what was spent by one of more projects than are kept in memory") {
  Spent spent;
  ledger::Settings settings;
  settings.path = spent.path;
  settings.keep_days = 0;
  {
    auto opened = ledger::Ledger::open(settings);
    REQUIRE(opened.ok());
    for (std::size_t i = 0; i < limits::kSpendKeys + 10; ++i) {
      ledger::Record row;
      row.id = "req_p" + std::to_string(i);
      row.project = "p" + std::to_string(i);
      row.at_us = kNowUs;
      row.cost_nanousd = 5'000'000'000;
      (*opened)->record(row);
    }
    for (std::size_t i = 0; i < limits::kSpendKeys + 10; ++i) {
      ledger::Record row;
      row.id = "req_t" + std::to_string(i);
      row.payer = i == 0 ? "tag:run" : "tag:run=" + std::to_string(i);  // a rule lets the first of them pay for all runs
      row.at_us = kNowUs + static_cast<std::int64_t>(i);
      row.cost_nanousd = 2'000'000'000;
      (*opened)->record(row);
    }
  }
  CHECK(spent.run({"budget", "gate", "--max-usd", "2", "--scope", "tag:run", "--per", "total"}).code == 0);
  CHECK(spent.run({"budget", "gate", "--max-usd", "1", "--scope", "tag:run", "--per", "total"}).code == 3);
  CHECK(spent.run({"budget", "gate", "--max-usd", "4", "--scope", "project:api", "--per", "total"}).code == 0);
  CHECK(spent.run({"budget", "gate", "--max-usd", "3", "--scope", "project:api", "--per", "total"}).code == 3);
}

TEST_CASE("a budget gate that cannot be judged is no pass") {
  const Spent spent;
  CHECK(spent.run({"budget", "gate"}).code == 2);
  for (const char* nonsense : {"-1", "abc", "", "nan", "1e12"}) CHECK(spent.run({"budget", "gate", "--max-usd", nonsense}).code == 2);
  CHECK(spent.run({"budget", "gate", "--max-usd", "1", "--scope", "planet:x"}).code == 2);
  const CliResult any_run = spent.run({"budget", "gate", "--max-usd", "0", "--scope", "tag:run"});
  CHECK(any_run.code == 2);
  CHECK_THAT(any_run.err, Contains("--scope tag:run names a tag and none of its values; say which, such as \"tag:run=42\""));
  for (const char* scope : {"tag:", "project:", "tag", ":"}) {
    const CliResult refused = spent.run({"budget", "gate", "--max-usd", "0", "--scope", scope});
    CHECK(refused.code == 2);
    CHECK(refused.err == "error: --scope must be \"all\" or one such as \"project:/srv/web\" (got '" + std::string(scope) + "')\n");
  }
  for (const char* scope : {"project:*", "tag:run=*", "model:claude-?"}) {  // nothing is spent by one that is called so
    const CliResult refused = spent.run({"budget", "gate", "--max-usd", "0", "--scope", scope});
    CHECK(refused.code == 2);
    CHECK(refused.err == "error: --scope '" + std::string(scope) +
                             "' is a pattern, and keys are compared as they are written; name one of them, or \"all\"\n");
  }
  CHECK(spent.run({"budget", "gates"}).code == 2);
}
