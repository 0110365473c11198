#include "tokens/tokenizer.h"

#include <random>
#include <string>

#include <catch2/catch.hpp>

#include "support/plain_tokenizer.h"

using namespace ccrules;
using tokens::Encoding;

namespace {

std::vector<std::uint32_t> encode(Encoding encoding, std::string_view text) {
  std::vector<std::uint32_t> ids;
  tokens::Tokenizer::local(encoding).encode(text, ids);
  return ids;
}

std::int64_t count(Encoding encoding, std::string_view text) {
  return tokens::Tokenizer::local(encoding).count(text);
}

void check_like_the_plain_one(std::string_view text) {
  for (const Encoding encoding : {Encoding::kO200k, Encoding::kCl100k}) {
    const std::vector<std::uint32_t> plain = test::plain_encode(encoding, text);
    CHECK(encode(encoding, text) == plain);
    CHECK(count(encoding, text) == static_cast<std::int64_t>(plain.size()));
  }
}

std::string repeated(std::string_view unit, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += unit;
  return text;
}

}  // namespace

TEST_CASE("known texts have the ids of npm tiktoken") {
  CHECK(encode(Encoding::kO200k, "hello world") == std::vector<std::uint32_t>{24912, 2375});
  CHECK(encode(Encoding::kCl100k, "hello world") == std::vector<std::uint32_t>{15339, 1917});
  CHECK(count(Encoding::kO200k, "") == 0);
  CHECK(count(Encoding::kO200k, "<|endoftext|>") == 7);  // plain text, not the special token
}

TEST_CASE("words, numbers, symbols and white space are cut as the patterns say") {
  for (const char* text :
       {"It's HTTPServer's x='S'", "don'T WE'LL we\xC5\xBF '\xC5\xBF", "12345 1 22 333",
        "  a\n\n  b \r\n\tc   ", " \n x  ", "a//b/\n\n/ ...\n?!/", "\xC3\x89t\xC3\xA9 \xCC\x81x\xCC\x81Y",
        "\xCA\xB0\xCA\xB0ZZ\xCA\xB0z", "\xE6\xBC\xA2\xE5\xAD\x97\xE3\x81\x8B",
        "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA9", "\xC2\xA0x\xE3\x80\x80\xE3\x80\x80y",
        "\xD9\xA3\xC2\xBD\xE0\xA5\xA8\x31", "'", "''s", " '", "!'re"}) {
    INFO(text);
    check_like_the_plain_one(text);
  }
}

TEST_CASE("bytes that are no UTF-8 are counted, each for itself") {
  for (const char* text : {"\xFF", "a\x80z", "\xC3", "\xE2\x82", "\xF0\x9F\x98", "\xED\xA0\x80", "\xC0\xAF",
                           "\xF5\x80\x80\x80"}) {
    check_like_the_plain_one(text);
  }
}

TEST_CASE("random mixtures are merged as the plain tokenizer merges them") {
  std::mt19937 random(7);
  const std::vector<std::string> parts{
      "a",    "B",  " ",   "\n",       "1",        "'s",           "!",
      "/",    "\t", "the", "\xC3\xA9", "\xCC\x81", "\xE6\xBC\xA2", "\xF0\x9F\x98\x80",
      "\xFF", "ing"};
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (std::size_t n = random() % 40; n > 0; --n) text += parts[random() % parts.size()];
    check_like_the_plain_one(text);
  }
}

TEST_CASE("long unbroken runs are merged over window seams as if at once") {
  std::mt19937 random(11);
  for (const std::size_t size : {511u, 512u, 513u, 960u, 1500u}) {
    check_like_the_plain_one(repeated("a", size));
    check_like_the_plain_one("xy" + repeated(" ", size));
    check_like_the_plain_one("y" + repeated("ab", size / 2));
    std::string letters, few;
    for (std::size_t i = 0; i < size; ++i) {
      letters += static_cast<char>('a' + random() % 26);
      few += random() % 3 == 0 ? 'e' : 's';
    }
    check_like_the_plain_one(letters);
    check_like_the_plain_one(few);
  }
}

TEST_CASE("a megabyte of one character is counted in linear time") {
  // 1 MB in one piece: quadratic merging would not come to an end within the test's limit.
  CHECK(count(Encoding::kO200k, std::string(1'000'000, 'a')) == 125'000);
  CHECK(count(Encoding::kO200k, std::string(1'000'000, ' ')) == 7813);
  CHECK(count(Encoding::kCl100k, std::string(1'000'000, '!')) == 125'000);
}

TEST_CASE("the tables fit their promise") {
  CHECK(tokens::Table::of(Encoding::kO200k).tokens() == 199'998);
  CHECK(tokens::Table::of(Encoding::kCl100k).tokens() == 100'256);
  CHECK(tokens::Table::of(Encoding::kO200k).bytes() <= 8u * 1024 * 1024);
  CHECK(tokens::Table::of(Encoding::kCl100k).bytes() <= 8u * 1024 * 1024);
}
