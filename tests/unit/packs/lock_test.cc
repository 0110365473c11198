#include <catch2/catch.hpp>

#include "packs/lock.h"
#include "support/memory_files.h"

using namespace ccrules;
using namespace ccrules::packs;
using Catch::Contains;

namespace {

const std::string kHash(64, 'a');

Lock sample() {
  Lock lock;
  lock.packs.push_back({"acme/cost", "1.0.0", "packs/acme-cost", "https://x/y.tar.gz", "sha256:" + kHash, "ed25519:" + kHash,
                        {"headers", "text"}, {{"cheap", "ollama,qwen3"}}, {{"limit", "5"}}, {}});
  lock.packs.push_back({"plain", "0.1.0", "packs/plain", "./plain", "sha256:" + kHash, {}, {}, {}, {}, {}});
  lock.projects.push_back({"/srv/web/.ccrules", "/srv/web", "sha256:" + kHash, {}, {}, {}, {}});
  return lock;
}

std::string complaint(const std::string& text) {
  std::vector<config::Diagnostic> found;
  if (read_lock("rules.lock", text, found)) return "accepted";
  REQUIRE_FALSE(found.empty());
  return std::to_string(found.front().where.line) + ": " + found.front().message + " | " + found.front().hint;
}

}  // namespace

TEST_CASE("a lock is written as it is read, byte for byte the same each time") {
  const std::string text = to_json(sample());
  std::vector<config::Diagnostic> found;
  const std::optional<Lock> read = read_lock("rules.lock", text, found);
  REQUIRE(read);
  CHECK(found.empty());
  CHECK(to_json(*read) == text);
  CHECK(read->find("acme/cost")->models.at("cheap") == "ollama,qwen3");
  CHECK(read->find("plain")->key.empty());
  CHECK(read->find("nobody") == nullptr);
  CHECK(read->projects.front().project == "/srv/web");
  CHECK(to_json(Lock()) == to_json(*read_lock("rules.lock", to_json(Lock()), found)));
}

TEST_CASE("a damaged lock is an error with its line, never an empty lock") {
  CHECK_THAT(complaint("{"), Contains("1: "));
  CHECK_THAT(complaint(R"({"schema":"ccrules.lock/9"})"), Contains("another version"));
  CHECK_THAT(complaint(R"({"packs":[{"name":"a"}]})"), Contains("a locked pack has name"));
  CHECK_THAT(complaint(R"({"pack":[]})"), Contains("unknown member 'pack' | did you mean 'packs'?"));
  CHECK_THAT(complaint(R"({"packs":[{"name":"a","path":"p","identity":"sha256:12"}]})"), Contains("identity must be sha256:"));
  CHECK_THAT(complaint(R"({"packs":[{"name":"a","path":"p","identity":"sha256:)" + kHash + R"(","key":"none"}]})"), Contains("key must be"));
  CHECK_THAT(complaint(R"({"packs":[{"name":"a","path":"p","identity":"sha256:)" + kHash + R"(","granted":["root"]}]})"),
             Contains("only text, headers and spend"));
}

TEST_CASE("the lock stands beside the configuration file") {
  const test::MemoryFiles files({{"/etc/ccrules/rules.lock", to_json(sample())}});
  std::vector<config::Diagnostic> found;
  CHECK(load_lock(files, "/etc/ccrules/ccrules.json", found)->packs.size() == 2);
  CHECK(load_lock(files, "/home/me/ccrules.json", found)->packs.empty());
  CHECK(load_lock(files, "", found)->packs.empty());
  CHECK(found.empty());
}
