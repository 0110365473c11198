#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "core/world.h"
#include "support/files.h"

using namespace ccrules;

TEST_CASE("files are read whole, whatever their size and bytes") {
  const std::string path = (std::filesystem::temp_directory_path() / ("ccr-world-" + std::to_string(::getpid()))).string();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{65536}, std::size_t{65537}, std::size_t{200000}}) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31);
    test::write_file(path, text);
    const Result<std::string> read = system_files().read(path);
    REQUIRE(read.ok());
    CHECK(*read == text);
  }
  std::filesystem::remove(path);
}

TEST_CASE("a file without an end is refused") {
  const Result<std::string> read = system_files().read("/dev/zero");
  REQUIRE_FALSE(read.ok());
  CHECK(read.error().message == "cannot read /dev/zero: it has more than 256 MB");
}
