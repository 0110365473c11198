#include "core/json_escapes.h"

#include <array>
#include <random>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "core/json.h"

using namespace ccrules;

namespace {

/// Insides of literals are made of these: some as append_string() writes them, some not, some no JSON.
constexpr std::array<std::string_view, 29> kPieces = {
    "\\n", "\\\"", "\\\\", "\\t", "\\r", "\\b", "\\f", "a", "rnt", "n\xc3\xbc", "\xe2\x80\xa6", "\xe2\x94\x80", "text of a line",
    "\\u001b", "\\u0000", "\\u2028",                                                                  // so far as it writes them
    "\xe2\x80\xa8", "\xe2\x80\xa9", "\\/", "\\u001B", "\\u000a", "\\u2019", "\\ud83c", "\\u007f",     // so far JSON
    "\\u12", "\\x", "\\", "\xe2\x80", "\xe2"};
constexpr std::size_t kUsualPieces = 16;
constexpr std::size_t kJsonPieces = 24;

/// Whether append_string() writes \u and these digits.
bool is_written(std::string_view digits) {
  if (digits == "2028" || digits == "2029") return true;
  if (digits.size() != 4 || !digits.starts_with("00") || (digits[2] != '0' && digits[2] != '1')) return false;
  const bool is_digit = digits[3] != '\0' && std::string_view("0123456789abcdef").find(digits[3]) != std::string_view::npos;
  return is_digit && (digits[2] == '1' || std::string_view("89acd").find(digits[3]) == std::string_view::npos);
}

/// A text, byte by byte: whether its escapes are JSON's, and whether append_string() would spell it so.
struct Judged {
  bool valid = true;
  bool usual = true;
};
Judged judged(std::string_view text) {
  Judged out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    if (rest.starts_with("\xe2\x80\xa8") || rest.starts_with("\xe2\x80\xa9")) out.usual = false;
    if (text[i] != '\\') continue;
    const char letter = ++i < text.size() ? text[i] : '\0';
    const bool is_short =
        letter != '\0' && std::string_view("\"\\bfnrt").find(letter) != std::string_view::npos;
    const std::string_view digits = letter == 'u' ? text.substr(i + 1, 4) : std::string_view();
    out.usual = out.usual && (is_short || is_written(digits));
    if (letter == 'u') {
      out.valid = out.valid && digits.size() == 4 &&
                  digits.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
    } else {
      out.valid = out.valid && (is_short || letter == '/');
    }
  }
  return out;
}

void check(const std::string& text) {
  CAPTURE(text);
  const Judged as_it_is = judged(text);
  const char* end = text.data() + text.size();
  CHECK(json::are_escapes_valid(text.data(), end) == as_it_is.valid);
  const bool escaped = text.find('\\') != std::string::npos;
  CHECK(json::spelling_of(text.data(), end) == (!as_it_is.usual ? json::Spelling::kOther
                                                : escaped       ? json::Spelling::kEscaped
                                                                : json::Spelling::kPlain));
}

/// A request with a text that an outline passes over, 1000 bytes behind the beginning.
std::string request(std::string_view inside) {
  std::string line;
  while (line.size() < 1000) line += "a line\\n";
  return R"({"a":[[[{"b":")" + line + R"("},{"b":")" + std::string(inside) + R"("}]]],"c":"x"})";
}

}  // namespace

TEST_CASE("escapes are judged alike wherever they stand, in long texts and short ones") {
  for (const std::string_view piece : kPieces) {
    for (std::size_t before = 0; before < 300; before += before < 140 ? 1 : 13) {
      for (const std::size_t after : {0u, 1u, 5u, 130u, 300u}) {
        check(std::string(before, 'x') + std::string(piece) + std::string(after, 'y'));
        check(std::string(before, '\\') + std::string(piece) + std::string(after, 'n'));
      }
    }
  }
}

TEST_CASE("escapes are judged alike in any order") {
  std::mt19937 random(20261122);
  for (int round = 0; round < 6000; ++round) {
    const std::size_t kinds = round % 3 == 0 ? kPieces.size() : round % 3 == 1 ? kJsonPieces : kUsualPieces;
    std::string text;
    const std::size_t size = random() % 700;
    while (text.size() < size) {
      text += kPieces[random() % kinds];
      if (random() % 4 == 0) text.append(random() % 90, ' ');
    }
    check(text);
  }
}

TEST_CASE("whoever reads after somebody who only looked is told of every escape that is not JSON's") {
  for (const bool plain : {true, false}) {
    for (const std::string_view broken : {"\\x", "\\u12", "\\u00zz"}) {
      const std::string text = request((plain ? "\\n" : "\\/") + std::string(broken));
      auto document = json::Document::open_view(text, json::Escapes::kUnchecked);
      REQUIRE(document.ok());
      CHECK(document->at_end().ok());
      document->rewind();
      CHECK_FALSE(document->at_end().ok());
      document->rewind(json::Escapes::kUnchecked);
      CHECK(document->at_end().ok());
    }
  }
  for (const std::string_view good : {"\\n", "\\u001b", "\\/", "\xe2\x80\xa8"}) {
    const std::string text = request(good);
    auto document = json::Document::open_view(text, json::Escapes::kUnchecked);
    CHECK(document->at_end().ok());
    document->rewind();
    auto root = document->root_object();
    REQUIRE(root->next());
    CHECK(root->value().raw().ok());
    REQUIRE(root->next());
    CHECK(root->value().text()->view() == "x");
    CHECK(document->at_end().ok());
  }
}

TEST_CASE("the first byte of a text that may be spelt in several ways is found wherever it stands") {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool plain = byte >= ' ' && byte <= '~' && c != '\\' && c != '"' && c != '/';
    for (std::size_t before = 0; before < 70; ++before) {
      for (const std::size_t after : {0u, 1u, 15u, 40u}) {
        const std::string text = std::string(before, '~') + c + std::string(after, ' ');
        const char* const found = json::find_unplain(text.data(), text.data() + text.size());
        REQUIRE(static_cast<std::size_t>(found - text.data()) == (plain ? text.size() : before));
      }
    }
  }
  const std::string_view two = "ab/";
  CHECK(json::find_unplain(two.data(), two.data() + 2) == two.data() + 2);  // nothing behind the end counts
}
