#include "ledger/spend.h"

#include <cstdlib>
#include <filesystem>

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "ledger/ledger.h"

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

TEST_CASE("after a restart the ledger knows what was spent") {
  char folder[] = "/tmp/ccrules-spend-XXXXXX";
  Settings settings;
  settings.path = std::string(mkdtemp(folder)) + "/ledger.db";
  settings.keep_days = 0;
  {
    auto ledger = Ledger::open(settings);
    REQUIRE(ledger.ok());
    (*ledger)->record(row("web", 5, kNowUs));
    (*ledger)->record(row("web", 70, kNowUs - kHourUs));
    (*ledger)->record(row("web", 300, kNowUs - 10 * kDayUs));  // last week
    (*ledger)->record(row("web", 4000, kNowUs - 20 * kDayUs));  // last month
    (*ledger)->record(row("", 6, kNowUs));
    (*ledger)->flush();
  }
  Spend spend;
  spend.add(row("web", 999, kNowUs));
  const Result<void> restored = spend.restore(settings.path, kNowUs);
  INFO((restored.ok() ? std::string() : restored.error().message));
  REQUIRE(restored.ok());
  CHECK(sums(spend, "project", "web", kNowUs) == "5 75 75 375 ");
  CHECK(sums(spend, "", "", kNowUs) == "11 81 81 381 ");
  spend.add(row("web", 1, kNowUs));
  CHECK(sums(spend, "project", "web", kNowUs) == "6 76 76 376 ");
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
}
