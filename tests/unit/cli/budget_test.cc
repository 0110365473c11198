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
             Contains(R"({"schema":"ccrules.budget_gate/1","scope":"all","per":"day","spent_nanousd":3000000000,"max_nanousd":1000000000,"unknown_cost_requests":0,)"
                      R"("unknown_cost_models":[],"passed":false})"));
}

TEST_CASE("a budget gate does not pass over requests whose cost nobody knows") {
  const Spent spent;
  {
    ledger::Settings settings;
    settings.path = spent.path;
    settings.keep_days = 0;
    auto opened = ledger::Ledger::open(settings);
    REQUIRE(opened.ok());
    const auto add = [&](const char* id, const char* model, std::int64_t days_ago, const char* payer = "") {
      ledger::Record row;
      row.id = id;
      row.project = "unk";
      row.provider = "mystery";
      row.model = model;
      row.payer = payer;
      row.at_us = kNowUs - days_ago * 86'400'000'000;
      row.usage.output_tokens = 5;
      if (model != std::string("free")) row.tags_json = R"({"run":"43"})";
      if (model == std::string("free")) row.cost_nanousd = 0;
      (*opened)->record(row);
    };
    add("req_u1", "m-1", 0);
    add("req_u2", "m-2", 0);
    add("req_u3", "m-2", 0);
    add("req_u4", "m-3", 2);
    add("req_u5", "free", 0);
    add("req_u6", "m-4", 0, "project:other");
    ledger::Record failed;  // nothing was billed
    failed.id = "req_u7";
    failed.project = "failed";
    failed.at_us = kNowUs;
    (*opened)->record(failed);
  }
  const CliResult today = spent.run({"budget", "gate", "--max-usd", "0", "--scope", "project:unk"});
  CHECK(today.code == 1);
  CHECK(today.out == "project:unk: at least $0.0000 spent, and nobody knows whether that is within $0.0000 per day\n");
  CHECK(today.err == "3 requests of unknown cost: mystery,m-2: 2 requests, mystery,m-1: 1 request; set `prices` for such models in "
                     "ccrules.json, or let them pass with --allow-unknown\n");
  const CliResult ever = spent.run({"budget", "gate", "--max-usd", "0", "--scope", "project:unk", "--per", "total", "--json"});
  CHECK(ever.code == 1);
  CHECK_THAT(ever.out, Contains(R"("unknown_cost_requests":4,"unknown_cost_models":[{"model":"mystery,m-2","requests":2},)") &&
                           Contains(R"("passed":false})"));
  const CliResult allowed = spent.run({"budget", "gate", "--max-usd", "0", "--scope", "project:unk", "--allow-unknown"});
  CHECK(allowed.code == 0);
  CHECK(allowed.out == "project:unk: at least $0.0000 spent, within $0.0000 per day\n");
  CHECK_THAT(allowed.err, Contains("3 requests of unknown cost"));
  CHECK(spent.run({"budget", "gate", "--max-usd", "2", "--allow-unknown"}).code == 3);
  CHECK(spent.run({"budget", "gate", "--max-usd", "2"}).code == 3);
  CHECK(spent.run({"budget", "gate", "--max-usd", "3"}).code == 1);
  CHECK(spent.run({"budget", "gate", "--max-usd", "0", "--scope", "project:failed"}).code == 0);
  CHECK(spent.run({"budget", "gate", "--max-usd", "0", "--scope", "project:other"}).code == 1);
  CHECK(spent.run({"budget", "gate", "--max-usd", "0", "--scope", "tag:run=43"}).code == 1);
  CHECK(spent.run({"budget", "gate", "--max-usd", "3", "--scope", "tag:run=42"}).code == 0);
}

TEST_CASE("a budget gate that looks where no ledger is does not pass") {
  const Spent spent;
  const std::string config = spent.scratch.path("ccrules.json");
  for (const std::vector<std::string>& words : {std::vector<std::string>{"budget", "gate", "--max-usd", "1"}, {"budget"}}) {
    std::vector<std::string> line = words;
    line.insert(line.end(), {"--config", config, "--ledger", "/nowhere/ledger.db"});
    const CliResult absent = run_cli(line, kNowUs);
    CHECK(absent.code == 2);
    CHECK(absent.err == "error: there is no ledger at /nowhere/ledger.db yet\n");
  }
  spent.scratch.write("elsewhere.json", R"({"ledger":{"path":"/nowhere/ledger.db"}})");
  CHECK(run_cli({"budget", "--config", spent.scratch.path("elsewhere.json")}, kNowUs).code == 0);
  CHECK(run_cli({"budget", "gate", "--max-usd", "1", "--config", spent.scratch.path("elsewhere.json")}, kNowUs).code == 2);
}

TEST_CASE("flags of the budget gate are refused where its word was forgotten") {
  const Spent spent;
  for (const std::vector<std::string>& flag : {std::vector<std::string>{"--max-usd", "1"}, {"--scope", "all"}, {"--per", "day"}, {"--allow-unknown"}}) {
    std::vector<std::string> line = {"budget"};
    line.insert(line.end(), flag.begin(), flag.end());
    const CliResult refused = spent.run(line);
    CHECK(refused.code == 2);
    CHECK(refused.err == "error: " + flag[0] + " belongs to 'ccrules budget gate'\n");
  }
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

TEST_CASE("a budget gate for a model takes it by any spelling") {
  Spent spent;
  ledger::Settings settings;
  settings.path = spent.path;
  settings.keep_days = 0;
  {
    auto opened = ledger::Ledger::open(settings);
    REQUIRE(opened.ok());
    ledger::Record row;
    row.id = "req_3";
    row.requested_model = "fast";
    row.billed_model = "claude-opus-5-5";
    row.at_us = kNowUs;
    row.cost_nanousd = 2'000'000'000;
    (*opened)->record(row);
  }
  for (const char* scope : {"model:claude-opus-5-5", "model:anthropic,claude-opus-5-5", "model:claude-opus-5.5[1m]"}) {
    CHECK(spent.run({"budget", "gate", "--max-usd", "1.9", "--scope", scope}).code == 3);
    CHECK(spent.run({"budget", "gate", "--max-usd", "2", "--scope", scope}).code == 0);
  }
  CHECK(spent.run({"budget", "gate", "--max-usd", "0", "--scope", "model:fast"}).code == 0);
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
