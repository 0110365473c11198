#include <catch2/catch.hpp>

#include "core/digest.h"
#include "core/limits.h"
#include "packs/archive.h"
#include "packs/seal.h"
#include "support/memory_files.h"
#include "support/tar_writer.h"

using namespace ccrules;
using namespace ccrules::packs;
using ccrules::test::tar_end;
using ccrules::test::tar_entry;

namespace {

Folder small_pack() {
  return {{"README.md", "hello\n"}, {"pack.json", "{}"}, {"rules/a.lua", "-- nothing\n"}, {"tests/empty.jsonl", ""}};
}

std::string refusal(const std::string& archive) {
  const Result<Folder> read = read_archive(archive);
  return read.ok() ? std::string("accepted") : read.error().message;
}

}  // namespace

TEST_CASE("an archive gives back the files it was made of, with gzip and with zstd") {
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    const Result<std::string> archive = write_archive(small_pack(), compression);
    REQUIRE(archive.ok());
    const Result<Folder> read = read_archive(*archive);
    REQUIRE(read.ok());
    CHECK(*read == small_pack());
  }
}

TEST_CASE("the same files give the same archive, whatever the day and whoever builds") {
  const std::string once = *write_archive(small_pack());
  CHECK(once == *write_archive(small_pack()));
  CHECK(once.substr(4, 4) == std::string(4, '\0'));  // the time in the gzip header
}

TEST_CASE("a plain tar archive is read too, its folders are passed over") {
  const std::string archive = tar_entry("./", "", '5') + tar_entry("./rules/", "", '5') + tar_entry("./rules/a.lua", "x") + tar_end();
  const Result<Folder> read = read_archive(archive);
  REQUIRE(read.ok());
  CHECK(*read == Folder{{"rules/a.lua", "x"}});
}

TEST_CASE("an archive that leads out of its folder is refused") {
  using Catch::Contains;
  CHECK_THAT(refusal(tar_entry("../evil", "x") + tar_end()), Contains("leads out of it"));
  CHECK_THAT(refusal(tar_entry("rules/../../evil", "x") + tar_end()), Contains("leads out of it"));
  CHECK_THAT(refusal(tar_entry("/etc/passwd", "x") + tar_end()), Contains("absolute"));
  CHECK_THAT(refusal(tar_entry("..", "", '5') + tar_end()), Contains("leads out of it"));
  CHECK_THAT(refusal(tar_entry("C:\\evil", "x") + tar_end()), Contains("may only hold"));
  CHECK_THAT(refusal(tar_entry(".git/config", "x") + tar_end()), Contains("dot"));
  CHECK_THAT(refusal(tar_entry("a\nb", "x") + tar_end()), Contains("may only hold"));
}

TEST_CASE("links, devices and pipes in an archive are refused") {
  using Catch::Contains;
  CHECK_THAT(refusal(tar_entry("a", "", '2', "/etc/passwd") + tar_end()), Contains("holds a link ('a')"));
  CHECK_THAT(refusal(tar_entry("a", "x") + tar_entry("b", "", '1', "a") + tar_end()), Contains("holds a link ('b')"));
  CHECK_THAT(refusal(tar_entry("null", "", '3') + tar_end()), Contains("device"));
  CHECK_THAT(refusal(tar_entry("pipe", "", '6') + tar_end()), Contains("device"));
}

TEST_CASE("two files of one name are refused, also when only the letters' case differs") {
  using Catch::Contains;
  CHECK_THAT(refusal(tar_entry("a", "1") + tar_entry("a", "2") + tar_end()), Contains("same name"));
  CHECK_THAT(refusal(tar_entry("rules/a.lua", "1") + tar_entry("Rules/A.lua", "2") + tar_end()), Contains("same name"));
  CHECK_THAT(refusal(tar_entry("a", "1") + tar_entry("a/b", "2") + tar_end()), Contains("same name"));
}

TEST_CASE("a gigabyte of zeros is refused while it is small, packed or only claimed") {
  using Catch::Contains;
  CHECK_THAT(refusal(tar_entry("zeros", "", '0', "", 1U << 30U) + tar_end()), Contains("larger than 8 MiB"));
  // 64 files of 1 MiB each: every one is allowed, all together are not.
  Folder zeros;
  std::string bombs;
  for (int i = 0; i < 64; ++i) bombs += tar_entry("zeros-" + std::to_string(i), std::string(1U << 20U, '\0'));
  CHECK_THAT(refusal(bombs.substr(0, limits::kPackArchiveBytes)), Contains("8 MiB") || Contains("Truncated"));
  CHECK_THAT(refusal(bombs + tar_end()), Contains("archive is larger than 8 MiB"));
}

TEST_CASE("too many files, an endless path and a broken archive are refused") {
  using Catch::Contains;
  std::string many;
  for (std::size_t i = 0; i <= limits::kPackFiles; ++i) many += tar_entry("f" + std::to_string(i), "");
  CHECK_THAT(refusal(many + tar_end()), Contains("more than 1000 files"));
  std::string folders;
  for (std::size_t i = 0; i < 3 * limits::kPackFiles; ++i) folders += tar_entry("d/", "", '5');
  CHECK_THAT(refusal(folders + tar_end()), Contains("more than 1000 files"));
  CHECK_THAT(refusal(tar_entry("x", "30 path=" + std::string(200, 'p') + "\n", 'x') + tar_entry("a", "x") + tar_end()), !Contains("accepted"));
  const std::string whole = *write_archive(small_pack());
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    INFO(size);
    CHECK_FALSE(read_archive(whole.substr(0, size)).ok());
  }
  CHECK_FALSE(read_archive("not an archive at all, but some text that is long enough to be looked at").ok());
  CHECK_FALSE(read_archive(tar_end()).ok());
}

TEST_CASE("a folder is read without what begins with a dot") {
  test::MemoryFiles files({{"/p/pack.json", "{}"}, {"/p/.git", "x"}});
  const Result<Folder> read = read_folder(files, "/p");
  REQUIRE(read.ok());
  CHECK(*read == Folder{{"pack.json", "{}"}});
}
