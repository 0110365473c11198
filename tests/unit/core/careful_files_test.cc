#include "core/careful_files.h"

#include <filesystem>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "support/files.h"

using namespace ccrules;

namespace {

/// A folder that goes with the test.
struct Scratch {
  Scratch() {
    std::string made = (std::filesystem::temp_directory_path() / "ccrules-careful-XXXXXX").string();
    REQUIRE(::mkdtemp(made.data()) != nullptr);
    path = made;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string path;
};

}  // namespace

TEST_CASE("careful files are plain ones, also behind a link, up to 256 KiB") {
  const Scratch scratch;
  test::write_file(scratch.path + "/a.md", "You review code.");
  REQUIRE(::symlink((scratch.path + "/a.md").c_str(), (scratch.path + "/link.md").c_str()) == 0);
  test::write_file(scratch.path + "/most.md", std::string(256 * 1024, 'x'));
  test::write_file(scratch.path + "/large.md", std::string(256 * 1024 + 1, 'x'));

  CHECK(*careful_files().read(scratch.path + "/a.md") == "You review code.");
  CHECK(*careful_files().read(scratch.path + "/link.md") == "You review code.");
  CHECK(careful_files().read(scratch.path + "/most.md").ok());
  CHECK_FALSE(careful_files().read(scratch.path + "/large.md").ok());
  CHECK_FALSE(careful_files().read(scratch.path + "/none.md").ok());
  CHECK_FALSE(careful_files().read(scratch.path).ok());
  CHECK(careful_files().list(scratch.path).size() == 4);
}

TEST_CASE("a pipe nobody writes to and an endless device are refused at once") {
  const Scratch scratch;
  REQUIRE(::mkfifo((scratch.path + "/pipe.md").c_str(), S_IRUSR | S_IWUSR) == 0);
  REQUIRE(::symlink("/dev/zero", (scratch.path + "/zero.md").c_str()) == 0);

  CHECK_FALSE(careful_files().read(scratch.path + "/pipe.md").ok());
  CHECK_FALSE(careful_files().read(scratch.path + "/zero.md").ok());
}

TEST_CASE("of a folder with very many entries some are listed") {
  const Scratch scratch;
  for (int i = 0; i < 2100; ++i) test::write_file(scratch.path + "/" + std::to_string(i), "");
  CHECK(careful_files().list(scratch.path).size() == 2000);
}
