#include "ledger/ledger.h"

#include <filesystem>

#include <catch2/catch.hpp>

#include "core/ids.h"
#include "core/world.h"
#include "ledger/queries.h"

using namespace ccrules;

namespace {

/// A directory that goes away with the test.
struct Folder {
  Folder() : path(std::filesystem::temp_directory_path() / ids::make("ccrules-", system_random())) {}
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::filesystem::path path;
};

ledger::Record row(const std::string& model, std::int64_t cost_nanousd) {
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

}  // namespace

TEST_CASE("rows are written and can be summed by model") {
  const Folder folder;
  const std::string path = (folder.path / "sub" / "ledger.db").string();
  auto opened = ledger::Ledger::open({path});
  REQUIRE(opened.ok());
  (*opened)->record(row("a", 5));
  (*opened)->record(row("b", 7));
  (*opened)->record(row("b", 1));
  (*opened)->flush();
  CHECK((*opened)->health().rows_written == 3);
  const auto stats = ledger::stats({path});
  REQUIRE(stats.ok());
  CHECK(stats->total.requests == 3);
  CHECK(stats->total.cost_nanousd == 13);
  REQUIRE(stats->rows.size() == 2);
  CHECK(stats->rows[0].key == "b");
  CHECK(stats->rows[0].cost_nanousd == 8);
  using std::filesystem::perms;
  CHECK((std::filesystem::status(path).permissions() & perms::all) ==
        (perms::owner_read | perms::owner_write));
  CHECK((std::filesystem::status(folder.path / "sub").permissions() & perms::all) == perms::owner_all);
}
