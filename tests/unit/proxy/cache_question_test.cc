#include "proxy/cache_question.h"

#include <set>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include "core/json.h"

using namespace ccrules;

namespace {

constexpr std::uint64_t kSeed = 7;

using Hash = std::pair<std::uint64_t, std::uint64_t>;

std::string body_of(const std::string& system, const std::string& before, const std::string& said) {
  return R"({"model":"m","max_tokens":9,"system":")" + system + R"(","messages":[{"role":"user","content":"go"},)" +
         R"({"role":"assistant","content":")" + before + R"("},{"role":"user","content":")" + said + "\"}]}";
}

Hash sample(const std::string& body, std::uint64_t seed = kSeed, const std::string& context = "c") {
  auto document = json::Document::open_view(body);
  REQUIRE(document.ok());
  const auto outline = dialect::anthropic().outline(*document);
  REQUIRE(outline.ok());
  const digest::Hash128 hash = proxy::sample_of(proxy::family_of(context, *outline, seed), "anthropic", body, seed);
  return {hash.low, hash.high};
}

Hash letter(const std::string& body, std::uint64_t seed = kSeed, const std::string& context = "c") {
  const digest::Hash128 hash = proxy::letter_of(context, "anthropic", body, seed);
  return {hash.low, hash.high};
}

}  // namespace

TEST_CASE("questions that differ anywhere have letters that differ, and samples too as long as they are short") {
  std::set<Hash> letters;
  std::set<Hash> samples;
  std::size_t asked = 0;
  const auto ask = [&](const std::string& body, std::uint64_t seed = kSeed, const std::string& context = "c") {
    letters.insert(letter(body, seed, context));
    samples.insert(sample(body, seed, context));
    ++asked;
  };
  for (const std::size_t size : {1u, 1000u, 4096u - 400u}) {
    for (std::size_t at = 0; at < size; at += 97) {
      std::string before(size, 'b');
      before[at] = 'x';
      ask(body_of("s", before, "h"));
    }
  }
  const std::string body = body_of("s", "b", "h");
  ask(body);
  ask(body, kSeed + 1);
  ask(body, kSeed, "d");
  CHECK(letters.size() == asked);
  CHECK(samples.size() == asked);
  CHECK(sample(body) == sample(body));
  std::string text(100'000, 'b');
  for (std::size_t at = 0; at < text.size(); at += 1009) {
    text[at] = 'x';
    letters.insert(letter(body_of("s", text, "h")));
    ++asked;
  }
  CHECK(letters.size() == asked);
}

TEST_CASE("long questions have samples that differ where conversations do: in length, at both ends and by what the user says") {
  const std::string long_text(100'000, 'b');
  std::set<Hash> samples;
  samples.insert(sample(body_of("s", long_text, "h")));
  samples.insert(sample(body_of("S", long_text, "h")));
  samples.insert(sample(body_of("s", long_text + "b", "h")));
  samples.insert(sample(body_of("s", long_text, "H")));
  samples.insert(sample(body_of("s", long_text, "H" + std::string(3000, ' ') + "tail")));
  samples.insert(sample(body_of("s", long_text, "h" + std::string(3000, ' ') + "tail")));
  CHECK(samples.size() == 6);
  std::string edited = long_text;
  edited.replace(50'000, 4000, std::string(4000, 'x'));  // more than lies between two pieces
  samples.insert(sample(body_of("s", edited, "h")));
  CHECK(samples.size() == 7);
}
