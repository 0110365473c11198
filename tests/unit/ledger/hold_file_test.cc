#include "ledger/hold_file.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <span>
#include <thread>

#include <catch2/catch.hpp>

#include "core/digest.h"
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

/// Holds it in a place of its own.
ledger::Record put(HoldFile& file, const std::string& id, std::int64_t nanousd) {
  ledger::Record row = request(id);
  row.held_slot = file.put(row, nanousd, HoldFile::kNone);
  CHECK(row.held_slot != HoldFile::kNone);
  return row;
}

/// What a killed process leaves: its files without their locks.
void kill(const Folder& dying, const Folder& left) {
  for (const std::string& file : dying.holds()) {
    std::filesystem::copy_file(file, left.path / std::filesystem::path(file).filename(), std::filesystem::copy_options::overwrite_existing);
  }
}

std::unique_ptr<ledger::Ledger> open(const Folder& folder, bool durable = false) {
  ledger::Settings settings;
  settings.path = folder.ledger();
  settings.durable = durable;
  auto opened = ledger::Ledger::open(settings);
  REQUIRE(opened.ok());
  return *std::move(opened);
}

/// What would be found if the process of `alive` were killed now.
std::vector<std::string> held(const Folder& alive, const Folder& after) {
  kill(alive, after);
  const auto left = HoldFile::left_behind(after.ledger());
  std::vector<std::string> ids;
  for (const ledger::Record& row : left.at(0).rows) ids.push_back(row.id);
  return ids;
}
using Ids = std::vector<std::string>;

std::int64_t number(const Folder& folder, const char* sql) {
  auto connection = ledger::Connection::open(folder.ledger(), ledger::Connection::Mode::kReadOnly, 0);
  REQUIRE(connection.ok());
  const auto value = connection->number(sql);
  REQUIRE(value.ok());
  return *value;
}

}  // namespace

TEST_CASE("what a version that knew fewer columns held is read, and what those columns say is kept") {
  const Folder alive, after;
  const auto file = HoldFile::create(alive.ledger());
  REQUIRE(file);
  ledger::Record row = request("req_new");
  row.billed_model = "m-2";
  row.nested_run = "B";
  CHECK(file->put(row, 7, HoldFile::kNone) != HoldFile::kNone);
  std::string rest;  // as versions before billed_model wrote it: 19 texts behind three numbers
  const auto add = [&rest](const auto& number) { rest.append(reinterpret_cast<const char*>(&number), sizeof(number)); };
  add(std::int64_t{5});
  add(std::int64_t{9});
  add(std::uint8_t{0});
  for (int i = 0; i < 19; ++i) {
    const std::string text = i == 0 ? "req_old" : i == 12 ? "reason" : "";
    add(static_cast<std::uint32_t>(text.size()));
    rest += text;
  }
  const std::array<std::uint64_t, 3> head = {1, rest.size(), digest::hash64(rest, 0x686f6c6473)};
  CHECK(file->put(request("req_over"), 1, HoldFile::kNone) != HoldFile::kNone);
  kill(alive, after);
  {
    std::fstream slot(after.holds().at(0), std::ios::in | std::ios::out | std::ios::binary);
    slot.seekp(HoldFile::kSlotBytes);
    slot.write(reinterpret_cast<const char*>(head.data()), sizeof(head));
    slot.write(rest.data(), static_cast<std::streamsize>(rest.size()));
  }
  const auto left = HoldFile::left_behind(after.ledger());
  REQUIRE(left.size() == 1);
  REQUIRE(left[0].rows.size() == 2);
  CHECK(left[0].rows[0].billed_model == "m-2");
  CHECK(left[0].rows[0].nested_run == "B");
  CHECK(left[0].rows[1].id == "req_old");
  CHECK(left[0].rows[1].reason == "reason");
  CHECK(left[0].rows[1].cost_nanousd == 9);
  CHECK(left[0].rows[1].billed_model.empty());
}

TEST_CASE("what is held is there for whoever comes after a killed process, as it was put last") {
  const Folder alive;
  const Folder after;
  const auto file = HoldFile::create(alive.ledger());
  REQUIRE(file);
  const ledger::Record first = put(*file, "req_a", 100);
  const ledger::Record grown = put(*file, "req_b", 200);
  put(*file, "req_c", 300);
  CHECK(file->put(grown, 250, grown.held_slot) != HoldFile::kNone);
  file->release(std::span(&first, 1));
  file->release(std::vector<ledger::Record>{request("req_unknown")});
  CHECK(HoldFile::left_behind(alive.ledger()).empty());  // it lives
  kill(alive, after);
  const auto left = HoldFile::left_behind(after.ledger());
  REQUIRE(left.size() == 1);
  REQUIRE(left[0].rows.size() == 2);
  CHECK(left[0].rows[0].id == "req_c");
  CHECK(left[0].rows[1].id == "req_b");
  CHECK(left[0].rows[1].cost_nanousd == 250);
  CHECK(left[0].rows[1].project == "/srv/web");
  CHECK(left[0].rows[1].tags_json == R"({"team":"a"})");
  CHECK(left[0].rows[1].stream);
  CHECK(HoldFile::left_behind(after.ledger()).empty());  // somebody takes it over just now
}

TEST_CASE("a file of holds goes away with its process unless something is held") {
  const Folder folder;
  auto file = HoldFile::create(folder.ledger());
  const ledger::Record row = put(*file, "req_a", 100);
  CHECK(folder.holds().size() == 1);
  file->release(std::span(&row, 1));
  file.reset();
  CHECK(folder.holds().empty());
  file = HoldFile::create(folder.ledger());
  put(*file, "req_b", 100);
  file.reset();
  const auto left = HoldFile::left_behind(folder.ledger());
  REQUIRE(left.size() == 1);
  CHECK(left[0].rows.size() == 1);
}

TEST_CASE("slots of requests that have their rows say nothing, and are taken again") {
  const Folder alive;
  const Folder after;
  const auto file = HoldFile::create(alive.ledger());
  std::vector<ledger::Record> rows;
  for (const char* id : {"req_a", "req_b", "req_c", "req_d"}) rows.push_back(put(*file, id, 100));
  rows[0].held_slot = HoldFile::kNone;  // another one holds it
  file->release(std::span(rows).first(3));
  CHECK(held(alive, after) == Ids{"req_a", "req_d"});
  put(*file, "req_e", 100);
  CHECK(held(alive, after) == Ids{"req_a", "req_e", "req_d"});
  file->release(std::span(rows).last(1));
  put(*file, "req_f", 100);
  put(*file, "req_g", 100);
  put(*file, "req_h", 100);
  CHECK(held(alive, after) == Ids{"req_a", "req_g", "req_e", "req_f", "req_h"});
}

TEST_CASE("a file that stays when its process ends says only what is held still") {
  const Folder folder;
  {
    const auto file = HoldFile::create(folder.ledger());
    const std::vector<ledger::Record> rows = {put(*file, "req_a", 100), put(*file, "req_b", 100)};
    put(*file, "req_c", 100);
    file->release(rows);
  }
  const auto left = HoldFile::left_behind(folder.ledger());
  REQUIRE(left.size() == 1);
  REQUIRE(left[0].rows.size() == 1);
  CHECK(left[0].rows[0].id == "req_c");
}

TEST_CASE("a file of holds that has been cut or deleted under its process takes nothing more, and the process lives") {
  const bool is_free = GENERATE(false, true);
  const std::size_t cut_to = GENERATE(std::size_t{0}, HoldFile::kSlotBytes, HoldFile::kSlotBytes + 16);
  const Folder alive;
  const Folder after;
  const auto file = HoldFile::create(alive.ledger());
  const ledger::Record first = put(*file, "req_a", 100);
  const ledger::Record second = put(*file, "req_b", 200);
  if (is_free) file->release(std::span(&second, 1));
  std::filesystem::resize_file(alive.holds().at(0), cut_to);
  if (!is_free) file->release(std::span(&second, 1));
  if (is_free && cut_to > HoldFile::kSlotBytes) (void)file->put(request("req_b"), 1, HoldFile::kNone);  // in a page that is there in part
  for (const char* id : {"req_c", "req_d"}) CHECK(file->put(request(id), 400, first.held_slot) == HoldFile::kNone);
  CHECK(held(alive, after) == (cut_to == 0 ? Ids{} : Ids{"req_a"}));
}

TEST_CASE("a file of holds that has been deleted under its process takes nothing more once somebody looks") {
  const Folder alive;
  const auto file = HoldFile::create(alive.ledger());
  const ledger::Record first = put(*file, "req_a", 100);
  std::filesystem::remove(alive.holds().at(0));
  const bool by_a_batch = GENERATE(false, true);
  if (by_a_batch) file->release(std::span(&first, 1));
  for (const char* id : {"req_b", "req_c"}) CHECK(file->put(request(id), 100, HoldFile::kNone) == HoldFile::kNone);
}

TEST_CASE("what is too long for a hold, or one too many, is refused") {
  const Folder folder;
  const auto file = HoldFile::create(folder.ledger());
  ledger::Record row = request("req_long");
  row.tags_json = std::string(HoldFile::kSlotBytes, 'x');
  CHECK(file->put(row, 1, HoldFile::kNone) == HoldFile::kNone);
  for (std::uint32_t i = 0; i < HoldFile::kSlots; ++i) REQUIRE(file->put(request("req"), 1, HoldFile::kNone) != HoldFile::kNone);
  CHECK(file->put(request("req_more"), 1, HoldFile::kNone) == HoldFile::kNone);
  CHECK_FALSE(HoldFile::create((folder.path / "nowhere" / "ledger.db").string()));
}

TEST_CASE("damaged holds are left out, and the others are found") {
  const Folder alive;
  const Folder after;
  const auto file = HoldFile::create(alive.ledger());
  for (int i = 0; i < 8; ++i) put(*file, "req_" + std::to_string(i), 100 + i);
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
    std::uint32_t slot = 0;
    for (const char* id : {"req_a", "req_b", "req_c"}) {
      const std::uint32_t its = ledger->hold_at_once(request(id), 1000);
      CHECK(its != 0);
      if (id == std::string("req_b")) slot = its;
    }
    kill(alive, after);  // before its file knows that one of them is over
    ledger::Record over = request("req_b");
    const auto rows = HoldFile::left_behind(after.ledger());
    REQUIRE(rows.at(0).rows.size() == 3);
    over.at_us = rows[0].rows[1].at_us;
    over.cost_nanousd = 70;
    over.held_slot = slot;
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
      row.held_slot = ledger->hold_at_once(row, 100);
      CHECK(row.held_slot != 0);
      row.tags_json = "{\"a\":\"" + std::string(HoldFile::kSlotBytes, 'x') + "\"}";  // it has got longer
      CHECK(ledger->hold_at_once(row, in_table) == 0);
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
  CHECK(ledger->hold_at_once(request("req_a"), 1) == 0);
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
        ledger::Record row = request("req_" + std::to_string(t) + "_" + std::to_string(i));
        row.held_slot = file->put(row, i, HoldFile::kNone);
        if (row.held_slot == HoldFile::kNone) return;
        if (i % 10 != 0) file->release(std::span(&row, 1));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  kill(alive, after);
  const auto left = HoldFile::left_behind(after.ledger());
  REQUIRE(left.size() == 1);
  CHECK(left[0].rows.size() == 4 * 20);
}

TEST_CASE("a ledger lets go of what it holds for requests that have their rows") {
  const Folder alive;
  const Folder after;
  const auto ledger = open(alive);
  for (const char* id : {"req_a", "req_b", "req_c"}) {
    ledger::Record row = request(id);
    row.held_slot = ledger->hold_at_once(row, 1000);
    CHECK(row.held_slot != 0);
    if (row.id != "req_b") ledger->record(row);
  }
  ledger->flush();
  CHECK(held(alive, after) == Ids{"req_b"});
}
