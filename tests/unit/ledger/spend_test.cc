#include "ledger/spend.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <thread>
#include <utility>

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "core/world.h"
#include "ledger/ledger.h"
#include "ledger/spend_lookup.h"
#include "ledger/sqlite.h"
#include "support/time_zone_file.h"

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
  row.duration_us = std::max<std::int64_t>(0, kNowUs - at_us);  // it ends now
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
  CHECK(Calendar().begin_us(Span::kHour, kNowUs) == 1'795'086'000 * kSecondUs);
  CHECK(Calendar().begin_us(Span::kDay, kNowUs) == 1'795'046'400 * kSecondUs);
  CHECK(Calendar().begin_us(Span::kWeek, kNowUs) == 1'794'787'200 * kSecondUs);   // 2026-11-16
  CHECK(Calendar().begin_us(Span::kMonth, kNowUs) == 1'793'491'200 * kSecondUs);  // 2026-11-01
  // Every moment is in the period that begins last before it, through leap years and centuries.
  for (std::int64_t day = -40'000; day < 60'000; day += 13) {
    const std::int64_t at_us = day * kDayUs + 5 * kHourUs;
    for (const Span span : {Span::kHour, Span::kDay, Span::kWeek, Span::kMonth}) {
      const std::int64_t begin_us = Calendar().begin_us(span, at_us);
      CHECK(begin_us <= at_us);
      CHECK(Calendar().number(span, begin_us) == Calendar().number(span, at_us));
      CHECK(Calendar().number(span, begin_us - 1) == Calendar().number(span, at_us) - 1);
    }
  }
}

TEST_CASE("a week goes on over the end of a year, and a month has a 29th of February where there is one") {
  constexpr std::int64_t kYearsEnd = 1'798'761'599 * kSecondUs;  // Thursday 2026-12-31T23:59:59
  CHECK(Calendar().begin_us(Span::kWeek, kYearsEnd) == 1'798'416'000 * kSecondUs);    // 2026-12-28
  CHECK(Calendar().end_us(Span::kWeek, kYearsEnd) == 1'799'020'800 * kSecondUs);      // 2027-01-04
  CHECK(Calendar().number(Span::kWeek, kYearsEnd) == Calendar().number(Span::kWeek, kYearsEnd + kSecondUs));
  CHECK(Calendar().end_us(Span::kMonth, kYearsEnd) == kYearsEnd + kSecondUs);
  CHECK(Calendar().end_us(Span::kDay, kYearsEnd) == kYearsEnd + kSecondUs);
  CHECK(Calendar().number(Span::kMonth, kYearsEnd) + 1 == Calendar().number(Span::kMonth, kYearsEnd + kSecondUs));
  constexpr std::int64_t kLeapDay = 1'835'438'400 * kSecondUs;  // Tuesday 2028-02-29T12:00
  CHECK(Calendar().begin_us(Span::kMonth, kLeapDay) == 1'832'976'000 * kSecondUs);
  CHECK(Calendar().end_us(Span::kMonth, kLeapDay) == 1'835'481'600 * kSecondUs);
  CHECK(Calendar().begin_us(Span::kWeek, kLeapDay) == 1'835'308'800 * kSecondUs);  // 2028-02-28
  constexpr std::int64_t kNoLeapYear = 4'107'538'800 * kSecondUs;  // 2100-02-28T23:00
  CHECK(Calendar().end_us(Span::kMonth, kNoLeapYear) == kNoLeapYear + kHourUs);
}

namespace {

Calendar zone_of(const std::string& rule) {
  auto zone = TimeZone::parse(test::time_zone_file(rule));
  REQUIRE(zone.ok());
  return {*std::move(zone), rule};
}

}  // namespace

TEST_CASE("in a time zone, days are as long as its clocks make them") {
  const Calendar berlin = zone_of("CET-1CEST,M3.5.0,M10.5.0/3");
  constexpr std::int64_t kSpring = 1'774'738'800 * kSecondUs;  // 2026-03-29T00:00 in Berlin, 23:00 UTC the day before
  CHECK(berlin.begin_us(Span::kDay, kSpring) == kSpring);
  CHECK(berlin.end_us(Span::kDay, kSpring) == kSpring + 23 * kHourUs);
  constexpr std::int64_t kAutumn = 1'792'879'200 * kSecondUs;  // 2026-10-25T00:00 in Berlin
  CHECK(berlin.end_us(Span::kDay, kAutumn + 5 * kHourUs) == kAutumn + 25 * kHourUs);
  CHECK(berlin.begin_us(Span::kDay, kAutumn + 24 * kHourUs) == kAutumn);
  CHECK(berlin.begin_us(Span::kMonth, kNowUs) == Calendar().begin_us(Span::kMonth, kNowUs) - kHourUs);
  CHECK(berlin.begin_us(Span::kWeek, kNowUs) == Calendar().begin_us(Span::kWeek, kNowUs) - kHourUs);
  CHECK(berlin.begin_us(Span::kHour, kNowUs) == Calendar().begin_us(Span::kHour, kNowUs));
}

TEST_CASE("every moment is in one period of each kind, also where clocks change at midnight") {
  for (const char* rule : {"CET-1CEST,M3.5.0,M10.5.0/3", "<-04>4<-03>,M9.1.6/24,M4.1.6/24", "EET-2EEST,M3.5.0/0,M10.5.0/0",
                           "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45", "<-12>12", "<+14>-14", "NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01"}) {
    const Calendar calendar = zone_of(rule);
    for (std::int64_t at_us = 1'767'225'600 * kSecondUs; at_us < 1'798'761'600 * kSecondUs; at_us += 37 * 60 * kSecondUs * 7) {
      for (const Span span : {Span::kDay, Span::kWeek, Span::kMonth}) {
        INFO(rule << " " << at_us << " " << static_cast<int>(span));
        const std::int64_t begin_us = calendar.begin_us(span, at_us);
        const std::int64_t end_us = calendar.end_us(span, at_us);
        const std::int64_t number = calendar.number(span, at_us);
        REQUIRE(begin_us <= at_us);
        REQUIRE(at_us < end_us);
        REQUIRE(calendar.number(span, begin_us) == number);
        REQUIRE(calendar.number(span, begin_us - 1) == number - 1);
        REQUIRE(calendar.number(span, end_us) == number + 1);
      }
    }
  }
}

TEST_CASE("a clock that goes ahead and comes back forgets nothing that was spent") {
  Spend spend;
  const auto spent = [&](std::int64_t wall_us) {
    Record one = row("web", 10, wall_us);
    one.duration_us = kSecondUs;
    spend.add(one);
    return *spend.nanousd("project", "web", Span::kDay, wall_us);
  };
  CHECK(spent(kNowUs) == 10);
  CHECK(spent(kNowUs + kDayUs) == 10);  // the clock is wrong by a day
  CHECK(spent(kNowUs + 60 * kSecondUs) == 30);
  CHECK(spent(kNowUs + 120 * kSecondUs) == 40);
  CHECK(*spend.nanousd("project", "web", Span::kMonth, kNowUs) == 40);
  CHECK(spent(kNowUs + kDayUs) >= 10);  // the day that the clock had shown
  CHECK(spent(kNowUs + 2 * kDayUs) == 10);
  CHECK(spent(kNowUs - 40 * kDayUs) == 20);  // a month and more back: it counts
  CHECK(spent(kNowUs - 40 * kDayUs) == 30);
  CHECK(*spend.nanousd("", "", Span::kTotal, kNowUs) == 80);
}

TEST_CASE("a request that came yesterday and ends today is none of today's") {
  Spend spend;
  const std::int64_t midnight_us = Calendar().begin_us(Span::kDay, kNowUs);
  Record today = row("web", 10, midnight_us + kSecondUs);
  today.duration_us = kSecondUs;
  spend.add(today);
  Record late = row("web", 500, midnight_us - kHourUs);
  late.duration_us = kHourUs + 60 * kSecondUs;
  spend.add(late);
  CHECK(spend.nanousd("project", "web", Span::kDay, kNowUs) == 10);
  Record told_late = row("web", 3, midnight_us - 2 * kSecondUs);  // by another worker
  told_late.duration_us = kSecondUs;
  spend.add(told_late);
  CHECK(spend.nanousd("project", "web", Span::kDay, kNowUs) == 13);  // rather too much than too little
}

TEST_CASE("requests that came before midnight and are sent after it cannot spend more than is left of their day") {
  Spend spend;
  const std::int64_t midnight_us = Calendar().begin_us(Span::kDay, kNowUs);
  const std::vector<Cap> caps = {{"project", "web", Span::kDay, 100}};
  const auto add = [&](std::int64_t cost, std::int64_t at_us, std::int64_t ended_us) {
    Record one = row("web", cost, at_us);
    one.duration_us = ended_us - at_us;
    spend.add(one);
  };
  add(70, midnight_us - kHourUs, midnight_us - kHourUs);
  add(5, midnight_us + kSecondUs, midnight_us + 2 * kSecondUs);  // today has begun
  // Bodies that come slowly, and those that wait for their turn: each fits into today, where none of them counts.
  int sent = 0;
  for (int i = 0; i < 20; ++i) {
    const std::int64_t at_us = midnight_us - kSecondUs;
    if (spend.reserve(caps, 10, at_us)) continue;
    ++sent;
    add(10, at_us, midnight_us + 60 * kSecondUs);
    spend.release(caps, 10);
  }
  CHECK(sent == 3);  // 70 and 30 of 100
  CHECK(spend.nanousd("project", "web", Span::kDay, kNowUs) == 5);
  CHECK_FALSE(spend.reserve(caps, 95, kNowUs).has_value());
  // Of a day in which nothing had been spent, after which today began.
  Spend other;
  Record first = row("web", 1, midnight_us - 3 * kDayUs);
  first.duration_us = 0;
  other.add(first);
  first.at_us = midnight_us + kSecondUs;
  other.add(first);
  Record late = row("web", 40, midnight_us - kSecondUs);
  late.duration_us = 60 * kSecondUs;
  other.add(late);
  CHECK(other.nanousd("project", "web", Span::kDay, midnight_us - kSecondUs) == 40);
  CHECK(other.nanousd("project", "web", Span::kDay, kNowUs) == 1);
  // Two days ago is nobody's any more: not yesterday's either.
  late.at_us = midnight_us - kDayUs - kSecondUs;
  late.cost_nanousd = 900;
  late.duration_us = kDayUs + 120 * kSecondUs;
  other.add(late);
  CHECK(other.nanousd("project", "web", Span::kDay, midnight_us - kSecondUs) == 40);
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

TEST_CASE("a cost that is not known counts as what budgets take it for, and a known one as it is") {
  Spend spend;
  Record unknown = row("web", 0, kNowUs);
  unknown.cost_nanousd.reset();
  unknown.budget_nanousd = 70;
  spend.add(unknown);
  Record known = row("web", 5, kNowUs);
  known.budget_nanousd = 900;
  spend.add(known);
  CHECK(sums(spend, "project", "web", kNowUs) == "75 75 75 75 ");
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

TEST_CASE("what is counted for unknown costs is the same after a restart, from the sums and from the rows") {
  Home home;
  Spend before;
  {
    const auto ledger = home.open(&before);
    for (int i = 0; i < 10; ++i) {
      Record one = row("web", 3, kNowUs - (9 - i) * kHourUs);
      one.duration_us = kSecondUs;
      if (i % 2 == 0) one.budget_nanousd = std::exchange(one.cost_nanousd, std::nullopt).value_or(0) + i;
      before.add(one);
      ledger->record(one);
    }
  }
  CHECK(before.nanousd("", "", Span::kTotal, kNowUs) == 10 * 3 + 2 + 4 + 6 + 8);
  const auto all_as_before = [&](const Spend& spend) {
    for (const Span span : {Span::kHour, Span::kDay, Span::kWeek, Span::kMonth, Span::kTotal}) {
      CHECK(spend.nanousd("project", "web", span, kNowUs) == before.nanousd("project", "web", span, kNowUs));
    }
  };
  {
    Spend spend;
    const auto ledger = home.open(&spend);
    all_as_before(spend);
  }
  forget_sums(home);
  {
    Spend spend;
    const auto ledger = home.open(&spend);
    wait_until_known(spend);
    all_as_before(spend);
  }
  home.settings.calendar = zone_of("CET-1CEST,M3.5.0,M10.5.0/3");
  Spend elsewhere;
  elsewhere.use(home.settings.calendar);
  const auto ledger = home.open(&elsewhere);
  CHECK(elsewhere.nanousd("project", "web", Span::kWeek, kNowUs) == before.nanousd("project", "web", Span::kWeek, kNowUs));
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
  const std::string newest = std::to_string(*blocker->number("PRAGMA user_version"));
  REQUIRE(blocker->run("PRAGMA user_version = 4; BEGIN EXCLUSIVE").ok());
  Spend spend;
  const auto ledger = home.open(&spend);
  CHECK(spend.known_since() == Spend::kNever);
  REQUIRE(blocker->run(("PRAGMA user_version = " + newest + "; COMMIT").c_str()).ok());
  wait_until_known(spend);
  CHECK(spend.nanousd("project", "web", Span::kTotal, kNowUs) == 9);
}

TEST_CASE("money is set aside at once only where every cap has ample room, and comes back whole") {
  Spend spend;
  std::vector<Cap> caps(3);
  caps[0].nanousd = 1000;
  caps[1].by = "session";
  caps[1].key = "s-1";
  caps[1].nanousd = 500;
  caps[2] = caps[1];
  caps[2].span = Span::kHour;
  caps[2].nanousd = 450;
  CHECK_FALSE(spend.reserve_amply(caps, 100, 451, kNowUs));
  for (const Cap& cap : caps) CHECK(spend.left_nanousd(cap, kNowUs) == cap.nanousd);
  CHECK(spend.reserve_amply(caps, 100, 450, kNowUs));
  CHECK_FALSE(spend.reserve(caps, 50, kNowUs).has_value());
  for (const Cap& cap : caps) CHECK(spend.left_nanousd(cap, kNowUs) == cap.nanousd - 150);
  CHECK_FALSE(spend.reserve_amply(caps, 100, 301, kNowUs));
  Cap other = caps[1];
  other.key = "s-2";
  CHECK(spend.left_nanousd(other, kNowUs) == 500);
  const auto full = spend.reserve(caps, 301, kNowUs);
  REQUIRE(full.has_value());
  CHECK(full->span == Span::kHour);
  spend.release(caps, 100);
  CHECK(spend.left_nanousd(caps[2], kNowUs) == 400);
  spend.release(caps, 50);
  for (const Cap& cap : caps) CHECK(spend.left_nanousd(cap, kNowUs) == cap.nanousd);
}

TEST_CASE("what costs nothing passes a cap that is overspent, and what costs anything does not") {
  Spend spend;
  spend.add(row("p", 500, kNowUs));
  for (const std::int64_t most : {0, 499, 500}) {
    const std::vector<Cap> caps = {{"", "", Span::kDay, most}};
    CHECK_FALSE(spend.reserve(caps, 0, kNowUs));
    CHECK(spend.reserve(caps, 1, kNowUs));
    CHECK(spend.reserve_amply(caps, 0, 0, kNowUs));
    CHECK_FALSE(spend.reserve_amply(caps, 1, 4, kNowUs));
    spend.release(caps, 0);
  }
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

TEST_CASE("with another time zone the sums of the running periods are made anew from their rows") {
  Home home;
  const std::int64_t midnight_us = Calendar().begin_us(Span::kDay, kNowUs);
  {
    Spend spend;
    const auto ledger = home.open(&spend);
    for (const auto& [cost, at_us] : {std::pair(1000, midnight_us - 20 * kDayUs), {100, midnight_us - 30 * 60 * kSecondUs},
                                      {10, midnight_us + kHourUs}, {1, kNowUs}}) {
      Record one = row("web", cost, at_us);
      one.duration_us = kSecondUs;
      spend.add(one);
      ledger->record(one);
    }
    CHECK(sums(spend, "project", "web", kNowUs) == "1 11 111 111 ");
  }
  home.settings.calendar = zone_of("CET-1CEST,M3.5.0,M10.5.0/3");
  for (int start = 0; start < 2; ++start) {
    Spend spend;
    spend.use(home.settings.calendar);
    const auto ledger = home.open(&spend);
    CHECK(sums(spend, "project", "web", kNowUs) == "1 111 111 111 ");  // half an hour before midnight in UTC is after it there
    CHECK(spend.nanousd("project", "web", Span::kTotal, kNowUs) == 1111);
  }
  home.settings.calendar = zone_of("<-10>10");
  Spend spend;
  spend.use(home.settings.calendar);
  const auto ledger = home.open(&spend);
  CHECK(sums(spend, "project", "web", kNowUs) == "1 1 111 111 ");  // its day began at ten
}

TEST_CASE("what a forgotten key has spent is what the table says and what came since, also when the table has not got all of it yet") {
  Home home;
  Spend spend;
  const auto ledger = home.open(&spend);
  ledger->record(row("web", 9, kNowUs));
  ledger->flush();
  spend.forgets("project");
  const Cap cap{"project", "web", Span::kDay, 100};
  const auto stored = [&] {
    ledger->flush();
    const Result<Sum> found = spent_before(ledger->path(), {cap.by, cap.key});
    REQUIRE(found.ok());
    return *found;
  };
  const auto spent = [&] { return spend.nanousd("project", "web", Span::kDay, kNowUs); };
  // One that was under way when the key was forgotten: its row waits to be written.
  spend.add(row("web", 1, kNowUs));
  ledger->record(row("web", 1, kNowUs));
  CHECK_FALSE(spend.remembers(cap));
  Sum before = spend.remembered("project", "web");
  CHECK(spend.recall("project", "web", stored(), before));
  CHECK(spent() == 10);
  CHECK(spend.remembers(cap));

  before = spend.remembered("project", "web");
  const Sum early = stored();
  spend.add(row("web", 2, kNowUs));  // meanwhile; in the table or not, nobody knows
  ledger->record(row("web", 2, kNowUs));
  CHECK_FALSE(spend.recall("project", "web", early, before));
  CHECK(spent() == 12);
  before = spend.remembered("project", "web");
  CHECK(spend.recall("project", "web", stored(), before));
  CHECK(spent() == 12);
  CHECK(spend.recall("project", "other", Sum(), Sum()));
  CHECK(spend.nanousd("project", "other", Span::kDay, kNowUs) == 0);
}

TEST_CASE("a hundred thousand sessions take bounded memory, and their sum is right") {
  Home home;
  Spend spend;
  {
    const auto ledger = home.open(&spend);
    for (int i = 0; i < 100'000; ++i) {
      Record one = row("web", 3, kNowUs);
      one.session = "s-" + std::to_string(i);
      spend.add(one);
      ledger->record(one);
      if (i % 20'000 == 0) ledger->flush();
    }
  }
  CHECK(spend.nanousd("project", "web", Span::kDay, kNowUs) == 300'000);
  CHECK(spend.nanousd("session", "s-99999", Span::kDay, kNowUs) == 3);
  std::size_t kept = 0;
  for (int i = 0; i < 100'000; ++i) kept += spend.nanousd("session", "s-" + std::to_string(i), Span::kDay, kNowUs) == 3 ? 1U : 0U;
  CHECK(kept <= limits::kSpendKeys);
  Spend again;
  const auto ledger = home.open(&again);
  CHECK(again.nanousd("", "", Span::kTotal, kNowUs) == 300'000);
}
