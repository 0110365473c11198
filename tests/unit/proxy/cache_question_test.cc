#include "proxy/cache_question.h"

#include <set>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include "core/json.h"

using namespace ccrules;

namespace {

constexpr std::uint64_t kSeed = 7;

using Letter = std::pair<std::uint64_t, std::uint64_t>;

std::string body_of(const std::string& system, const std::string& before, const std::string& said) {
  return R"({"model":"m","max_tokens":9,"system":")" + system + R"(","messages":[{"role":"user","content":"go"},)" +
         R"({"role":"assistant","content":")" + before + R"("},{"role":"user","content":")" + said + "\"}]}";
}

Letter letter(const std::string& body, std::uint64_t seed = kSeed, const std::string& context = "c") {
  auto document = json::Document::open_view(body);
  REQUIRE(document.ok());
  const auto outline = dialect::anthropic().outline(*document);
  REQUIRE(outline.ok());
  const digest::Hash128 hash = proxy::letter_of(proxy::family_of(context, *outline, seed), "anthropic", body, seed);
  return {hash.low, hash.high};
}

}  // namespace

TEST_CASE("questions that differ anywhere have letters that differ, as long as they are short") {
  std::set<Letter> letters;
  std::size_t asked = 0;
  for (const std::size_t size : {1u, 3000u, 8000u - 400u}) {
    for (std::size_t at = 0; at < size; at += 97) {
      std::string before(size, 'b');
      before[at] = 'x';
      letters.insert(letter(body_of("s", before, "h")));
      ++asked;
    }
  }
  const std::string body = body_of("s", "b", "h");
  CHECK(letter(body) == letter(body));
  for (const Letter& other : {letter(body), letter(body, kSeed + 1), letter(body, kSeed, "d")}) {
    letters.insert(other);
    ++asked;
  }
  CHECK(letters.size() == asked);
}

TEST_CASE("long questions have letters that differ where conversations do: in length, at both ends and by what the user says") {
  const std::string long_text(100'000, 'b');
  std::set<Letter> letters;
  letters.insert(letter(body_of("s", long_text, "h")));
  letters.insert(letter(body_of("S", long_text, "h")));
  letters.insert(letter(body_of("s", long_text + "b", "h")));
  letters.insert(letter(body_of("s", long_text, "H")));
  letters.insert(letter(body_of("s", long_text, "H" + std::string(3000, ' ') + "tail")));
  letters.insert(letter(body_of("s", long_text, "h" + std::string(3000, ' ') + "tail")));
  CHECK(letters.size() == 6);
  std::string edited = long_text;
  edited.replace(50'000, 2000, std::string(2000, 'x'));  // more than lies between two pieces
  letters.insert(letter(body_of("s", edited, "h")));
  CHECK(letters.size() == 7);
}
