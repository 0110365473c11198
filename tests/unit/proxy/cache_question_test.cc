#include "proxy/cache_question.h"

#include <set>
#include <string>
#include <thread>
#include <utility>

#include <catch2/catch.hpp>

#include "core/json.h"

using namespace ccrules;

namespace {

constexpr std::uint64_t kSeed = 7;

std::string body_of(const std::string& system, const std::string& tool, const std::string& said) {
  return R"({"model":"m","max_tokens":9,"system":")" + system + R"(","tools":[{"name":")" + tool + R"(","description":")" +
         std::string(2000, 'd') + R"("}],"messages":[{"role":"user","content":")" + said + "\"}]}";
}

std::pair<std::uint64_t, std::uint64_t> letter(const std::string& body, std::uint64_t seed = kSeed, const std::string& context = "c") {
  auto document = json::Document::open_view(body);
  REQUIRE(document.ok());
  const auto outline = dialect::anthropic().outline(*document);
  REQUIRE(outline.ok());
  CHECK((body.size() < 2000) == (outline->tools_number == 0));
  const digest::Hash128 hash = proxy::letter_of(context, "anthropic", body, *outline, seed);
  return {hash.low, hash.high};
}

}  // namespace

TEST_CASE("a question has one letter, however often its tools have come before and on whichever thread") {
  const std::string body = body_of("s", "first", "hello");
  const auto once = letter(body);
  CHECK(letter(body) == once);
  for (int i = 0; i < 40; ++i) (void)letter(body_of("s", "other" + std::to_string(i), "hello"));  // nobody remembers the first one now
  CHECK(letter(body) == once);
  std::pair<std::uint64_t, std::uint64_t> elsewhere;
  std::thread([&] { elsewhere = letter(body); }).join();
  CHECK(elsewhere == once);
}

TEST_CASE("questions that differ anywhere have letters that differ") {
  std::set<std::pair<std::uint64_t, std::uint64_t>> letters;
  std::size_t asked = 0;
  for (const char* system : {"s", "S", "sx"}) {
    for (const char* tool : {"t", "T", "tx"}) {
      for (const char* said : {"h", "H", "xh"}) {
        letters.insert(letter(body_of(system, tool, said)));
        ++asked;
      }
    }
  }
  const std::string body = body_of("s", "t", "h");
  letters.insert(letter(body, kSeed + 1));
  letters.insert(letter(body, kSeed, "d"));
  letters.insert(letter(R"({"model":"m","max_tokens":9,"tools":[{"name":"t"}],"messages":[{"role":"user","content":"h"}]})"));
  CHECK(letters.size() == asked + 3);
}
