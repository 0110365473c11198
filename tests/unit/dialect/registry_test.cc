#include <catch2/catch.hpp>

#include "dialect/dialect.h"

using namespace ccrules::dialect;

TEST_CASE("a path names what the client wants and the dialect it speaks") {
  CHECK(find("POST", "/v1/messages").endpoint == Endpoint::kGenerate);
  CHECK(find("POST", "/v1/messages").spoken == &anthropic());
  CHECK(find("POST", "/v1/chat/completions").spoken == &openai_chat());
  CHECK(find("POST", "/v1beta/models/gemini-2.5-pro:generateContent").spoken == &gemini_dialect());
  CHECK(find("POST", "/v1/models/a%2Fb:streamGenerateContent").stream);
  CHECK(find("POST", "/v1/models/a%2Fb:streamGenerateContent").model == "a%2Fb");
  CHECK(find("POST", "/v1beta/models/m:1:countTokens").endpoint == Endpoint::kCountTokens);
  CHECK(find("POST", "/v1beta/models/m:1:countTokens").model == "m:1");
  CHECK(find("POST", "/v1beta/models/:generateContent").endpoint == Endpoint::kNone);
  CHECK(find("POST", "/v1beta/models/m:embedContent").endpoint == Endpoint::kNone);
  CHECK(find("GET", "/v1beta/models").spoken == &gemini_dialect());
  CHECK(find("GET", "/v1beta/models/m").model == "m");
  CHECK(find("POST", "/v1/messages/count_tokens").endpoint == Endpoint::kCountTokens);
  CHECK(find("GET", "/v1/models").endpoint == Endpoint::kModels);
  CHECK(find("GET", "/v1/models/a%2Fb").model == "a%2Fb");
  CHECK(find("HEAD", "/").endpoint == Endpoint::kHello);
  CHECK(find("HEAD", "/api/hello").endpoint == Endpoint::kHello);
}

TEST_CASE("G-29: a missing or doubled version and a slash at the end are forgiven, nothing else is") {
  CHECK(find("POST", "/chat/completions").spoken == &openai_chat());
  CHECK(find("POST", "/v1/v1/messages").spoken == &anthropic());
  CHECK(find("POST", "/v1/messages/").spoken == &anthropic());
  CHECK(find("POST", "//v1/messages").spoken == &anthropic());
  CHECK(find("GET", "/v1/messages").endpoint == Endpoint::kNone);
  CHECK(find("POST", "/v1/models").endpoint == Endpoint::kNone);
  CHECK(find("POST", "/v1/messagesx").endpoint == Endpoint::kNone);
  CHECK(find("POST", "/v2/messages").endpoint == Endpoint::kNone);
  CHECK(find("GET", "").endpoint == Endpoint::kNone);
}

TEST_CASE("dialects are found by the names configuration uses") {
  CHECK(by_name("anthropic") == &anthropic());
  CHECK(by_name("openai_chat") == &openai_chat());
  CHECK(by_name("openai") == nullptr);
}
