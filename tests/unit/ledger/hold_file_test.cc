#include "ledger/hold_file.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <span>
#include <thread>

#include <catch2/catch.hpp>

#include "core/ids.h"
#include "core/limits.h"
#include "core/world.h"
#include "ledger/ledger.h"
#include "ledger/sqlite.h"
#include "support/files.h"

using namespace ccrules;
using ledger::HoldFile;

namespace {

struct Folder {
  Folder() : path(std::filesystem::temp_directory_path() / ids::make("ccrules-", system_random())) {
    std::filesystem::create_directory(path);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  [[nodiscard]] std::string ledger() const { return (path / "ledger.db").string(); }
  /// Files of holds, with and without their process.
  [[nodiscard]] std::vector<std::string> holds() const {
    std::vector<std::string> found;
    for (const auto& file : std::filesystem::directory_iterator(path)) {
      if (file.path().filename().string().starts_with("ledger.db-holds-")) found.push_back(file.path().string());
    }
    return found;
  }
  std::filesystem::path path;
};

ledger::Record request(const std::string& id) {
  ledger::Record row;
  row.id = id;
  row.at_us = system_clock().wall_us();
  row.session = "s-1";
  row.project = "/srv/web";
  row.requested_model = "m-1";
  row.tags_json = R"({"team":"a"})";
  row.stream = true;
  return row;
}

/// What a killed process leaves: its files without their locks.
void kill(const Folder& dying, const Folder& left) {
  for (const std::string& file : dying.holds()) {
    std::filesystem::copy_file(file, left.path / std::filesystem::path(file).filename(), std::filesystem::copy_options::overwrite_existing);
  }
}

std::unique_ptr<ledger::Ledger> open(const Folder& folder, bool durable = false,
                                     std::chrono::seconds clear_after = ledger::Settings().clear_after) {
  ledger::Settings settings;
  settings.clear_after = clear_after;
  settings.path = folder.ledger();
  settings.durable = durable;
  auto opened = ledger::Ledger::open(settings);
  REQUIRE(opened.ok());
  return *std::move(opened);
}

std::int64_t number(const Folder& folder, const char* sql) {
  auto connection = ledger::Connection::open(folder.ledger(), ledger::Connection::Mode::kReadOnly, 0);
  REQUIRE(connection.ok());
  const auto value = connection->number(sql);
  REQUIRE(value.ok());
  return *value;
}

}  // namespace

TEST_CASE("what is held is there for whoever comes after a killed process, as it was put last") {
  const Folder alive;
  const Folder after;
  const auto file = HoldFile::create(alive.ledger());
  REQUIRE(file);
  CHECK(file->put(request("req_a"), 100));
  CHECK(file->put(request("req_b"), 200));
  CHECK(file->put(request("req_c"), 300));
  CHECK(file->put(request("req_b"), 250));
  file->release("req_a");
  file->release("req_unknown");
  CHECK(HoldFile::left_behind(alive.ledger()).empty());  // it lives
  kill(alive, after);
  const auto left = HoldFile::left_behind(after.ledger());
  REQUIRE(left.size() == 1);
  REQUIRE(left[0].rows.size() == 2);
  CHECK(left[0].rows[0].id == "req_b");
  CHECK(left[0].rows[0].cost_nanousd == 250);
  CHECK(left[0].rows[0].project == "/srv/web");
  CHECK(left[0].rows[0].tags_json == R"({"team":"a"})");
  CHECK(left[0].rows[0].stream);
  CHECK(left[0].rows[1].id == "req_c");
  CHECK(HoldFile::left_behind(after.ledger()).empty());  // somebody takes it over just now
}

TEST_CASE("a file of holds goes away with its process unless something is held") {
  const Folder folder;
  auto file = HoldFile::create(folder.ledger());
  CHECK(file->put(request("req_a"), 100));
  CHECK(folder.holds().size() == 1);
  file->release("req_a");
  file.reset();
  CHECK(folder.holds().empty());
  file = HoldFile::create(folder.ledger());
  CHECK(file->put(request("req_b"), 100));
  file.reset();
  const auto left = HoldFile::left_behind(folder.ledger());
  REQUIRE(left.size() == 1);
  CHECK(left[0].rows.size() == 1);
}

TEST_CASE("slots of requests that have their rows are taken again, and cleared when nobody takes them") {
  const Folder alive;
  const Folder after;
  const auto file = HoldFile::create(alive.ledger());
  std::vector<ledger::Record> rows;
  for (const char* id : {"req_a", "req_b", "req_c", "req_d"}) {
    rows.push_back(request(id));
    rows.back().held_at_once = true;
    CHECK(file->put(rows.back(), 100));
  }
  const auto held = [&] {
    kill(alive, after);
    const auto left = HoldFile::left_behind(after.ledger());
    std::vector<std::string> ids;
    for (const ledger::Record& row : left.at(0).rows) ids.push_back(row.id);
    return ids;
  };
  using Ids = std::vector<std::string>;
  rows[0].held_at_once = false;  // another one holds it
  file->release_written(std::span(rows).first(3));
  CHECK(held() == Ids{"req_a", "req_b", "req_c", "req_d"});
  CHECK(file->put(request("req_e"), 100));
  CHECK(held() == Ids{"req_a", "req_b", "req_e", "req_d"});
  CHECK(file->clear_idle());  // the slot of req_b may be taken yet
  CHECK(held() == Ids{"req_a", "req_b", "req_e", "req_d"});
  CHECK_FALSE(file->clear_idle());
  CHECK(held() == Ids{"req_a", "req_e", "req_d"});
  CHECK(file->put(request("req_f"), 100));
  CHECK(file->put(request("req_g"), 100));
  CHECK(held() == Ids{"req_a", "req_f", "req_e", "req_d", "req_g"});
  CHECK_FALSE(file->clear_idle());
  file->release_written(std::span(rows).last(1));
  CHECK(file->clear_idle());
  CHECK_FALSE(file->clear_idle());
  CHECK(held() == Ids{"req_a", "req_f", "req_e", "req_g"});
}

TEST_CASE("a file that stays when its process ends says only what is held still") {
  const Folder folder;
  {
    const auto file = HoldFile::create(folder.ledger());
    std::vector<ledger::Record> rows = {request("req_a"), request("req_b"), request("req_c")};
    for (ledger::Record& row : rows) {
      CHECK(file->put(row, 100));
      row.held_at_once = true;
    }
    file->release_written(std::span(rows).first(2));
  }
  const auto left = HoldFile::left_behind(folder.ledger());
  REQUIRE(left.size() == 1);
  REQUIRE(left[0].rows.size() == 1);
  CHECK(left[0].rows[0].id == "req_c");
}

TEST_CASE("what is too long for a hold, or one too many, is refused") {
  const Folder folder;
  const auto file = HoldFile::create(folder.ledger());
  ledger::Record row = request("req_long");
  row.tags_json = std::string(HoldFile::kSlotBytes, 'x');
  CHECK_FALSE(file->put(row, 1));
  CHECK_FALSE(HoldFile::create((folder.path / "nowhere" / "ledger.db").string()));
}

TEST_CASE("damaged holds are left out, and the others are found") {
  const Folder alive;
  const Folder after;
  const auto file = HoldFile::create(alive.ledger());
  for (int i = 0; i < 8; ++i) CHECK(file->put(request("req_" + std::to_string(i)), 100 + i));
  kill(alive, after);
  const std::string path = after.holds().at(0);
  for (std::size_t at = 0; at < HoldFile::kSlotBytes; at += 41) {
    std::fstream bytes(path, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekg(static_cast<std::streamoff>(at));
    const int was = bytes.get();
    bytes.seekp(static_cast<std::streamoff>(at));
    bytes.put(static_cast<char>(was ^ 0x40));
    bytes.close();
    const auto left = HoldFile::left_behind(after.ledger());
    REQUIRE(left.size() == 1);
    CHECK(left[0].rows.size() >= 7);
  }
  std::filesystem::resize_file(path, 3 * HoldFile::kSlotBytes + 10);
  CHECK(HoldFile::left_behind(after.ledger()).at(0).rows.size() <= 3);
}

TEST_CASE("requests of a killed process get their rows once, with what they may have cost, and those that have a row do not") {
  const Folder alive;
  const Folder after;
  {
    const auto ledger = open(alive);
    for (const char* id : {"req_a", "req_b", "req_c"}) CHECK(ledger->hold_at_once(request(id), 1000));
    kill(alive, after);  // before its file knows that one of them is over
    ledger::Record over = request("req_b");
    const auto rows = HoldFile::left_behind(after.ledger());
    REQUIRE(rows.at(0).rows.size() == 3);
    over.at_us = rows[0].rows[1].at_us;
    over.cost_nanousd = 70;
    over.held_at_once = true;
    ledger->record(over);
    ledger->flush();
    CHECK(HoldFile::left_behind(alive.ledger()).empty());
    for (const char* part : {"", "-wal"}) std::filesystem::copy_file(alive.ledger() + part, after.ledger() + part);
  }
  for (int starts = 0; starts < 2; ++starts) {
    const auto ledger = open(after);
    CHECK(number(after, "SELECT count(*) FROM requests") == 3);
    CHECK(number(after, "SELECT count(DISTINCT id) FROM requests") == 3);
    CHECK(number(after, "SELECT sum(cost_nanousd) FROM requests") == 2070);
    CHECK(number(after, "SELECT total_nanousd FROM spend WHERE scope = ''") == 2070);
    CHECK(number(after, "SELECT count(*) FROM holds") == 0);
    CHECK(after.holds().empty());
  }
}

TEST_CASE("whichever says more of a request counts, its slot or the table") {
  for (const std::int64_t in_table : {1000, 10}) {
    const Folder alive;
    const Folder after;
    {
      const auto ledger = open(alive);
      ledger::Record row = request("req_a");
      CHECK(ledger->hold_at_once(row, 100));
      row.tags_json = "{\"a\":\"" + std::string(HoldFile::kSlotBytes, 'x') + "\"}";  // it has got longer
      CHECK_FALSE(ledger->hold_at_once(row, in_table));
      row.cost_nanousd = in_table;
      std::atomic<bool> kept = false;
      ledger->hold(row, [&kept](bool done) { kept = done; });
      ledger->flush();
      CHECK(kept);
      kill(alive, after);
      for (const char* part : {"", "-wal"}) std::filesystem::copy_file(alive.ledger() + part, after.ledger() + part);
    }
    {
      auto table = ledger::Connection::open(after.ledger(), ledger::Connection::Mode::kReadWrite, 0);
      REQUIRE(table.ok());
      REQUIRE(table->run("UPDATE holds SET owner = 'gone 1'").ok());
    }
    const auto ledger = open(after);
    CHECK(number(after, "SELECT count(*) FROM requests") == 1);
    CHECK(number(after, "SELECT sum(cost_nanousd) FROM requests") == std::max<std::int64_t>(in_table, 100));
    CHECK(number(after, "SELECT count(*) FROM holds") == 0);
  }
}

TEST_CASE("a ledger that survives a loss of power holds nothing at once") {
  const Folder folder;
  const auto ledger = open(folder, true);
  CHECK_FALSE(ledger->hold_at_once(request("req_a"), 1));
  CHECK(folder.holds().empty());
}

TEST_CASE("threads hold and release at the same time, and each request keeps its own place") {
  const Folder alive;
  const Folder after;
  const auto file = HoldFile::create(alive.ledger());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&file, t] {
      for (int i = 0; i < 200; ++i) {
        const std::string id = "req_" + std::to_string(t) + "_" + std::to_string(i);
        if (!file->put(request(id), i)) return;
        if (i % 10 != 0) file->release(id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  kill(alive, after);
  const auto left = HoldFile::left_behind(after.ledger());
  REQUIRE(left.size() == 1);
  CHECK(left[0].rows.size() == 4 * 20);
}

TEST_CASE("slots are cleared while threads hold and release, and what is held stays") {
  const Folder alive;
  const Folder after;
  const auto file = HoldFile::create(alive.ledger());
  std::atomic<bool> over = false;
  std::thread clearing([&] {
    while (!over) (void)file->clear_idle();  // another round follows
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&file, t] {
      for (int i = 0; i < 200; ++i) {
        ledger::Record row = request("req_" + std::to_string(t) + "_" + std::to_string(i));
        row.held_at_once = i % 10 != 0;
        if (!file->put(row, i)) return;
        file->release_written(std::span(&row, 1));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  over = true;
  clearing.join();
  while (file->clear_idle()) {
  }
  kill(alive, after);
  const auto left = HoldFile::left_behind(after.ledger());
  REQUIRE(left.size() == 1);
  CHECK(left[0].rows.size() == 4 * 20);
}

TEST_CASE("a ledger clears the slots of requests that have their rows after a while") {
  for (const std::chrono::seconds after_s : {std::chrono::seconds(0), ledger::Settings().clear_after}) {
    const Folder alive;
    const Folder after;
    const auto ledger = open(alive, false, after_s);
    for (const char* id : {"req_a", "req_b", "req_c"}) {
      ledger::Record row = request(id);
      CHECK(ledger->hold_at_once(row, 1000));
      row.held_at_once = true;
      if (row.id != "req_b") ledger->record(row);
    }
    ledger->flush();
    const auto held = [&] {
      kill(alive, after);
      return HoldFile::left_behind(after.ledger()).at(0).rows;
    };
    if (after_s.count() == 0) {  // of itself: nobody asks the ledger for anything any more
      for (int tries = 0; held().size() > 1 && tries < 1000; ++tries) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      REQUIRE(held().size() == 1);
      CHECK(held()[0].id == "req_b");
    } else {
      ledger->flush();
      CHECK(held().size() == 3);
    }
  }
}
