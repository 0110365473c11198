#include "ledger/ledger.h"

#include <atomic>
#include <csignal>
#include <filesystem>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "core/ids.h"
#include "core/limits.h"
#include "core/world.h"
#include "ledger/queries.h"
#include "ledger/sqlite.h"
#include "support/files.h"

using namespace ccrules;

namespace {

/// A directory that goes away with the test.
struct Folder {
  Folder() : path(std::filesystem::temp_directory_path() / ids::make("ccrules-", system_random())) {}
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  [[nodiscard]] std::string file(const std::string& name = "ledger.db") const {
    return (path / name).string();
  }
  std::filesystem::path path;
};

ledger::Record row(const std::string& model, std::int64_t cost_nanousd = 1) {
  ledger::Record record;
  record.id = ids::make("req_", system_random());
  record.at_us = system_clock().wall_us();
  record.model = model;
  record.status = 200;
  record.attempts = 1;
  record.usage.input_tokens = 10;
  record.usage.output_tokens = 5;
  record.cost_nanousd = cost_nanousd;
  return record;
}

std::unique_ptr<ledger::Ledger> open(const std::string& path, int keep_days = 90) {
  ledger::Settings settings;
  settings.path = path;
  settings.keep_days = keep_days;
  auto opened = ledger::Ledger::open(settings);
  INFO((opened ? "" : opened.error().message));
  REQUIRE(opened.ok());
  return *std::move(opened);
}

std::string open_error(const std::string& path) {
  ledger::Settings settings;
  settings.path = path;
  auto opened = ledger::Ledger::open(settings);
  return opened ? "" : opened.error().message;
}

std::int64_t count(const std::string& path) {
  ledger::StatsQuery query;
  query.path = path;
  const auto stats = ledger::stats(query);
  INFO((stats ? "" : stats.error().message));
  REQUIRE(stats.ok());
  return stats->total.requests;
}

void sql(const std::string& path, const char* statements) {
  test::write_file(path, std::filesystem::exists(path) ? test::read_file(path) : "");
  auto connection = ledger::Connection::open(path, ledger::Connection::Mode::kReadWrite, 1000);
  REQUIRE(connection.ok());
  REQUIRE(connection->run(statements).ok());
}

}  // namespace

TEST_CASE("the ledger's file and directory are the owner's alone") {
  const Folder folder;
  const std::string path = (folder.path / "sub" / "ledger.db").string();
  const auto ledger = open(path);
  ledger->record(row("a"));
  ledger->flush();
  using std::filesystem::perms;
  const auto mode = [](const std::filesystem::path& of) {
    return std::filesystem::status(of).permissions() & perms::all;
  };
  CHECK(mode(path) == (perms::owner_read | perms::owner_write));
  CHECK(mode(path + "-wal") == (perms::owner_read | perms::owner_write));
  CHECK(mode(folder.path / "sub") == perms::owner_all);
}

TEST_CASE("who waits for a row is told when it is committed, and at once while the database is in trouble") {
  const Folder folder;
  const auto ledger = open(folder.file());
  std::atomic<int> told{0};
  std::atomic<std::int64_t> committed{-1};
  ledger->record(row("a"), [&] {
    committed = count(folder.file());
    ++told;
  });
  ledger->flush();
  CHECK(told == 1);
  CHECK(committed == 1);

  auto other = ledger::Connection::open(folder.file(), ledger::Connection::Mode::kReadWrite, 1000);
  REQUIRE(other.ok());
  REQUIRE(other->run("BEGIN IMMEDIATE").ok());
  ledger->record(row("b"), [&] { ++told; });
  ledger->flush();
  CHECK(told == 2);  // the write failed: the proxy goes on serving
  CHECK(!ledger->health().ok);
  ledger->record(row("c"), [&] { ++told; });
  CHECK(told == 3);
  REQUIRE(other->run("COMMIT").ok());
  ledger->flush();
  CHECK(count(folder.file()) == 3);
}

TEST_CASE("every column comes back as it was recorded, and what was not known is NULL") {
  const Folder folder;
  ledger::Record full;
  full.id = "req_1";
  full.at_us = 1'700'000'000'000'000;
  full.client = "claude-cli";
  full.dialect = "anthropic";
  full.path = "/v1/messages";
  full.session = "s";
  full.user = "u";
  full.project = "/srv/p'; DROP TABLE requests; --";
  full.agent = "rust-specialist";
  full.request_class = "background";
  full.requested_model = "claude-opus-5-5";
  full.decision_id = "d";
  full.rule = "think";
  full.reason = "thinking parameter enabled";
  full.provider = "openai";
  full.model = "gpt-6.1-sol";
  full.attempts = 2;
  full.status = 499;
  full.stop_reason = "end_turn";
  full.stream = true;
  full.usage.input_tokens = 1;
  full.usage.output_tokens = 2;
  full.usage.cache_read_tokens = 3;
  full.usage.cache_write_tokens = 10;
  full.usage.cache_write_1h_tokens = 4;
  full.usage.reasoning_tokens = 0;
  full.usage_estimated = true;
  full.cost_nanousd = 7;
  full.requested_cost_nanousd = 9;
  full.cache = "miss";
  full.ttft_us = 8;
  full.duration_us = 9;
  full.error = "upstream_timeout: no answer";
  full.tags_json = R"({"experiment":"gpt"})";
  ledger::Record empty;
  {
    const auto ledger = open(folder.file(), 0);
    ledger->record(full);
    ledger->record(empty);
  }
  auto connection = ledger::Connection::open(folder.file(), ledger::Connection::Mode::kReadOnly, 1000);
  REQUIRE(connection.ok());
  auto read = ledger::Statement::prepare(*connection, "SELECT * FROM requests ORDER BY seq");
  REQUIRE(read.ok());
  const auto line = [&read] {
    const auto stepped = read->step();
    REQUIRE((stepped.ok() && *stepped));
    std::string out;
    for (int column = 1; column < 35; ++column) out += (column > 1 ? "|" : "") + read->text(column);
    return out;
  };
  CHECK(line() ==
        "req_1|1700000000000000|claude-cli|anthropic|/v1/messages|s|u|/srv/p'; DROP TABLE requests; "
        "--|rust-specialist|background|"
        "claude-opus-5-5|d|think|thinking parameter "
        "enabled|openai|gpt-6.1-sol|2|499|end_turn|1|1|2|3|6|4|0|1|7|9|miss|8|9|"
        "upstream_timeout: no answer|{\"experiment\":\"gpt\"}");
  CHECK(line() == "|0|||||||||||||||0|0||0|||||||0|||bypass||0||");
}

TEST_CASE("rows written together come back as those written one by one, whatever they have in common") {
  const Folder folder;
  std::vector<ledger::Record> rows;
  // Row n has or has not each column by its own bits of n, so that every column stays, changes, appears and goes.
  for (unsigned n = 0; n < 64; ++n) {
    unsigned bits = n * 2654435761u;
    const auto turn = [&bits] { return (bits = bits * 1664525u + 1013904223u) >> 30; };
    ledger::Record record;
    record.id = "req_" + std::to_string(n);
    for (std::string* text :
         {&record.client, &record.dialect, &record.path, &record.session, &record.user, &record.project, &record.agent,
          &record.request_class, &record.key, &record.subagent, &record.payer, &record.requested_model, &record.decision_id,
          &record.rule, &record.reason, &record.provider, &record.model, &record.stop_reason, &record.cache, &record.cache_break,
          &record.counted_grade, &record.estimate_key, &record.error, &record.tags_json, &record.ruleset, &record.facts_json,
          &record.shadow_json}) {
      *text = std::string(turn() * 10, 'a');
    }
    for (std::optional<std::int64_t>* number :
         {&record.usage.input_tokens, &record.usage.output_tokens, &record.usage.cache_read_tokens, &record.usage.cache_write_tokens,
          &record.usage.cache_write_1h_tokens, &record.usage.reasoning_tokens, &record.cost_nanousd,
          &record.requested_cost_nanousd, &record.cache_break_tokens, &record.cache_break_nanousd, &record.counted_tokens,
          &record.estimate_tokens}) {
      if (const std::int64_t value = turn(); value != 0) *number = value - 2;
    }
    record.at_us = turn();
    record.attempts = static_cast<int>(turn());
    record.status = static_cast<int>(turn());
    record.stream = turn() < 2;
    record.usage_estimated = turn() < 2;
    record.ttft_us = std::int64_t{turn()} - 1;
    record.duration_us = turn();
    rows.push_back(record);
  }
  {
    const auto together = open(folder.file("together.db"), 0);
    const auto one_by_one = open(folder.file("one.db"), 0);
    for (const ledger::Record& record : rows) together->record(record);
    for (const ledger::Record& record : rows) {
      one_by_one->record(record);
      one_by_one->flush();
    }
  }
  const auto all = [&](const std::string& name) {
    auto connection = ledger::Connection::open(folder.file(name), ledger::Connection::Mode::kReadOnly, 1000);
    REQUIRE(connection.ok());
    auto read = ledger::Statement::prepare(*connection, "SELECT * FROM requests ORDER BY seq");
    REQUIRE(read.ok());
    std::vector<std::string> lines;
    for (auto stepped = read->step(); stepped.ok() && *stepped; stepped = read->step()) {
      std::string line;
      for (int column = 0; column < 48; ++column) line += (read->is_null(column) ? "-" : read->text(column)) + "|";
      lines.push_back(line);
    }
    return lines;
  };
  const std::vector<std::string> expected = all("one.db");
  CHECK(expected.size() == rows.size());
  CHECK(all("together.db") == expected);
}

TEST_CASE("rows are written when the ledger closes, without a flush") {
  const Folder folder;
  {
    const auto ledger = open(folder.file());
    for (int i = 0; i < 3000; ++i) ledger->record(row("m"));
  }
  CHECK(count(folder.file()) == 3000);
}

TEST_CASE("many threads record while another reads") {
  const Folder folder;
  const auto ledger = open(folder.file());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&ledger] {
      for (int i = 0; i < 2000; ++i) ledger->record(row("m"));
    });
  }
  for (int i = 0; i < 20; ++i) CHECK(count(folder.file()) <= 8000);
  for (std::thread& thread : threads) thread.join();
  ledger->flush();
  CHECK(count(folder.file()) == 8000);
  CHECK(ledger->health().ok);
  CHECK(ledger->health().rows_written == 8000);
}

TEST_CASE("a file that is no database, or another program's, is refused with what to do") {
  const Folder folder;
  test::write_file(folder.file("text"), "this is a diary, not a database, and it is longer than a header");
  std::filesystem::permissions(folder.file("text"), std::filesystem::perms::others_read, std::filesystem::perm_options::add);
  CHECK(open_error(folder.file("text")).find("file is not a database") != std::string::npos);
  const auto mode = std::filesystem::status(folder.file("text")).permissions();
  CHECK((mode & std::filesystem::perms::others_read) != std::filesystem::perms::none);  // it is left as it is
  sql(folder.file("other"), "CREATE TABLE songs (title TEXT)");
  CHECK(open_error(folder.file("other")).find("is a database of another program; set ledger.path") !=
        std::string::npos);
  open(folder.file("newer")).reset();
  sql(folder.file("newer"), "PRAGMA user_version = 99");
  CHECK(open_error(folder.file("newer")).find("written by a newer ccrules") != std::string::npos);
  test::write_file(folder.file("plain"), "");
  CHECK(open_error(folder.file("plain/ledger.db")).find("Not a directory") != std::string::npos);
}

TEST_CASE("while another program locks the database, rows are kept and written later") {
  const Folder folder;
  const auto ledger = open(folder.file());
  auto other = ledger::Connection::open(folder.file(), ledger::Connection::Mode::kReadWrite, 1000);
  REQUIRE(other.ok());
  REQUIRE(other->run("BEGIN IMMEDIATE").ok());
  ledger->record(row("m"));
  ledger->flush();
  CHECK_FALSE(ledger->health().ok);
  CHECK(ledger->health().problem.find("database is locked") != std::string::npos);
  CHECK(ledger->health().rows_dropped == 0);
  REQUIRE(other->run("COMMIT").ok());
  ledger->record(row("m"));
  ledger->flush();
  CHECK(ledger->health().ok);
  CHECK(count(folder.file()) == 2);
}

TEST_CASE("a database locked from the start is opened when the lock goes") {
  const Folder folder;
  sql(folder.file(), "PRAGMA journal_mode = DELETE");
  auto other = ledger::Connection::open(folder.file(), ledger::Connection::Mode::kReadWrite, 1000);
  REQUIRE(other.ok());
  REQUIRE(other->run("BEGIN EXCLUSIVE").ok());
  const auto ledger = open(folder.file());
  CHECK_FALSE(ledger->health().ok);
  REQUIRE(other->run("COMMIT").ok());
  ledger->flush();
  CHECK(ledger->health().ok);
}

TEST_CASE("on a full disk rows are kept and written when there is room again") {
  const Folder folder;
  const auto ledger = open(folder.file());
  ledger->record(row("m"));
  ledger->flush();
  REQUIRE(ledger->health().ok);
  // No file may grow: what a write to a full disk is to SQLite.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit small = before;
  small.rlim_cur = 1024;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  for (int i = 0; i < 500; ++i) ledger->record(row("m"));
  ledger->flush();
  const ledger::Health full = ledger->health();
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  CHECK_FALSE(full.ok);
  CHECK(full.rows_dropped == 0);
  ledger->flush();
  CHECK(ledger->health().ok);
  CHECK(count(folder.file()) == 501);
}

TEST_CASE("a database that stays broken costs rows beyond the queue, never the process") {
  const Folder folder;
  const auto ledger = open(folder.file());
  auto other = ledger::Connection::open(folder.file(), ledger::Connection::Mode::kReadWrite, 1000);
  REQUIRE(other.ok());
  REQUIRE(other->run("BEGIN IMMEDIATE").ok());
  for (std::size_t i = 0; i < limits::kLedgerQueueRows + 10; ++i) ledger->record(ledger::Record());
  ledger->flush();
  const ledger::Health health = ledger->health();
  CHECK(health.rows_dropped + health.rows_written == 10);
  REQUIRE(other->run("ROLLBACK").ok());
  ledger->flush();
  CHECK(ledger->health().rows_written == limits::kLedgerQueueRows);
}

TEST_CASE("when the file is deleted under the running ledger, rows go to a new one") {
  const Folder folder;
  const auto ledger = open(folder.file());
  ledger->record(row("m"));
  ledger->flush();
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(folder.file() + suffix);
  ledger->record(row("m"));
  ledger->flush();
  CHECK(ledger->health().ok);
  CHECK(count(folder.file()) == 1);
}

TEST_CASE("rows older than keep_days are deleted, and with 0 they stay") {
  const Folder folder;
  ledger::Record old = row("old");
  old.at_us -= std::int64_t{3} * 86'400'000'000;
  {
    const auto ledger = open(folder.file(), 0);
    ledger->record(old);
    ledger->record(row("new"));
  }
  {
    const auto ledger = open(folder.file(), 0);
    ledger->flush();
  }
  CHECK(count(folder.file()) == 2);
  {
    const auto ledger = open(folder.file(), 2);
    ledger->flush();
  }
  CHECK(count(folder.file()) == 1);
}

TEST_CASE("a row is found by either of its ids or the beginning of one") {
  const Folder folder;
  ledger::Record first = row("a");
  first.id = "req_AAA111111111111111111111";
  first.decision_id = "dec_BBB111111111111111111111";
  first.ruleset = "hash1";
  first.facts_json = R"({"tokens":12})";
  first.usage.cache_write_tokens = 30;
  first.usage.cache_write_1h_tokens = 10;
  ledger::Record second = row("b");
  second.id = "req_AAA222222222222222222222";
  {
    const auto ledger = open(folder.file());
    ledger->record(first);
    ledger->record(second);
  }
  for (const char* id : {"req_AAA111111111111111111111", "dec_BBB111111111111111111111", "AAA1", "req_AAA1", "dec_B"}) {
    INFO(id);
    const auto found = ledger::find(folder.file(), id);
    REQUIRE(found.ok());
    REQUIRE(found->has_value());
    CHECK((*found)->model == "a");
    CHECK((*found)->facts_json == R"({"tokens":12})");
    CHECK((*found)->usage.cache_write_tokens == 30);
    CHECK((*found)->usage.cache_write_1h_tokens == 10);
  }
  CHECK_FALSE(ledger::find(folder.file(), "nothing")->has_value());
  const auto several = ledger::find(folder.file(), "AAA");
  REQUIRE_FALSE(several.ok());
  CHECK(several.error().message == "several requests have an id that begins with 'req_AAA'; give more of it");

  std::vector<std::string> decided;
  CHECK(ledger::each_decision(folder.file(), 0, [&](const ledger::Record& found) {
          decided.push_back(found.id);
          return true;
        }).ok());
  CHECK(decided == std::vector<std::string>{first.id});
}

TEST_CASE("statistics group by what is asked and say what is unknown") {
  const Folder folder;
  {
    const auto ledger = open(folder.file());
    ledger::Record a = row("a", 100);
    a.project = "web";
    a.requested_cost_nanousd = 150;
    ledger::Record b = row("b");
    b.cost_nanousd.reset();
    b.status = 502;
    b.usage.cache_write_tokens = 30;
    b.usage.cache_write_1h_tokens = 10;
    b.unpriced_tier = "fast";
    b.unpriced_fees = "web_search 3";
    ledger::Record old = row("old", 1000);
    old.at_us = 1;
    for (const ledger::Record& record : {a, b, old}) ledger->record(record);
  }
  ledger::StatsQuery query;
  query.path = folder.file();
  query.since_us = 2;
  query.by = "project";
  const auto stats = ledger::stats(query);
  REQUIRE(stats.ok());
  CHECK(stats->total.requests == 2);
  CHECK(stats->total.errors == 1);
  CHECK(stats->total.cost_nanousd == 100);
  CHECK(stats->total.savings_nanousd == 50);
  CHECK(stats->total.unknown_cost_requests == 1);
  CHECK(stats->total.cache_write_tokens == 30);
  REQUIRE(stats->unpriced_tiers.size() == 1);
  CHECK(stats->unpriced_tiers[0].name == "fast");
  CHECK(stats->unpriced_tiers[0].requests == 1);
  CHECK(stats->unpriced_fee_requests == 1);
  REQUIRE(stats->rows.size() == 2);
  CHECK(stats->rows[0].key == "web");
  CHECK(stats->rows[1].key.empty());
  CHECK(ledger::to_json(query, *stats)
            .find(R"({"schema":"ccrules.stats/1","by":"project","since_us":2,"time_zone":"UTC","total":{"requests":2,)") == 0);
  for (const char* by :
       {"model", "provider", "agent", "session", "rule", "day", "status", "user", "client"}) {
    query.by = by;
    CHECK(ledger::stats(query).ok());
  }
  query.by = "weather";
  const auto refused = ledger::stats(query);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message.find("cannot group by 'weather'; use one of model, provider") == 0);
  query.path = folder.file("absent");
  query.by = "model";
  REQUIRE_FALSE(ledger::stats(query).ok());
  CHECK(ledger::stats(query).error().message.find("cannot read the ledger") == 0);
}

TEST_CASE("how far counts of prompts were off is told by grade, and what ratios learn from is read back") {
  const Folder folder;
  auto ledger = open(folder.file());
  const auto write = [&ledger](const std::string& grade, std::int64_t counted, std::int64_t billed) {
    ledger::Record record = row("m");
    record.usage.input_tokens = billed - 100;
    record.usage.cache_read_tokens = 100;
    record.counted_tokens = counted;
    record.counted_grade = grade;
    record.estimate_tokens = counted;
    record.estimate_key = "anth,m " + grade;
    ledger->record(record);
  };
  for (int i = 0; i < 99; ++i) write("anchored", 1010, 1000);
  write("anchored", 1500, 1000);
  write("estimated", 8000, 10'000);
  write("estimated", 90, 120);  // of so small a prompt the frames are most
  ledger::Record cut = row("m");
  cut.usage_estimated = true;
  cut.counted_tokens = 1;
  cut.counted_grade = "estimated";
  ledger->record(cut);
  ledger->flush();

  ledger::StatsQuery query;
  query.path = folder.file();
  const auto stats = ledger::stats(query);
  REQUIRE(stats.ok());
  REQUIRE(stats->count_errors.size() == 2);
  const ledger::CountError& anchored = stats->count_errors[0];
  CHECK(anchored.grade == "anchored");
  CHECK(anchored.requests == 100);
  CHECK(anchored.mean_percent == Approx(1.49));
  CHECK(anchored.p95_percent == Approx(1.0));
  CHECK(stats->count_errors[1].requests == 1);
  CHECK(stats->count_errors[1].mean_percent == Approx(20.0));

  const auto learned = ledger::learned_counts(folder.file(), 2);
  REQUIRE(learned.ok());
  REQUIRE(learned->size() == 2);
  CHECK(learned->at(0).key == "anth,m estimated");
  CHECK(learned->at(0).estimate_tokens == 8000);
  CHECK(learned->at(0).billed_tokens == 10'000);
  CHECK(learned->at(1).billed_tokens == 120);
}
