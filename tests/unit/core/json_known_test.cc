#include "core/json_known.h"

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "core/json_index.h"

using namespace ccrules;

namespace {

std::string big(const std::string& start, std::size_t bytes = 4000) {
  return "[" + start + R"(,{"a":{"b":[1,{"c":"\"\\)" + std::string(bytes, 'x') + R"("}]},"ttl":1},[[]],"end"])";
}

/// Where the structural characters are, or what is wrong with the text.
std::string found_in(const std::string& text, json::Structurals& structurals) {
  const auto found = structurals.find(text);
  if (!found.ok()) return found.error().message;
  std::string said;
  for (std::uint32_t i = 0; i < structurals.count(); ++i) said += std::to_string(structurals.begin()[i]) + " ";
  return said;
}

/// So that a thread knows it again.
void remember(const std::string& text, const std::string& container, json::Structurals& structurals) {
  (void)structurals.find(text);  // it is well-formed
  const std::size_t begin = text.find(container);
  const auto* all_end = structurals.begin() + structurals.count();
  const auto* first = std::lower_bound(structurals.begin(), all_end, begin);
  const auto* end = std::lower_bound(first, all_end, begin + container.size());
  structurals.remember(text, static_cast<std::uint32_t>(first - structurals.begin()), static_cast<std::uint32_t>(end - first));
}

/// What a thread of its own finds in the texts, one that remembers the container of another text, or nothing when that is empty.
std::vector<std::string> found_in(const std::vector<std::string>& texts, const std::string& remembered = {},
                                  const std::string& container = {}) {
  std::vector<std::string> found;
  std::thread([&] {
    json::Structurals structurals;
    for (const std::string& text : texts) {
      if (!remembered.empty()) remember(remembered, container, structurals);
      found.push_back(found_in(text, structurals));
    }
  }).join();
  return found;
}

/// The first text in which it makes a difference that a container is remembered; empty: there is none.
std::string judged_otherwise(const std::vector<std::string>& texts, const std::string& remembered, const std::string& container) {
  const std::vector<std::string> afresh = found_in(texts);
  const std::vector<std::string> again = found_in(texts, remembered, container);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (again[i] != afresh[i]) return texts[i] + "\nafresh: " + afresh[i] + "\nagain: " + again[i];
  }
  return {};
}

}  // namespace

TEST_CASE("a container is known as far from the beginning or from the end as it came last") {
  json::KnownContainers known;
  const std::string tools = big("1");
  const auto keep = [&](const std::string& text) {
    json::Structurals structurals;
    REQUIRE(structurals.find(text).ok());
    // {"b":1,"t":[...],"e":2}: 5 structural characters before the array's name, and its ':'.
    known.keep(text, {structurals.begin() + 7, structurals.count() - 7 - 5});
  };
  keep(R"({"b":1,"t":)" + tools + R"(,"e":2})");
  const auto place = [&](const std::string& before, const std::string& behind) -> std::size_t {
    const auto* one = known.find(before + tools + behind);
    return one == nullptr ? 0 : one->before;
  };
  CHECK(place(R"({"b":1,"t":)", R"(,"e":2})") == 11);
  CHECK(place(R"({"b":"longer","t":)", R"(,"e":2})") == 18);
  CHECK(place(R"({"b":"longer","t":)", R"(,"e":"also longer"})") == 18);
  CHECK(place(R"({"b":1,"t":)", R"(,"e":2})") == 0);                      // both are another number of bytes
  CHECK(place(R"({"b":"longer","t":)", "") == 0);                        // nothing behind it
  CHECK(place("", R"(,"e":"also longer"})") == 0);
  CHECK(known.find(tools) == nullptr);
  CHECK(known.find("") == nullptr);
  keep(R"({"b":1,"t":)" + tools + R"(,"e":2})");  // and now there again
  CHECK(place(R"({"b":1,"t":)", R"(,"e":2})") == 11);
  std::string other = R"({"b":1,"t":)" + tools + R"(,"e":2})";
  for (const std::size_t at : {std::size_t{11}, std::size_t{60}, other.size() - 100, other.size() - 8}) {
    std::string changed = other;
    changed[at] = changed[at] == 'x' ? 'y' : 'x';
    CHECK(known.find(changed) == nullptr);
  }
}

TEST_CASE("the oldest container makes room, and what is nearly all structure is not kept") {
  json::KnownContainers known;
  const auto knows = [&](const std::string& tools) {
    const std::string text = "[" + tools + "]";
    if (known.find(text) != nullptr) return true;
    json::Structurals structurals;
    REQUIRE(structurals.find(text).ok());
    known.keep(text, {structurals.begin() + 1, structurals.count() - 2});
    return false;
  };
  CHECK_FALSE(knows(big("1")));
  CHECK(knows(big("1")));
  for (std::size_t i = 0; i < limits::kRecalled; ++i) CHECK_FALSE(knows(big(std::to_string(100 + i))));
  for (std::size_t i = 0; i < limits::kRecalled; ++i) CHECK(knows(big(std::to_string(100 + i))));
  CHECK_FALSE(knows(big("1")));
  const std::string dense = std::string(2000, '[') + std::string(2000, ']');
  CHECK_FALSE(knows(dense));
  CHECK_FALSE(knows(dense));
}

TEST_CASE("beside a container that is remembered a search finds what it finds without") {
  const std::string tools = big(R"("a","\\")");
  const std::vector<std::string> words = {"\"", "\\", "\\\\", "\\\"", "[", "]", "{", "}",  ":",     ",",        "a",
                                          "1",  " ",  "\n",   "\xc3", "\xc3\xa9",  "\x01", "\"w\"", "\"a\\\"\""};
  std::mt19937 random(7);
  const auto some = [&] {
    std::string text;
    for (auto left = random() % 7; left > 0; --left) text += words[random() % words.size()];
    return text;
  };
  std::vector<std::string> texts;
  for (int i = 0; i < 3000; ++i) {
    // As long as what stood there when it was remembered, or not: it is known by either end.
    std::string before = "{\"t\":" + some();
    std::string behind = some() + ",\"e\":1}";
    if (i % 3 != 0) before.resize(20, i % 2 == 0 ? ' ' : '\\');
    if (i % 3 != 1) behind.insert(0, behind.size() < 20 ? 20 - behind.size() : 0, ' ');
    std::string text = before;
    text.append(tools).append(behind);
    texts.push_back(std::move(text));
  }
  const std::string remembered = R"({"t":               )" + tools + R"(             ,"e":1})";  // 20 bytes before and behind
  CHECK(judged_otherwise(texts, remembered, tools).empty());
}

TEST_CASE("a container in a string is none, and one in a text that is cut anywhere is judged as ever") {
  const std::string tools = big("1", 1200);
  const std::string text = R"({"a":"b","tools":)" + tools + R"(,"after":["\u00e9é"]})";
  std::vector<std::string> texts = {R"({"a":"b","too  ":)" + tools + "}", R"({"a":"b","tools" )" + tools + R"(,"after":["\u00e9é"]})",
                                    R"({"a":"b","tools:)" + tools + R"(,"after":["\u00e9é"]})"};
  for (std::size_t size = 1; size < text.size(); ++size) texts.push_back(text.substr(0, size));
  for (std::size_t at = 1; at < text.size(); ++at) texts.push_back(text.substr(at));
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const char c : {'"', '\\', '\x02', '\xff'}) {
      texts.push_back(text);
      texts.back()[at] = c;
    }
  }
  CHECK(judged_otherwise(texts, text, tools).empty());
}
