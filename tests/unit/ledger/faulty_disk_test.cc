#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include "core/ids.h"
#include "core/log.h"
#include "core/world.h"
#include "ledger/ledger.h"
#include "ledger/sqlite.h"
#include "support/faulty_disk.h"

using namespace ccrules;
using namespace ccrules::ledger;
using ccrules::test::FaultyDisk;

namespace {

struct Folder {
  Folder() : path(std::filesystem::temp_directory_path() / ids::make("ccrules-", system_random())) {
    std::filesystem::create_directories(path);
    log::Settings silent;
    silent.level = log::Level::kOff;
    log::configure(silent);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  [[nodiscard]] std::string file() const { return (path / "ledger.db").string(); }
  std::filesystem::path path;
};

Record row(int number) {
  Record record;
  record.id = "req_" + std::to_string(number);
  record.at_us = 1'795'087'800'000'000 + number;
  record.session = "s" + std::to_string(number % 3);
  record.status = 200;
  record.attempts = 1;
  record.usage.output_tokens = 5;
  record.cost_nanousd = 100 + number;
  return record;
}

/// Distinct ids, rows, sum of costs and the sum that is kept beside them.
std::string summary(const std::string& path) {
  auto connection = Connection::open(path, Connection::Mode::kReadOnly, 1000);
  REQUIRE(connection.ok());
  std::string out;
  for (const char* sql : {"SELECT count(DISTINCT id) FROM requests", "SELECT count(*) FROM requests", "SELECT sum(cost_nanousd) FROM requests",
                          "SELECT max(total_nanousd) FROM spend WHERE scope = ''", "SELECT count(*) FROM holds"}) {
    const auto number = connection->number(sql);
    REQUIRE(number.ok());
    out += std::to_string(*number) + " ";
  }
  return out;
}

const char* kCodeNames[] = {"full", "i/o error", "read-only", "corrupt", "locked"};
constexpr int kCodes[] = {SQLITE_FULL, SQLITE_IOERR, SQLITE_READONLY, SQLITE_CORRUPT, SQLITE_BUSY};

}  // namespace

TEST_CASE("whichever call to the disk fails, and however, every row is written once and every sum is right once it works again") {
  for (std::size_t c = 0; c < std::size(kCodes); ++c) {
    // From the call number `at` on, all of them fail; the next round begins further on, until none is reached any more.
    std::int64_t step = kCodes[c] == SQLITE_BUSY ? 11 : 1;  // SQLite waits a quarter of a second for each lock
    for (std::int64_t at = 0;; at += step) {
      INFO(kCodeNames[c] << " from call " << at);
      const Folder folder;
      FaultyDisk disk;
      Settings settings;
      settings.path = folder.file();
      settings.keep_days = 0;
      settings.owner = "0 0";
      disk.fail(FaultyDisk::kAll, kCodes[c], at);
      auto opened = Ledger::open(settings);
      if (!opened.ok()) {
        CHECK_FALSE(opened.error().message.empty());  // served without being recorded: /health says so
        disk.heal();
        continue;
      }
      const auto& ledger = *opened;
      std::atomic<int> answered{0};
      std::atomic<int> kept{0};
      for (int i = 0; i < 3; ++i) {
        Record held = row(i);
        held.cost_nanousd = 1000;
        ledger->hold(held, [&](bool yes) {
          kept += yes ? 1 : 0;
          ++answered;
        });
      }
      ledger->flush();
      CHECK(answered == 3);  // nobody waits for ever
      for (int i = 0; i < 5; ++i) {
        Record record = row(i);
        record.held = i < 3;
        ledger->record(record, [&] { ++answered; });
      }
      ledger->flush();
      CHECK(answered == 8);
      const std::int64_t failed = disk.failed();
      if (failed > 0) {
        const Health health = ledger->health();
        CHECK((!health.ok || health.rows_written == 5));
        if (!health.ok) CHECK_FALSE(health.problem.empty());
      }
      disk.heal();
      for (int i = 0; i < 3 && (!ledger->health().ok || ledger->health().rows_written < 5); ++i) ledger->flush();
      CHECK(ledger->health().ok);
      CHECK(ledger->health().rows_written == 5);
      CHECK(ledger->health().rows_dropped == 0);
      CHECK(summary(folder.file()) == "5 5 510 510 0 ");
      if (failed == 0) break;
      if (at >= 60) step = std::max<std::int64_t>(step, 7);
    }
  }
}

TEST_CASE("a single failure anywhere leaves nothing behind") {
  for (std::size_t c = 0; c < std::size(kCodes); ++c) {
    for (std::int64_t at = 0; at < 400; at += at < 40 ? 3 : 13) {
      INFO(kCodeNames[c] << " at call " << at);
      const Folder folder;
      FaultyDisk disk;
      Settings settings;
      settings.path = folder.file();
      settings.keep_days = 0;
      settings.owner = "0 0";
      disk.fail_once(FaultyDisk::kAll, kCodes[c], at);
      auto opened = Ledger::open(settings);
      if (!opened.ok()) continue;
      for (int i = 0; i < 5; ++i) {
        (*opened)->record(row(i));
        (*opened)->flush();
      }
      for (int i = 0; i < 3 && (*opened)->health().rows_written < 5; ++i) (*opened)->flush();
      disk.heal();
      CHECK(summary(folder.file()) == "5 5 510 510 0 ");
    }
  }
}

TEST_CASE("a disk that takes its time delays rows and nobody else") {
  const Folder folder;
  FaultyDisk disk;
  Settings settings;
  settings.path = folder.file();
  settings.keep_days = 0;
  auto opened = Ledger::open(settings);
  REQUIRE(opened.ok());
  disk.slow_down(FaultyDisk::kWrite, std::chrono::milliseconds(500));
  for (int i = 0; i < 200; ++i) (*opened)->record(row(i));  // none of them waits
  CHECK((*opened)->health().rows_written < 200);
  disk.slow_down(FaultyDisk::kWrite, std::chrono::milliseconds(1));
  (*opened)->flush();
  CHECK((*opened)->health().ok);
  CHECK((*opened)->health().rows_written == 200);
}
