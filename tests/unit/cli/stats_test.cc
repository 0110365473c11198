#include <sstream>

#include <catch2/catch.hpp>

#include "ledger/ledger.h"
#include "unit/cli/scratch.h"

using namespace ccrules;
using ccrules::test::CliResult;
using ccrules::test::run_cli;

namespace {

constexpr std::int64_t kNoonUs = 1'700'000'000'000'000;

/// A ledger of its own.
struct TestLedger {
  test::Scratch scratch;
  std::string path = scratch.path("ledger.db");

  void write(const std::string& id, const std::string& model, std::int64_t age_s,
             std::optional<std::int64_t> cost) const {
    ledger::Settings settings;
    settings.path = path;
    settings.keep_days = 100'000;
    auto opened = ledger::Ledger::open(settings);
    REQUIRE(opened.ok());
    ledger::Record row;
    row.id = id;
    row.at_us = kNoonUs - age_s * 1'000'000;
    row.model = model;
    row.provider = "anthropic";
    row.status = 200;
    row.usage.input_tokens = 1200;
    row.usage.output_tokens = 34;
    row.cost_nanousd = cost;
    (*opened)->record(row);
    (*opened)->flush();
  }
};

}  // namespace

TEST_CASE("stats shows one row a model and a total, with commas, dollars and unknown costs marked") {
  const TestLedger ledger;
  ledger.write("req_1", "claude-opus-5-5", 60, 12'500'000);
  ledger.write("req_2", "mystery-1", 60, std::nullopt);
  const CliResult shown = run_cli({"stats", "--ledger", ledger.path}, kNoonUs);
  CHECK(shown.code == 0);
  CHECK(shown.err.empty());
  CHECK_THAT(shown.out, Catch::Contains("claude-opus-5-5") && Catch::Contains("$0.0125"));
  CHECK_THAT(shown.out, Catch::Contains("unknown"));
  CHECK_THAT(shown.out, Catch::Contains("2,400") && Catch::Contains("≥ $0.0125"));
  CHECK_THAT(shown.out, Catch::Contains("1 request has no known price"));
}

TEST_CASE("stats counts only what is younger than --since") {
  const TestLedger ledger;
  ledger.write("req_1", "young", 3600, 1);
  ledger.write("req_2", "old", 3 * 86400, 1);
  CHECK_THAT(run_cli({"stats", "--ledger", ledger.path, "--since", "24h"}, kNoonUs).out,
             !Catch::Contains("old"));
  CHECK_THAT(run_cli({"stats", "--ledger", ledger.path, "--since", "7d"}, kNoonUs).out,
             Catch::Contains("old"));
  CHECK_THAT(run_cli({"stats", "--ledger", ledger.path, "--since", "2023-11-12"}, kNoonUs).out,
             !Catch::Contains("old"));
  CHECK_THAT(run_cli({"stats", "--ledger", ledger.path, "--since", "all"}, kNoonUs).out,
             Catch::Contains("old"));
}

TEST_CASE("days of stats and of --since are those of time_zone, whatever the machine's own is") {
  const TestLedger ledger;
  // In Berlin 2023-10-29 began at 22:00 UTC of the day before and had 25 hours.
  constexpr std::int64_t kBeginS = 1'698'530'400;
  constexpr std::int64_t kEndS = kBeginS + 25 * 3600;
  constexpr std::int64_t kNowS = kNoonUs / 1'000'000;
  ledger.write("req_1", "m", kNowS - kBeginS + 1, 1);
  ledger.write("req_2", "m", kNowS - kBeginS, 1);
  ledger.write("req_3", "m", kNowS - kEndS + 1, 1);
  ledger.write("req_4", "m", kNowS - kEndS, 1);
  ledger.scratch.write("berlin.json", R"({"time_zone":"Europe/Berlin"})");
  ledger.scratch.write("utc.json", "{}");
  const auto run = [&](const char* config, std::vector<std::string> line) {
    line.insert(line.end(), {"--by", "day", "--ledger", ledger.path, "--config", ledger.scratch.path(config)});
    return run_cli(line, kNoonUs);
  };
  const auto row = [](const char* day, int requests) {
    return Catch::Contains(R"({"key":")" + std::string(day) + R"(","requests":)" + std::to_string(requests) + ",");
  };
  const CliResult berlin = run("berlin.json", {"stats", "--since", "all", "--json"});
  CHECK_THAT(berlin.out, row("2023-10-28", 1) && row("2023-10-29", 2) && row("2023-10-30", 1));
  CHECK_THAT(berlin.out, Catch::Contains(R"("time_zone":"Europe/Berlin")"));
  CHECK_THAT(run("berlin.json", {"stats", "--since", "all"}).out, Catch::StartsWith("day, Europe/Berlin"));
  CHECK_THAT(run("berlin.json", {"stats", "--since", "2023-10-29", "--json"}).out,
             row("2023-10-29", 2) && row("2023-10-30", 1) && !Catch::Contains("2023-10-28"));
  CHECK_THAT(run("berlin.json", {"stats", "--since", "2023-10-30", "--json"}).out, row("2023-10-30", 1) && !Catch::Contains("2023-10-29"));
  const CliResult utc = run("utc.json", {"stats", "--since", "all", "--json"});
  CHECK_THAT(utc.out, row("2023-10-28", 2) && row("2023-10-29", 2) && Catch::Contains(R"("time_zone":"UTC")"));
  CHECK_THAT(run("utc.json", {"stats", "--since", "2023-10-29", "--json"}).out, row("2023-10-29", 2) && !Catch::Contains("2023-10-28"));
  for (const char* zone : {"+14:00", "-12:00", "+18:00", "-18:00"}) {
    ledger.scratch.write("far.json", R"({"time_zone":")" + std::string(zone) + R"("})");
    const CliResult far = run("far.json", {"stats", "--since", "2023-10-28", "--json"});
    INFO(far.out << far.err);
    CHECK(far.code == 0);
    CHECK_THAT(far.out, Catch::Contains(R"("total":{"requests":4,)"));
  }
}

TEST_CASE("stats --json names its schema") {
  const TestLedger ledger;
  ledger.write("req_1", "m", 60, 1);
  const CliResult shown = run_cli({"stats", "--ledger", ledger.path, "--json"}, kNoonUs);
  CHECK_THAT(shown.out, Catch::Contains("\"schema\":\"ccrules.stats/1\""));
}

TEST_CASE("stats says in one sentence what it cannot do") {
  const CliResult since = run_cli({"stats", "--since", "yesterday"}, kNoonUs);
  CHECK(since.code == 2);
  CHECK(since.err ==
        "error: --since takes 30m, 24h, 7d, 2w, all or a day like 2026-11-01 (got 'yesterday')\n");
  for (const std::string day : {"2026-02-30", "2026-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "2026-01-00"}) {
    CHECK(run_cli({"stats", "--since", day}, kNoonUs).err == "error: --since " + day + ": there is no such day\n");
  }
  for (const std::string text : {"-0d", "-1d", "d", "2026-1-10", "100001d", "1y"}) {
    CHECK(run_cli({"stats", "--since", text}, kNoonUs).err ==
          "error: --since takes 30m, 24h, 7d, 2w, all or a day like 2026-11-01 (got '" + text + "')\n");
  }
  const CliResult by = run_cli({"stats", "--by", "modal"}, kNoonUs);
  CHECK(by.code == 2);
  CHECK_THAT(by.err, Catch::Contains("did you mean 'model'?"));
  const CliResult absent = run_cli({"stats", "--ledger", "/nowhere/ledger.db"}, kNoonUs);
  CHECK(absent.code == 2);
  CHECK(absent.err == "error: there is no ledger at /nowhere/ledger.db yet\n");
}
