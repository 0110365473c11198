#include "ledger/analytics.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "ledger/ledger.h"
#include "ledger/queries.h"
#include "ledger/sqlite.h"

using namespace ccrules;
using namespace ccrules::ledger;
using Catch::Matchers::Contains;

namespace {

constexpr std::int64_t kHourUs = 3'600'000'000;
constexpr std::int64_t kNowUs = 1'795'087'800'000'000;  // 2026-11-19T11:30:00Z

/// Four requests: two today, one yesterday, one of another project whose price is not known.
struct Week {
  Week() : folder("/tmp/ccrules-analytics-XXXXXX") {
    Settings settings;
    settings.path = path = std::string(mkdtemp(folder.data())) + "/ledger.db";
    settings.keep_days = 0;
    auto ledger = Ledger::open(settings);
    REQUIRE(ledger.ok());
    const auto add = [&](const char* id, const char* project, std::int64_t at_us, std::optional<std::int64_t> cost) {
      Record row;
      row.id = id;
      row.project = project;
      row.at_us = at_us;
      row.provider = "local";
      row.model = "m-1";
      row.requested_model = "claude-opus";
      row.agent = "=cmd|' /C calc'!A0";
      row.reason = std::string_view(id) == "req_2" ? "agent override" : "";
      row.usage.input_tokens = 100;
      row.usage.output_tokens = 10;
      row.usage.cache_read_tokens = 40;
      row.cost_nanousd = cost;
      row.requested_cost_nanousd = 5'000'000'000;
      row.duration_us = 2'000'000;
      row.status = 200;
      row.error = "he said \"no\", twice";
      row.cache = std::string_view(id) == "req_3" ? "hit" : "miss";
      (*ledger)->record(row);
    };
    add("req_1", "web", kNowUs - 30 * kHourUs, 1'000'000'000);
    add("req_2", "web", kNowUs - 2 * kHourUs, 2'000'000'000);
    add("req_3", "web", kNowUs - kHourUs, 1'000'000'000);
    add("req_4", "api", kNowUs - kHourUs, std::nullopt);
  }
  ~Week() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  std::string folder, path;
};

std::string text_of(const Result<std::string>& result) {
  INFO((result.ok() ? std::string() : result.error().message));
  REQUIRE(result.ok());
  return *result;
}

struct ListSum {
  std::size_t entries = 0;
  double value = 0;
};

/// Adds up a member of all objects in the list or object called `list`, wherever it stands in the JSON.
void add_up(json::Value& value, bool inside, std::string_view list, std::string_view member, ListSum& sum) {
  if (value.is(json::Type::kArray)) {
    auto items = value.array();
    while (items.ok() && items->next()) add_up(items->value(), inside, list, member, sum);
  } else if (value.is(json::Type::kObject)) {
    auto object = value.object();
    while (object.ok() && object->next()) {
      if (inside && object->key() == member) {
        ++sum.entries;
        sum.value += *object->value().number();
      } else {
        const bool begins = object->key() == list;
        add_up(object->value(), inside || begins, list, member, sum);
      }
    }
  }
}

ListSum sum_of(const std::string& text, std::string_view list, std::string_view member) {
  auto document = json::Document::open(text);
  REQUIRE(document.ok());
  auto root = document->root();
  REQUIRE(root.ok());
  ListSum sum;
  add_up(*root, false, list, member, sum);
  return sum;
}

}  // namespace

TEST_CASE("a project's statistics are sums of its rows, with the last day against the one before") {
  const Week week;
  const std::string json = text_of(project_stats_json(week.path, "web", kNowUs));
  CHECK_THAT(json, Catch::StartsWith(R"({"cost":4.0,"unknownCostCalls":0,"costTrend":{"value":200.0,"period":"24h"},"tokens":450,)") ||
                       Catch::StartsWith(R"({"cost":4,"unknownCostCalls":0,"costTrend":{"value":200,"period":"24h"},"tokens":450,)"));
  CHECK_THAT(json, Contains(R"("calls":3,"callsTrend":{"value":100)") && Contains(R"("avgTime":2000)") &&
                       Contains(R"("cacheHitRate":0.333)") && Contains(R"("savings":11)") && Contains(R"("recent":[{"id":"req_3",)"));
  const std::string all = text_of(project_stats_json(week.path, "", kNowUs));
  CHECK_THAT(all, Catch::StartsWith(R"({"cost":4,"unknownCostCalls":1,)"));
  CHECK_THAT(all, Contains(R"("calls":4)") && Contains(R"("cost":null)"));
  CHECK_THAT(text_of(project_stats_json(week.path, "nobody", kNowUs)), Contains(R"("costTrend":{"value":null,"period":"24h"})"));
}

TEST_CASE("the machine's statistics list projects and models with true sums") {
  const Week week;
  const std::string json = text_of(machine_stats_json(week.path, Calendar(), kNowUs));
  CHECK_THAT(json, Contains(R"("activeProjects":2,"totalCalls":4,"totalTokens":600,)") &&
                       Contains(R"({"name":"web","calls":3,"inputTokens":420,"outputTokens":30,"cost":4,"unknownCostCalls":0,)") &&
                       Contains(R"("lastActivity":"2026-11-19T10:30:00Z"})") &&
                       Contains(R"("models":[{"name":"m-1","calls":4,"inputTokens":560,"outputTokens":40,"cost":4,"unknownCostCalls":1})") &&
                       Contains(R"("totalUnknownCostCalls":1,)") &&
                       Contains(R"({"name":"api","calls":1,"inputTokens":140,"outputTokens":10,"cost":0,"unknownCostCalls":1,)") &&
                       Contains(R"("costByProject":[{"name":"web","cost":4,"unknownCostCalls":0},{"name":"api","cost":0,"unknownCostCalls":1}])") &&
                       Contains(R"("chartData":{"costOverTime":[{"date":"2026-11-18","cost":1,"unknownCostCalls":0},)"
                                R"({"date":"2026-11-19","cost":3,"unknownCostCalls":1}])") &&
                       Contains(R"("modelDistribution":[{"name":"m-1","calls":4}])"));
}

TEST_CASE("lists of more projects than are told one by one end with the rest, and add up to the totals") {
  const Week week;
  {
    auto connection = Connection::open(week.path, Connection::Mode::kReadWrite, 0);
    REQUIRE(connection.ok());
    // p1 is the cheapest; a project may well be called as the rest is.
    REQUIRE(connection
                ->run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100) INSERT INTO requests (id, at_us,"
                      " project, model, provider, attempts, status, stream, usage_estimated, cache, duration_us, input_tokens, cost_nanousd)"
                      " SELECT 'n' || i, 1795087800000000 - i, iif(i = 1100, '(other)', 'p' || i), 'm' || i, 'x', 1, 200, 0, 0, 'miss', 1,"
                      " 10, i * 1000000 FROM n")
                .ok());
  }
  const std::string machine = text_of(machine_stats_json(week.path, Calendar(), kNowUs));
  // 1102 projects, among them "web" and "api"; the thousand dearest come first.
  CHECK(sum_of(machine, "projects", "calls").entries == 1001);
  CHECK(sum_of(machine, "projects", "calls").value == 1104);
  CHECK(sum_of(machine, "models", "calls").value == 1104);
  CHECK(sum_of(machine, "projects", "inputTokens").value + sum_of(machine, "projects", "outputTokens").value == 11'600);
  for (const char* list : {"projects", "models", "costByProject"})
    CHECK(sum_of(machine, list, "cost").value == Approx(609.55));
  CHECK(sum_of(machine, "modelDistribution", "calls").value == 1104);
  CHECK_THAT(machine, Contains(R"({"totalCost":609.55,"totalUnknownCostCalls":1,"activeProjects":1102,"totalCalls":1104,"totalTokens":11600,)") &&
                          Contains(R"x({"name":"(other)","calls":102,"inputTokens":1150,"outputTokens":10,"cost":6.15,)x"));

  Export what;
  const std::string exported = text_of(export_json(week.path, what, kNowUs));
  CHECK_THAT(exported, Contains(R"("totalCost":609.55,"totalUnknownCostCalls":1,"totalCalls":1104,"totalTokens":11600,)"));
  for (const char* list : {"byModel", "byProject"}) {
    CHECK(sum_of(exported, list, "calls").entries == 1001);
    CHECK(sum_of(exported, list, "calls").value == 1104);
    CHECK(sum_of(exported, list, "tokens").value == 11'600);
    CHECK(sum_of(exported, list, "cost").value == Approx(609.55));
  }
}

TEST_CASE("the days of the machine's chart are those of the calendar") {
  const Week week;
  const Calendar east(*TimeZone::parse_offset("+14:00"), "+14:00");
  CHECK_THAT(text_of(machine_stats_json(week.path, east, kNowUs)),
             Contains(R"("costOverTime":[{"date":"2026-11-18","cost":1,"unknownCostCalls":0},{"date":"2026-11-19","cost":2,)"
                      R"("unknownCostCalls":0},{"date":"2026-11-20","cost":1,"unknownCostCalls":1}])"));
}

TEST_CASE("overrides are counted by what was asked for and what it became") {
  const Week week;
  const std::string json = text_of(override_stats_json(week.path));
  CHECK_THAT(json, Contains(R"({"total_overrides":1,"overrides_by_model":{"claude-opus":["local,m-1",1]},"savings":3)") &&
                       Contains(R"({"original_model":"claude-opus","override_to":"local,m-1","agent":"=cmd)"));
}

TEST_CASE("an export has the sums of its period, and a table that no spreadsheet runs as a program") {
  const Week week;
  Export what;
  what.days = 1;
  const std::string json = text_of(export_json(week.path, what, kNowUs));
  CHECK_THAT(json, Catch::StartsWith(R"({"exportDate":"2026-11-19T11:30:00Z","period":"1 days","summary":{"totalCost":3,"totalUnknownCostCalls":1,)"));
  CHECK_THAT(json, Contains(R"("totalCalls":3,"totalTokens":450,"cacheSavings":4)") && Contains(R"("byProject":{"web":{"calls":2,)") &&
                       Contains(R"({"hour":"2026-11-19T10:00:00Z","calls":2,"tokens":300,"cost":1,"unknownCostCalls":1})") &&
                       Contains(R"("api":{"calls":1,"tokens":150,"cost":0,"unknownCostCalls":1})"));
  what.one_project = true;
  what.project = "api";
  what.days = 30;
  CsvExport portions(what, kNowUs);
  const std::string csv = text_of(portions.next(week.path));
  CHECK(text_of(portions.next(week.path)).empty());
  CHECK(csv.substr(csv.find("\r\n") + 2) ==
        "2026-11-19T10:30:00Z,req_4,api,,,'=cmd|' /C calc'!A0,,claude-opus,local,m-1,200,,100,10,40,,,miss,2000,,"
        "\"he said \"\"no\"\", twice\"\r\n");
}

TEST_CASE("a ledger that is not there is an error that names it") {
  const auto none = machine_stats_json(std::string("/nowhere/ledger.db"), Calendar(), kNowUs);
  REQUIRE_FALSE(none.ok());
  CHECK_THAT(none.error().message, Contains("cannot read the ledger /nowhere/ledger.db"));
}

TEST_CASE("a reading that takes too long, or that nobody waits for any more, ends") {
  const Week week;
  Source from(week.path);
  std::atomic<bool> given_up{true};
  from.given_up = &given_up;
  {
    auto connection = Connection::open(week.path, Connection::Mode::kReadWrite, 0);
    REQUIRE(connection.ok());
    REQUIRE(connection
                ->run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO requests (id, at_us,"
                      " attempts, status, stream, usage_estimated, cache, duration_us) SELECT 'n' || i, i, 1, 200, 0, 0, 'miss', 1 FROM n")
                .ok());
  }
  const auto nobody = machine_stats_json(from, Calendar(), kNowUs);
  REQUIRE_FALSE(nobody.ok());
  CHECK(nobody.error().code == ErrorCode::kCancelled);
  given_up = false;
  CHECK(machine_stats_json(from, Calendar(), kNowUs).ok());
  from.most_time = std::chrono::milliseconds(1);
  Export all;
  all.days = 36500;
  Result<std::string> slow = export_json(from, all, kNowUs);
  for (int i = 0; i < 100 && slow.ok(); ++i) slow = export_json(from, all, kNowUs);
  REQUIRE_FALSE(slow.ok());
  CHECK(slow.error().http_status == 503);
  CHECK_THAT(slow.error().message, Contains("took too long"));
  from.most_time = std::chrono::milliseconds(0);
  CsvExport portions(all, kNowUs);
  std::size_t lines = 0;
  int count = 0;
  for (;;) {
    const std::string portion = text_of(portions.next(from));
    if (portion.empty()) break;
    lines += static_cast<std::size_t>(std::count(portion.begin(), portion.end(), '\n'));
    CHECK(portion.size() < 1'000'000);
    ++count;
  }
  CHECK(lines == 20000 + 4 + 1);
  CHECK(count > 10);
}

TEST_CASE("a CSV export of more than a million requests has all of them") {
  const Week week;
  constexpr std::size_t kRows = 1'002'500;
  {
    auto connection = Connection::open(week.path, Connection::Mode::kReadWrite, 0);
    REQUIRE(connection.ok());
    REQUIRE(connection
                ->run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1002500) INSERT INTO requests (id, at_us,"
                      " attempts, status, stream, usage_estimated, cache, duration_us) SELECT 'n' || i, i, 1, 200, 0, 0, 'miss', 1 FROM n")
                .ok());
  }
  Export all;
  all.days = 36500;
  CsvExport portions(all, kNowUs);
  std::size_t lines = 0;
  std::string last;
  for (;;) {
    std::string portion = text_of(portions.next(week.path));
    if (portion.empty()) break;
    lines += static_cast<std::size_t>(std::count(portion.begin(), portion.end(), '\n'));
    last = std::move(portion);
  }
  CHECK(lines == kRows + 4 + 1);
  CHECK_THAT(last, Contains(",req_4,"));
}

TEST_CASE("requests are listed newest first, page by page, and news are those that came since") {
  const Week week;
  RequestQuery query;
  query.limit = 2;
  const std::string first = text_of(requests_json(week.path, query));
  CHECK_THAT(first, Catch::StartsWith(R"({"requests":[{"seq":4,"id":"req_4","timestamp":"2026-11-19T10:30:00Z","project":"api",)"));
  CHECK_THAT(first, Contains(R"("inputTokens":140,"outputTokens":10,"cost":null,"time":2000)") && Catch::EndsWith(R"("next":3})"));
  query.before = 3;
  CHECK_THAT(text_of(requests_json(week.path, query)), Contains("req_2") && Contains("req_1") && !Contains("req_3"));
  query.before = 0;
  query.limit = 100;
  query.project = "api' OR '1'='1";
  CHECK(text_of(requests_json(week.path, query)) == R"({"requests":[],"next":null})");
  query.project = "web";
  CHECK_THAT(text_of(requests_json(week.path, query)), Contains("req_3") && !Contains("req_4") && Catch::EndsWith(R"("next":null})"));
  auto since = news(week.path, -1, 10);
  REQUIRE(since.ok());
  CHECK(since->last_seq == 4);
  CHECK(since->requests.empty());
  since = news(week.path, 2, 1);
  REQUIRE(since.ok());
  REQUIRE(since->requests.size() == 1);
  CHECK_THAT(since->requests[0].json, Contains("req_3"));
  CHECK(since->requests[0].seq == 3);
  CHECK(since->last_seq == 3);
}

TEST_CASE("prompt caches that are written again and again, or never read, are found") {
  std::string folder = "/tmp/ccrules-waste-XXXXXX";
  Settings settings;
  settings.path = std::string(mkdtemp(folder.data())) + "/ledger.db";
  settings.keep_days = 0;
  {
    auto ledger = Ledger::open(settings);
    REQUIRE(ledger.ok());
    int count = 0;
    const auto add = [&](const char* session, std::int64_t minute, std::int64_t was_read, std::int64_t written, const char* agent = "") {
      Record row;
      row.id = "req_" + std::to_string(++count);
      row.session = session;
      row.client = "cli";
      row.agent = agent;
      row.provider = "a";
      row.model = "m";
      row.at_us = kNowUs + minute * 60'000'000;
      row.usage.cache_read_tokens = was_read;
      row.usage.cache_write_tokens = written;
      if (std::string(session) == "never") {
        row.cache_break = minute == 0 ? "tools reordered" : "expired";
        row.cache_break_tokens = 4000;
        if (minute == 0) row.cache_break_nanousd = 9'000'000;
      }
      (*ledger)->record(row);
    };
    add("good", 0, 0, 10'000);
    add("good", 1, 10'000, 500);
    add("good", 2, 0, 3000, "helper");  // another agent's own prompt
    add("good", 60, 0, 11'000);         // it had run out
    add("bad", 0, 0, 10'000);
    add("bad", 1, 100, 10'100);
    add("bad", 2, 0, 10'300);
    add("alone", 0, 0, 9000);  // one request cannot read what it writes
    add("never", 0, 0, 4000);
    add("never", 10, 0, 4000);
  }
  StatsQuery query;
  query.path = settings.path;
  const auto found = stats(query);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  REQUIRE(found.ok());
  CHECK(found->cache_waste.rewritten_requests == 2);
  CHECK(found->cache_waste.rewritten_tokens == 9900 + 10'200);
  CHECK(found->cache_waste.unread_tokens == 8000);
  REQUIRE(found->cache_waste.worst.size() == 1);
  CHECK(found->cache_waste.worst[0].session == "bad");
  CHECK_THAT(to_json(query, *found), Contains(R"("prompt_cache":{"rewritten_requests":2,"rewritten_tokens":20100,"unread_tokens":8000,)"));
  CHECK_THAT(to_json(query, *found),
             Contains(R"("causes":[{"cause":"tools reordered","requests":1,"tokens":4000,"cost_nanousd":9000000,"cost_usd":0.009,)"
                      R"("unknown_cost_requests":0},{"cause":"expired","requests":1,"tokens":4000,"cost_nanousd":0,"cost_usd":0,)"
                      R"("unknown_cost_requests":1}]}})"));
}
