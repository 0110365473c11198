#include "proxy/reload.h"

#include <cstdlib>
#include <filesystem>

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "ledger/ledger.h"
#include "proxy/file_watch.h"
#include "rules/shadow.h"
#include "support/files.h"

using namespace ccrules;
using namespace ccrules::proxy;
using Catch::Matchers::Contains;

namespace {

using Outcome = ReloadReport::Outcome;

constexpr const char* kConfig = R"({
  "rules": ["rules"],
  "ledger": { "path": "ledger.db" },
  "reload": { "max_change_percent": 20 }
})";

/// A folder that is gone afterwards.
class Scratch {
 public:
  Scratch() {
    char name[] = "/tmp/ccrules-reload-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const { test::write_file(path(name), text); }

 private:
  std::string folder_;
};

/// A folder with a configuration, rules in force and a past.
struct Place {
  Scratch scratch;
  Candidate live;

  explicit Place(const std::string& rules = R"(rule "all" { to = "sim,a" })") {
    scratch.write("ccrules.json", kConfig);
    scratch.write("rules/my.lua", rules);
    REQUIRE(reload().outcome == Outcome::kLive);
  }

  /// `count` requests of 0, 1000, 2000 ... tokens.
  void had(int count) const {
    ledger::Settings settings;
    settings.path = scratch.path("ledger.db");
    settings.keep_days = 0;
    auto ledger = ledger::Ledger::open(settings);
    REQUIRE(ledger.ok());
    for (int i = 0; i < count; ++i) {
      ledger::Record row;
      row.id = "req_" + std::to_string(i);
      row.at_us = 1;
      row.dialect = "anthropic";
      row.path = "/v1/messages";
      row.requested_model = "claude-sonnet-5-5";
      row.facts_json = R"({"tokens":)" + std::to_string(1000 * i) + "}";
      (*ledger)->record(row);
    }
    (*ledger)->flush();
  }

  ReloadReport reload(const std::string& accept = {}) {
    ReloadOrder order;
    order.config.working_directory = scratch.path("");
    if (live.config != nullptr) {
      order.file = live.config->file;
      order.dotenv = live.config->dotenv;
    }
    order.files = &system_files();
    order.workers = 2;
    order.now_us = 7;
    order.live = live.witness.get();
    order.accept = accept;
    Candidate next;
    ReloadReport report = prepare(order, next);
    CHECK((next.config != nullptr) == (report.outcome == Outcome::kLive));
    if (report.outcome == Outcome::kLive) live = std::move(next);
    return report;
  }
};

std::string text(const ReloadReport& report) {
  std::string text;
  for (const std::string& line : report.why) text += line + "\n";
  return text;
}

std::string shown(const Board& board) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object();
  board.write(writer);
  writer.end_object();
  return text;
}

}  // namespace

TEST_CASE("rules that load, pass their tests and change little go live, one engine for each worker") {
  Place place;
  CHECK(place.live.policies.size() == 2);
  place.had(100);
  place.scratch.write("rules/my.lua", R"(
rule "long" { when = { tokens = { gt = 89000 } }, to = "sim,b" }
rule "all"  { to = "sim,a" })");
  place.scratch.write("rules/my_test.lua", R"(case "short" { given = { tokens = 5 }, expect = { to = "sim,a" } })");
  const ReloadReport report = place.reload();
  INFO(text(report));
  CHECK(report.outcome == Outcome::kLive);
  CHECK(report.tests == 1);
  CHECK(report.judged == 100);
  CHECK(report.changed == 10);
  CHECK(report.ruleset == place.live.policies.front()->rules->hash());
  CHECK_THAT(to_json(report), Contains(R"("outcome":"live")"));
}

TEST_CASE("rules that do not load are refused with every reason at its place") {
  Place place;
  const std::string before(place.live.witness->hash());
  place.scratch.write("rules/my.lua", "rule \"all\" { too = \"sim,a\" }");
  ReloadReport report = place.reload();
  CHECK(report.outcome == Outcome::kRefused);
  CHECK_THAT(text(report), Contains("my.lua:1:14") && Contains("did you mean 'to'?"));
  place.scratch.write("ccrules.json", R"({"ruls": []})");
  report = place.reload();
  CHECK(report.outcome == Outcome::kRefused);
  CHECK_THAT(text(report), Contains("unknown setting 'ruls'"));
  CHECK(place.live.witness->hash() == before);
}

TEST_CASE("a .env that was read and is gone is not taken for none: the key may stand in it") {
  Place place;
  place.scratch.write(".env", "CCRULES_API_KEY=secret\n");
  REQUIRE(place.reload().outcome == Outcome::kLive);
  std::filesystem::remove(place.scratch.path(".env"));
  const ReloadReport report = place.reload();
  CHECK(report.outcome == Outcome::kRefused);
  CHECK_THAT(text(report), Contains(".env is no longer there"));
  place.scratch.write(".env", "CCRULES_API_KEY=other\n");
  CHECK(place.reload().outcome == Outcome::kLive);
  CHECK(place.live.config->listen.api_key == "other");
}

TEST_CASE("a configuration that was found and is gone is not replaced by none, and counts again when it is back") {
  Place place;
  std::filesystem::rename(place.scratch.path("ccrules.json"), place.scratch.path("ccrules.json~"));
  const ReloadReport report = place.reload();
  CHECK(report.outcome == Outcome::kRefused);
  CHECK_THAT(text(report), Contains("ccrules.json is no longer there"));
  std::filesystem::rename(place.scratch.path("ccrules.json~"), place.scratch.path("ccrules.json"));
  CHECK(place.reload().outcome == Outcome::kLive);
}

TEST_CASE("rules whose own tests fail are held, until a person accepts exactly these") {
  Place place;
  place.scratch.write("rules/my_test.lua", R"(case "stays" { given = { tokens = 5 }, expect = { to = "sim,a" } })");
  place.scratch.write("rules/my.lua", R"(rule "all" { to = "sim,b" })");
  const ReloadReport held = place.reload();
  CHECK(held.outcome == Outcome::kHeld);
  CHECK(held.failed_tests == 1);
  CHECK_THAT(text(held), Contains("1 of 1 tests") && Contains("my_test.lua:1") && Contains("sim,b") &&
                             Contains("ccrules reload --accept " + held.ruleset));
  CHECK(place.reload("another-hash").outcome == Outcome::kHeld);
  CHECK(place.reload(held.ruleset).outcome == Outcome::kLive);
  place.scratch.write("rules/my_test.lua", "case {");
  CHECK(place.reload().outcome == Outcome::kHeld);
}

TEST_CASE("rules that change more of the recent decisions than allowed are held, with what would go where") {
  Place place;
  const std::string much = R"(
rule "half" { when = { tokens = { gt = 50000 } }, to = "sim,b" }
rule "all"  { to = "sim,a" })";
  SECTION("with a past") {
    place.had(100);
    place.scratch.write("rules/my.lua", much);
    const ReloadReport held = place.reload();
    CHECK(held.outcome == Outcome::kHeld);
    CHECK(held.changed == 49);
    CHECK_THAT(text(held), Contains("49 of the last 100 decisions would change") &&
                               Contains("49 times sim,a -> sim,b by rule 'half', for example req_99"));
    CHECK(place.reload(held.ruleset).outcome == Outcome::kLive);
    CHECK(place.reload().changed == 0);
  }
  SECTION("a past of a few requests says nothing") {
    place.had(19);
    place.scratch.write("rules/my.lua", R"(rule "all" { to = "sim,b" })");
    CHECK(place.reload().outcome == Outcome::kLive);
  }
  SECTION("without a ledger there is no past") {
    place.scratch.write("rules/my.lua", much);
    CHECK(place.reload().outcome == Outcome::kLive);
  }
  SECTION("only the newest decisions count") {
    place.had(100);
    place.scratch.write("ccrules.json", R"({"rules": ["rules"], "ledger": {"path": "ledger.db"}, "reload": {"decisions": 30}})");
    place.scratch.write("rules/my.lua", much);
    const ReloadReport held = place.reload();
    CHECK(held.judged == 30);
    CHECK(held.changed == 30);
  }
  SECTION("0 decisions: no gate") {
    place.had(100);
    place.scratch.write("ccrules.json", R"({"rules": ["rules"], "ledger": {"path": "ledger.db"}, "reload": {"decisions": 0}})");
    place.scratch.write("rules/my.lua", much);
    CHECK(place.reload().outcome == Outcome::kLive);
  }
}

TEST_CASE("candidate rules that do not load are left out and said, and keep nothing from going live") {
  Place place;
  place.scratch.write("ccrules.json", R"({"rules": ["rules"], "shadow": ["next.lua"]})");
  place.scratch.write("next.lua", "rule \"x\" { nonsense = 1 }");
  const ReloadReport report = place.reload();
  CHECK(report.outcome == Outcome::kLive);
  CHECK_THAT(text(report), Contains("`shadow`") && Contains("next.lua:1"));
  CHECK(place.live.policies.front()->shadow == nullptr);
  place.scratch.write("next.lua", "rule \"x\" { to = \"sim,x\" }");
  CHECK(place.reload().why.empty());
  CHECK(place.live.policies.back()->shadow != nullptr);
}

TEST_CASE("a change of the watched files is told once, and only when they have come to rest") {
  Place place;
  FileWatch watch(*place.live.config, system_files());
  CHECK_FALSE(watch.changed());
  place.scratch.write("rules/my.lua", "rule \"a\" { to = \"sim,b\" }");
  CHECK_FALSE(watch.changed());
  place.scratch.write("rules/my.lua", "rule \"a\" { to = \"sim,c\" }");
  CHECK_FALSE(watch.changed());
  CHECK(watch.changed());
  CHECK_FALSE(watch.changed());
  place.scratch.write("rules/my_test.lua", "-- a new test file");
  CHECK_FALSE(watch.changed());
  CHECK(watch.changed());
  place.scratch.write("rules/notes.txt", "no rule");
  CHECK_FALSE(watch.changed());
  CHECK_FALSE(watch.changed());
}

TEST_CASE("what is too large or too much to be watched is told, with a file, the limit and what to do") {
  const Place place;
  CHECK(FileWatch(*place.live.config, system_files()).blind_spots().empty());
  place.scratch.write("rules/big_test.jsonl", std::string(limits::kRuleFileBytes + 1, '\n'));
  const std::vector<std::string> large = FileWatch(*place.live.config, system_files()).blind_spots();
  REQUIRE(large.size() == 1);
  CHECK_THAT(large[0], Contains("rules/big_test.jsonl are not noticed") && Contains("1048576 bytes") && Contains("ccrules reload"));
  for (std::size_t i = 0; i < limits::kWatchFiles; ++i) place.scratch.write("rules/t" + std::to_string(i) + "_test.lua", "");
  const std::vector<std::string> both = FileWatch(*place.live.config, system_files()).blind_spots();
  REQUIRE(both.size() == 2);
  CHECK_THAT(both[1], Contains("_test.lua and of what comes behind it are not noticed") && Contains("at most 1000 files") && Contains("ccrules reload"));
}

TEST_CASE("what packs are installed and which projects are trusted is watched too") {
  Place place;
  FileWatch watch(*place.live.config, system_files());
  const auto told = [&watch] { return !watch.changed() && watch.changed(); };
  const std::string project = place.scratch.path("web/.ccrules");
  place.scratch.write("web/.ccrules/rules.json", "{ }");
  CHECK_FALSE(told());
  place.scratch.write("rules.lock", R"({ "schema": "ccrules.lock/1", "packs": [], "projects": [ { "path": ")" + project +
                                        R"(", "project": "/srv/web", "identity": "sha256:)" + std::string(64, '0') + R"(" } ] })");
  CHECK(told());
  watch = FileWatch(*place.live.config, system_files());
  place.scratch.write("web/.ccrules/rules.json", R"({ "rules": [] })");
  CHECK(told());
}

TEST_CASE("the board sums up what the workers' rules suffer, and forgets rules that are no longer in force") {
  Board board;
  const auto rule_set = std::make_shared<rules::RuleSetRef>();
  rule_set->hash = "h1";
  Board::InForce live;
  live.rule_set = rule_set;
  live.since_us = 9;
  board.in_force(live);
  rules::EngineStatus status;
  status.rule_set = rule_set;
  rules::RuleStatus row;
  row.rule = "loops";
  row.where = "my.lua:2";
  row.failures = 2;
  row.stops = 1;
  row.last_error = "used more than its CPU time";
  status.troubled = {row};
  const int one = 0;
  const int two = 0;
  board.troubled(&one, status);
  status.troubled.front().quarantined = true;
  board.troubled(&two, status);
  ReloadReport report;
  report.why = {"it's wrong"};
  board.tried(report);
  CHECK_THAT(shown(board), Contains(R"("since_us":9)") && Contains(R"("quarantined":true)") && Contains(R"("failures":4,"stops":2)") &&
                               Contains(R"("last_reload":{"schema":"ccrules.reload/1","outcome":"refused")"));
  auto next = std::make_shared<rules::RuleSetRef>();
  next->hash = "h2";
  live.rule_set = next;
  board.in_force(live);
  CHECK_THAT(shown(board), Contains(R"("troubled":[])"));
}
