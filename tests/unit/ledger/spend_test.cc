#include "ledger/spend.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <thread>

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "core/world.h"
#include "ledger/ledger.h"
#include "ledger/sqlite.h"

using namespace ccrules;
using namespace ccrules::ledger;

namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kHourUs = 3600 * kSecondUs;
constexpr std::int64_t kDayUs = 24 * kHourUs;
constexpr std::int64_t kNowUs = 1'795'087'800 * kSecondUs;  // Thursday 2026-11-19T11:30:00Z

Record row(std::string project, std::int64_t cost_nanousd, std::int64_t at_us) {
  static int count = 0;
  Record row;
  row.id = "req_" + std::to_string(++count);
  row.at_us = at_us;
  row.project = std::move(project);
  row.session = "s-1";
  row.requested_model = "m";
  row.cost_nanousd = cost_nanousd;
  return row;
}

std::string sums(const Spend& spend, std::string_view by, std::string_view key, std::int64_t wall_us) {
  std::string text;
  for (const Span span : {Span::kHour, Span::kDay, Span::kWeek, Span::kMonth}) {
    text += std::to_string(spend.nanousd(by, key, span, wall_us).value_or(-1)) + " ";
  }
  return text;
}

}  // namespace

TEST_CASE("periods begin where the calendar says, in UTC, a week on Monday") {
  CHECK(span_begin_us(Span::kHour, kNowUs) == 1'795'086'000 * kSecondUs);
  CHECK(span_begin_us(Span::kDay, kNowUs) == 1'795'046'400 * kSecondUs);
  CHECK(span_begin_us(Span::kWeek, kNowUs) == 1'794'787'200 * kSecondUs);   // 2026-11-16
  CHECK(span_begin_us(Span::kMonth, kNowUs) == 1'793'491'200 * kSecondUs);  // 2026-11-01
  // Every moment is in the period that begins last before it, through leap years and centuries.
  for (std::int64_t day = -40'000; day < 60'000; day += 13) {
    const std::int64_t at_us = day * kDayUs + 5 * kHourUs;
    for (const Span span : {Span::kHour, Span::kDay, Span::kWeek, Span::kMonth}) {
      const std::int64_t begin_us = span_begin_us(span, at_us);
      CHECK(begin_us <= at_us);
      CHECK(span_number(span, begin_us) == span_number(span, at_us));
      CHECK(span_number(span, begin_us - 1) == span_number(span, at_us) - 1);
    }
  }
}

TEST_CASE("what was spent counts in its hour, day, week and month, for everybody it belongs to") {
  Spend spend;
  spend.add(row("web", 5, kNowUs));
  spend.add(row("web", 70, kNowUs - kHourUs));
  spend.add(row("api", 900, kNowUs));
  CHECK(sums(spend, "project", "web", kNowUs) == "5 75 75 75 ");
  CHECK(sums(spend, "project", "none", kNowUs) == "0 0 0 0 ");
  CHECK(sums(spend, "session", "s-1", kNowUs) == "905 975 975 975 ");
  CHECK(sums(spend, "model", "m", kNowUs) == "905 975 975 975 ");
  CHECK(sums(spend, "", "", kNowUs) == "905 975 975 975 ");
  CHECK(sums(spend, "dialect", "anthropic", kNowUs) == "-1 -1 -1 -1 ");
  CHECK(sums(spend, "project", "web", kNowUs + kDayUs) == "0 0 75 75 ");
  CHECK(sums(spend, "project", "web", kNowUs + 12 * kDayUs) == "0 0 0 0 ");
}

TEST_CASE("a tag that pays for a request which bears it counts once") {
  Spend spend;
  Record paid = row("web", 5, kNowUs);
  paid.payer = "tag:team=core";
  paid.tags_json = R"({"team":"core","size":"s"})";
  spend.add(paid);
  CHECK(sums(spend, "tag", "team=core", kNowUs) == "5 5 5 5 ");
  CHECK(sums(spend, "tag", "size=s", kNowUs) == "5 5 5 5 ");
}

TEST_CASE("unknown and hostile costs add nothing, and a clock that goes back loses nothing") {
  Spend spend;
  spend.add(row("web", -5, kNowUs));
  Record unknown = row("web", 0, kNowUs);
  unknown.cost_nanousd.reset();
  spend.add(unknown);
  spend.add(row("web", 7, kNowUs));
  spend.add(row("web", 1, kNowUs - 40 * kDayUs));
  CHECK(sums(spend, "project", "web", kNowUs) == "7 7 7 7 ");
  CHECK(sums(spend, "project", "web", kNowUs - 40 * kDayUs) == "7 7 7 7 ");  // better too much than free for all
}

TEST_CASE("of too many sessions those are forgotten that spent least") {
  Spend spend;
  spend.add(row("rich", 1'000'000, kNowUs));
  for (std::size_t i = 0; i < limits::kSpendKeys + 10; ++i) spend.add(row("p" + std::to_string(i), 1, kNowUs));
  CHECK(sums(spend, "project", "rich", kNowUs) == "1000000 1000000 1000000 1000000 ");
  CHECK(spend.nanousd("", "", Span::kDay, kNowUs) == std::int64_t{1'000'000} + static_cast<std::int64_t>(limits::kSpendKeys) + 10);
}

namespace {

/// A directory with a ledger; it goes away with the test.
struct Home {
  Home() : folder("/tmp/ccrules-spend-XXXXXX") { settings.path = std::string(mkdtemp(folder.data())) + "/ledger.db"; settings.keep_days = 0; }
  ~Home() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  std::unique_ptr<Ledger> open(Spend* spend) {
    settings.spend = spend;
    auto ledger = Ledger::open(settings);
    INFO((ledger.ok() ? std::string() : ledger.error().message));
    REQUIRE(ledger.ok());
    return *std::move(ledger);
  }
  void run(const std::string& sql) const {
    auto connection = Connection::open(settings.path, Connection::Mode::kReadWrite, 1000);
    REQUIRE(connection.ok());
    const Result<void> done = connection->run(sql.c_str());
    INFO((done.ok() ? std::string() : done.error().message));
    REQUIRE(done.ok());
  }
  std::string folder;
  Settings settings;
};

/// Makes a ledger as the version before the sums left it.
void forget_sums(const Home& home) {
  home.run("DELETE FROM spend; UPDATE spend_state SET until_seq = (SELECT max(seq) FROM requests)");
}

void wait_until_known(const Spend& spend) {
  for (int i = 0; i < 10'000 && spend.known_since() != Spend::kAlways; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  REQUIRE(spend.known_since() == Spend::kAlways);
}

}  // namespace

TEST_CASE("after a restart the ledger knows what was spent, for everything it is grouped by") {
  Home home;
  {
    const auto ledger = home.open(nullptr);
    ledger->record(row("web", 5, kNowUs));
    ledger->record(row("web", 70, kNowUs - kHourUs));
    ledger->record(row("web", 300, kNowUs - 10 * kDayUs));   // last week
    ledger->record(row("web", 4000, kNowUs - 20 * kDayUs));  // last month
    Record tagged = row("", 6, kNowUs);
    tagged.key = "0f12";
    tagged.subagent = "a7";
    tagged.tags_json = R"({"team":"core","experiment":"gpt"})";
    ledger->record(tagged);
    ledger->flush();
    ledger->record(row("web", -3, kNowUs));
  }
  Spend spend;
  const auto ledger = home.open(&spend);
  CHECK(spend.known_since() == Spend::kAlways);  // at once, without reading a row
  CHECK(sums(spend, "project", "web", kNowUs) == "5 75 75 375 ");
  CHECK(sums(spend, "", "", kNowUs) == "11 81 81 381 ");
  CHECK(spend.nanousd("", "", Span::kTotal, kNowUs) == 4381);
  CHECK(sums(spend, "key", "0f12", kNowUs) == "6 6 6 6 ");
  CHECK(sums(spend, "subagent", "a7", kNowUs) == "6 6 6 6 ");
  CHECK(sums(spend, "tag", "team=core", kNowUs) == "6 6 6 6 ");
  CHECK(sums(spend, "tag", "experiment=gpt", kNowUs) == "6 6 6 6 ");
  spend.add(row("web", 1, kNowUs));
  CHECK(sums(spend, "project", "web", kNowUs) == "6 76 76 376 ");
}

TEST_CASE("sums over several starts are the sums of the rows, each of which counts once") {
  Home home;
  std::int64_t all = 0;
  for (int start = 0; start < 5; ++start) {
    Spend spend;
    const auto ledger = home.open(&spend);
    CHECK(spend.nanousd("", "", Span::kTotal, kNowUs) == all);
    CHECK(spend.nanousd("project", "p1", Span::kDay, kNowUs) == start * 300);
    for (int i = 0; i < 300; ++i) {
      const Record one = row("p" + std::to_string(i % 3), i % 3 == 1 ? 3 : 5, kNowUs);
      spend.add(one);
      ledger->record(one);
      all += *one.cost_nanousd;
    }
    CHECK(spend.nanousd("", "", Span::kTotal, kNowUs) == all);
  }
}

TEST_CASE("rows of a ledger that kept no sums are added from the newest to the oldest while new ones come") {
  Home home;
  constexpr int kRows = 25'000;  // three portions
  {
    const auto ledger = home.open(nullptr);
    for (int i = 0; i < kRows; ++i) ledger->record(row("web", 2, kNowUs - (kRows - i) * kSecondUs));
    ledger->flush();
    ledger->record(row("old", 1, kNowUs));
  }
  forget_sums(home);
  Spend spend;
  const auto ledger = home.open(&spend);
  CHECK(spend.known_since() > kNowUs);  // what was spent before is not known: hard budgets must say so
  const Cap today{"project", "web", Span::kDay, 1};
  CHECK_FALSE((spend.known_since() != Spend::kAlways && spend.knows({"", "", Span::kTotal, 1}, kNowUs)));
  const Record late = row("web", 100, kNowUs);
  spend.add(late);
  ledger->record(late);
  wait_until_known(spend);
  CHECK(spend.knows(today, kNowUs));
  CHECK(spend.nanousd("project", "web", Span::kTotal, kNowUs) == 2 * kRows + 100);
  CHECK(spend.nanousd("", "", Span::kTotal, kNowUs) == 2 * kRows + 101);
  ledger->flush();
  Spend again;
  {
    const auto second = home.open(&again);
    CHECK(again.known_since() == Spend::kAlways);
    CHECK(again.nanousd("", "", Span::kTotal, kNowUs) == 2 * kRows + 101);
    CHECK(again.nanousd("project", "web", Span::kHour, kNowUs) == spend.nanousd("project", "web", Span::kHour, kNowUs));
  }
}

TEST_CASE("a ledger that cannot be opened knows nothing of what was spent, until it can") {
  Home home;
  { home.open(nullptr)->record(row("web", 9, kNowUs)); }
  auto blocker = Connection::open(home.settings.path, Connection::Mode::kReadWrite, 1000);
  REQUIRE(blocker.ok());
  REQUIRE(blocker->run("PRAGMA user_version = 4; BEGIN EXCLUSIVE").ok());
  Spend spend;
  const auto ledger = home.open(&spend);
  CHECK(spend.known_since() == Spend::kNever);
  REQUIRE(blocker->run("PRAGMA user_version = 5; COMMIT").ok());
  wait_until_known(spend);
  CHECK(spend.nanousd("project", "web", Span::kTotal, kNowUs) == 9);
}

TEST_CASE("sums saturate instead of running over") {
  Spend spend;
  for (int i = 0; i < 3; ++i) spend.add(row("web", std::numeric_limits<std::int64_t>::max() / 2, kNowUs));
  CHECK(spend.nanousd("project", "web", Span::kDay, kNowUs) == std::numeric_limits<std::int64_t>::max());
}

TEST_CASE("sessions that have spent nothing for keep_days are forgotten, projects are not") {
  Home home;
  const std::int64_t old_us = system_clock().wall_us() - 100 * kDayUs;
  {
    const auto ledger = home.open(nullptr);
    ledger->record(row("web", 9, old_us));
  }
  home.settings.keep_days = 90;
  { home.open(nullptr)->flush(); }
  Spend spend;
  const auto ledger = home.open(&spend);
  CHECK(spend.nanousd("project", "web", Span::kTotal, old_us) == 9);
  CHECK(spend.nanousd("session", "s-1", Span::kTotal, old_us) == 0);
}
