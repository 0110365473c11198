#include "core/json_recall.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "core/limits.h"

using namespace ccrules;

namespace {

using Counts = json::Recall<int>;

std::string big(const std::string& start, std::size_t bytes = 4000) {
  return "[" + start + R"(,{"a":{"b":[1,{"c":")" + std::string(bytes, 'x') + R"("}]},"ttl":1},[[]],"end"])";
}

struct Seen {
  int tools = 0;      ///< elements; negative: as they were remembered
  std::string after;  ///< what stands behind the tools
  bool watched = false;
  bool valid = false;
  bool operator==(const Seen&) const = default;
};

/// Reads {..., "tools": [...], "after": "..."}, by `recall` where that knows the tools.
Seen read(json::Document& document, Counts& recall, std::string_view kind = "k") {
  Seen seen;
  auto root = document.root_object();
  while (root.ok() && root->next()) {
    json::Value& value = root->value();
    if (root->key() == "after") seen.after = *value.string();
    if (root->key() != "tools") continue;
    if (const int* known = recall.pass_again(value, kind)) {
      seen.tools = -*known;
      continue;
    }
    auto tools = value.array();
    REQUIRE(tools.ok());
    while (tools->next()) ++seen.tools;
    if (tools->done().ok()) recall.keep(value, kind, seen.tools);
  }
  seen.valid = root.ok() && root->done().ok() && document.at_end().ok();
  seen.watched = document.saw_watched();
  return seen;
}

Seen read(const std::string& text, Counts& recall, std::string_view watched = {}, json::Escapes unread = json::Escapes::kUnchecked) {
  auto document = json::Document::open_view(text, unread);
  REQUIRE(document.ok());
  document->watch(watched);
  return read(*document, recall);
}

}  // namespace

TEST_CASE("the same container is passed over in another document, and what follows is read as ever") {
  Counts recall;
  const std::string tools = big("1");
  CHECK(read(R"({"tools":)" + tools + R"(,"after":"one"})", recall) == Seen{4, "one", false, true});
  CHECK(read(R"({"more":[{"x":[]}],"tools": )" + tools + R"( , "after":"two"})", recall) == Seen{-4, "two", false, true});
  CHECK(read(R"({"after":"three","tools":)" + tools + "}", recall) == Seen{-4, "three", false, true});
  CHECK_FALSE(read(R"({"tools":)" + tools + R"(,"after":"four")", recall).valid);
  CHECK_FALSE(read(R"({"tools":)" + tools + R"(]})", recall).valid);
}

TEST_CASE("one other byte anywhere, and the container is read") {
  Counts recall;
  const std::string tools = big("1");
  CHECK(read(R"({"tools":)" + tools + "}", recall).tools == 4);
  for (const std::size_t at : {std::size_t{1}, std::size_t{40}, tools.size() - 200, tools.size() - 3}) {
    std::string other = tools;
    other[at] = other[at] == 'x' ? 'y' : other[at] == '1' ? '2' : 'z';
    CAPTURE(at);
    Counts fresh = recall;
    CHECK(read(R"({"tools":)" + other + "}", fresh).tools == 4);
  }
  CHECK(read(R"({"tools":[)" + tools + "]}", recall).tools == 1);   // it stands deeper
  CHECK(read(R"({"tools":)" + big("1,1") + "}", recall).tools == 5);  // and ends alike
}

TEST_CASE("a second reading jumps over what was passed again, and reads what it wants of it") {
  Counts recall;
  const std::string text = R"({"before":{"a":[]},"tools":)" + big(R"({"name":"n","schema":{"deep":[{}]}})") + R"(,"after":"x"})";
  CHECK(read(text, recall).tools == 4);
  auto document = json::Document::open_view(text, json::Escapes::kUnchecked);
  REQUIRE(document.ok());
  CHECK(read(*document, recall).tools == -4);
  for (const json::Escapes escapes : {json::Escapes::kUnchecked, json::Escapes::kChecked}) {
    document->rewind(escapes);
    auto root = document->root_object();
    REQUIRE((root->next() && root->next()));
    auto tools = root->value().array();
    REQUIRE(tools->next());
    CHECK(tools->value().peek("schema")->peek_raw() == R"({"deep":[{}]})");
    auto tool = tools->value().object();
    REQUIRE((tool->next() && tool->next()));
    CHECK(*tool->value().raw() == R"({"deep":[{}]})");
    CHECK_FALSE(tool->next());
    REQUIRE((tools->next() && tools->next() && tools->next()));
    CHECK(*tools->value().string() == "end");
    CHECK(root->next());
    CHECK(*root->value().string() == "x");
    CHECK(document->at_end().ok());
  }
}

TEST_CASE("a watched name is seen in what is passed again, and is not where it stands elsewhere") {
  const std::string tools = big("1");
  for (const std::string before : {R"("x":1,)", R"("ttl":1,)"}) {
    Counts recall;
    CHECK(read("{" + before + R"("tools":)" + tools + "}", recall, "ttl").watched);
    CHECK(read(R"({"tools":)" + tools + "}", recall, "ttl") == Seen{-4, "", true, true});
    CHECK(read("{" + before + R"("tools":)" + tools + "}", recall, "other") == Seen{4, "", false, true});  // it was not looked for
    CHECK(read(R"({"tools":)" + tools + "}", recall, "other") == Seen{-4, "", false, true});
  }
  Counts recall;
  CHECK(read(R"({"other":1,"tools":)" + tools + "}", recall, "other") == Seen{4, "", true, true});
  CHECK(read(R"({"tools":)" + tools + "}", recall, "other") == Seen{-4, "", false, true});
}

TEST_CASE("what a second reading keeps says nothing of what stands behind the container") {
  Counts first;
  Counts second;
  const std::string tools = big("1");
  const std::string one = R"({"tools":)" + tools + R"(,"z":{"a":[1,2]},"after":"1"})";
  auto document = json::Document::open_view(one, json::Escapes::kUnchecked);
  REQUIRE(document.ok());
  CHECK(read(*document, first) == Seen{4, "1", false, true});
  document->rewind(json::Escapes::kUnchecked);
  CHECK(read(*document, second) == Seen{4, "1", false, true});
  CHECK(read(R"({"tools":)" + tools + R"(,"z":{"a":[1,2],"b":{"c":1}},"after":"x"})", second) == Seen{-4, "x", false, true});
  CHECK(read(R"({"tools":)" + tools + R"(,"z":{"a":{},"b":2,"after":"y"},"after":"x"})", second) == Seen{-4, "x", false, true});
}

TEST_CASE("what a second reading jumped over may hold the watched name") {
  Counts first;
  Counts second;
  const std::string text = R"({"tools":)" + big("1") + "}";
  for (const bool kept_first : {true, false}) {
    auto document = json::Document::open_view(text, json::Escapes::kUnchecked);
    REQUIRE(document.ok());
    document->watch("ttl");
    if (kept_first) (void)read(*document, first);
    CHECK(document->at_end().ok());
    document->rewind(json::Escapes::kUnchecked);
    second = {};
    CHECK(read(*document, second).tools == 4);
    CHECK(read(text, second, "ttl") == Seen{-4, "", true, true});
  }
}

TEST_CASE("escapes that nobody checked are checked by who wants that") {
  Counts recall;
  const std::string text = R"({"tools":)" + big(R"("\x")") + "}";
  CHECK(read(text, recall) == Seen{4, "", false, true});
  CHECK(read(text, recall) == Seen{-4, "", false, true});
  CHECK_FALSE(read(text, recall, {}, json::Escapes::kChecked).valid);
}

TEST_CASE("strings are kept and judged alike whether the container beside them was read or passed again") {
  const auto second_reading = [](const std::string& text, Counts& recall) {
    auto document = json::Document::open_view(text, json::Escapes::kUnchecked);
    REQUIRE(document.ok());
    (void)read(*document, recall);
    document->rewind();
    std::string said;
    auto root = document->root_object();
    while (root->next()) {
      if (root->key() == "tools") continue;
      auto words = root->value().text();
      if (words.ok()) said += (words->is_spelt() ? "spelt " : "read ") + std::string(words->view()) + "\n";
    }
    return said + (root->done().ok() && document->at_end().ok() ? "valid" : "refused");
  };
  const std::vector<std::string> words = {"plain", R"(a\nb)", R"(a\/b)", R"(a\qb)", "a\u2028b"};
  for (const std::string& inside : words) {
    for (const std::string& outside : words) {
      const std::string text = R"({"before":")" + outside + R"(","tools":)" + big("\"" + inside + "\"") + R"(,"behind":")" + outside + "\"}";
      CAPTURE(text);
      Counts recall;
      const std::string first = second_reading(text, recall);
      CHECK(second_reading(text, recall) == first);
      CHECK(first.ends_with("valid") == json::is_valid(text));
    }
  }
}

TEST_CASE("what is small, huge or of another kind is read, and the oldest makes room") {
  Counts recall;
  const auto knows = [&recall](const std::string& tools, std::string_view kind = "k") {
    const std::string text = R"({"tools":)" + tools + "}";
    auto document = json::Document::open_view(text, json::Escapes::kUnchecked);
    REQUIRE(document.ok());
    const Seen seen = read(*document, recall, kind);
    CHECK(seen.valid);
    return seen.tools < 0;
  };
  for (const bool known : {false, true}) {
    CHECK(knows(big("1")) == known);
    CHECK_FALSE(knows("[1]"));
    CHECK_FALSE(knows(big("1", limits::kRecalledBytes)));
    CHECK(knows(big("1"), "another") == known);
  }
  for (std::size_t i = 0; i < limits::kRecalled; ++i) CHECK_FALSE(knows(big(std::to_string(100 + i))));
  for (std::size_t i = 0; i < limits::kRecalled; ++i) CHECK(knows(big(std::to_string(100 + i))));
  CHECK_FALSE(knows(big("1")));
}

TEST_CASE("what was seen of one watched name says nothing of another") {
  const std::string body = R"({"tools":[{"b":1,"text":")" + std::string(limits::kRecalledLeastBytes, 'x') + R"("}]})";
  json::Recall<int> of_one;
  json::Recall<int> of_other;
  const auto read_tools = [](json::Document& document, json::Recall<int>& recall) {
    document.rewind();
    auto root = document.root_object();
    REQUIRE(root.ok());
    while (root->next()) {
      if (recall.pass_again(root->value(), "a kind") != nullptr) continue;
      CHECK(root->value().raw().ok());
      recall.keep(root->value(), "a kind", 1);
    }
    CHECK(root->done().ok());
  };
  auto document = json::Document::open_view(body);
  REQUIRE(document.ok());
  document->watch("a");
  read_tools(*document, of_one);
  document->watch("b");
  read_tools(*document, of_other);
  auto again = json::Document::open_view(body);
  REQUIRE(again.ok());
  again->watch("b");
  read_tools(*again, of_other);
  CHECK(again->saw_watched());
}

TEST_CASE("a second reading that peeks at an object of very many containers ends, as the first does") {
  std::string body = R"({"input":[{)";
  for (int i = 0; i < 300'000; ++i) body += R"("":[],)";  // looked for among all those before it, each would take minutes
  body += R"("type":"message"}]})";
  auto document = json::Document::open_view(body);
  REQUIRE(document.ok());
  for (int readings = 0; readings < 2; ++readings) {
    document->rewind(json::Escapes::kUnchecked);
    auto root = document->root_object();
    REQUIRE((root.ok() && root->next()));
    auto items = root->value().array();
    REQUIRE((items.ok() && items->next()));
    CHECK(items->value().peek_string("type") == "message");
    auto members = items->value().object();
    REQUIRE(members.ok());
    bool all = true;
    while (members->next()) all = members->value().raw().ok() && all;
    CHECK(all);
  }
}
