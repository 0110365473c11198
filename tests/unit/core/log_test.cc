#include "core/log.h"

#include <cstdio>
#include <filesystem>

#include <unistd.h>

#include <catch2/catch.hpp>

#include "support/files.h"

using namespace ccrules;

TEST_CASE("a message stays one line that no terminal and no JSON reader takes for more than text") {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("ccrules-log-" + std::to_string(::getpid()))).string();
  log::Settings settings;
  settings.file = path;
  const std::string hostile = "a\x1b]0;title\x07\r\n\"\xc2\x9b" "2J \xc3\xa9 \xc2\xa9 \xe2\x80\xae\xe2\x81\xa7\xe2\x80\x93";
  log::configure(settings);
  log::info(hostile);
  settings.json = true;
  log::configure(settings);
  log::info(hostile);
  log::Settings silent;
  silent.level = log::Level::kOff;
  log::configure(silent);
  const std::string written = test::read_file(path);
  std::remove(path.c_str());

  CHECK_THAT(written, Catch::Contains(R"(a\x1b]0;title\x07\x0d\x0a"\x9b2J)" " \xc3\xa9 \xc2\xa9 \\u202e\\u2067\xe2\x80\x93\n"));
  CHECK_THAT(written, Catch::Contains(R"(a\u001b]0;title\u0007\u000d\u000a\"\u009b2J)" " \xc3\xa9 \xc2\xa9 \\u202e\\u2067\xe2\x80\x93\""));
}

TEST_CASE("a new log file is its owner's alone, one that is there keeps its mode") {
  using std::filesystem::perms;
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("ccrules-log-mode-" + std::to_string(::getpid()));
  const auto mode_after = [](const std::filesystem::path& path) {
    log::Settings settings;
    settings.file = path.string();
    log::configure(settings);
    log::Settings silent;
    silent.level = log::Level::kOff;
    log::configure(silent);
    return std::filesystem::status(path).permissions() & perms::all;
  };
  CHECK(mode_after(folder / "new.log") == (perms::owner_read | perms::owner_write));
  test::write_file((folder / "old.log").string(), "");
  const perms shared = perms::owner_read | perms::owner_write | perms::group_read;
  std::filesystem::permissions(folder / "old.log", shared);
  CHECK(mode_after(folder / "old.log") == shared);
  std::filesystem::remove_all(folder);
}
