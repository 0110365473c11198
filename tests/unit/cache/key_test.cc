#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "cache/key.h"
#include "dialect/dialect.h"

using namespace ccrules;

namespace {

std::string meaning_of(const dialect::Dialect& spoken, const std::string& body) {
  std::string text = body;
  const auto request = spoken.read_request(json::padded(text));
  REQUIRE(request.ok());
  return cache::meaning(*request);
}

}  // namespace

TEST_CASE("how a request is written and how its answer travels say nothing about what it means") {
  const std::string meaning =
      meaning_of(dialect::anthropic(), R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a/b"}]})");
  for (const std::string other :
       {R"({ "messages" : [ {"content":"a\/b","role":"user"} ], "max_tokens":9, "model":"m" })",
        R"({"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"a/b"}]}]})",
        R"({"model":"m","max_tokens":9,"metadata":{"user_id":"u"},"messages":[{"role":"user","content":[{"type":"text","text":"a/b","cache_control":{"type":"ephemeral"}}]}]})",
        R"({"model":"m","max_tokens":9,"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2; cch=1f;"}],"messages":[{"role":"user","content":"a/b"}]})"}) {
    CAPTURE(other);
    CHECK(meaning_of(dialect::anthropic(), other) == meaning);
  }
  CHECK(meaning_of(dialect::openai_chat(), R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a/b"}]})") == meaning);
}

TEST_CASE("no text can be mistaken for two others, or for another member") {
  std::set<std::string> meanings;
  std::size_t count = 0;
  for (const std::string content :
       {R"(["a","b"])", R"(["ab"])", R"(["a;","b"])", R"(["1;a"])", R"(["a","","b"])", R"(["","ab"])", R"(["1;a1;b"])"}) {
    std::string blocks = "[";
    std::string text = content;
    auto document = json::Document::open_view(json::padded(text));
    auto list = document->root()->array();
    while (list->next()) {
      if (blocks.size() > 1) blocks += ',';
      blocks += R"({"type":"text","text":)";
      json::append_string(blocks, *list->value().string());
      blocks += "}";
    }
    blocks += "]";
    for (const std::string where : {"system", "messages"}) {
      const std::string body = where == "system"
                                   ? R"({"model":"m","max_tokens":9,"system":)" + blocks + R"(,"messages":[{"role":"user","content":"x"}]})"
                                   : R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":)" + blocks + "}]}";
      meanings.insert(meaning_of(dialect::anthropic(), body));
      ++count;
    }
  }
  CHECK(meanings.size() >= count - 2);  // empty texts in a system prompt say nothing
}
