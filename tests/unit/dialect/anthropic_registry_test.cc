#include <catch2/catch.hpp>

#include "dialect/dialect.h"

using namespace ccrules;
using dialect::Endpoint;

TEST_CASE("a client's path says which dialect it speaks") {
  const auto generate = dialect::find("POST", "/v1/messages");
  CHECK(generate.endpoint == Endpoint::kGenerate);
  CHECK(generate.spoken == &dialect::anthropic());
  CHECK(dialect::find("POST", "/v1/messages/count_tokens").endpoint == Endpoint::kCountTokens);
  CHECK(dialect::find("POST", "/v1/chat/completions").spoken == &dialect::openai_chat());
  CHECK(dialect::find("GET", "/v1/models").endpoint == Endpoint::kModels);
  const auto model = dialect::find("GET", "/v1/models/claude-x%5B1m%5D");
  CHECK(model.endpoint == Endpoint::kModel);
  CHECK(model.model == "claude-x%5B1m%5D");
  CHECK(dialect::find("GET", "/v1/models/anthropic/claude").model == "anthropic/claude");
}

TEST_CASE("start-up probes are answered (G-29)") {
  for (const char* method : {"GET", "HEAD"}) {
    CHECK(dialect::find(method, "/").endpoint == Endpoint::kHello);
    CHECK(dialect::find(method, "/api/hello").endpoint == Endpoint::kHello);
  }
}

TEST_CASE(
    "base URLs with and without a version, doubled or with a slash at either end reach the same place "
    "(G-29)") {
  for (const char* path :
       {"/v1/messages", "/messages", "/v1/v1/messages", "/v1/messages/", "//v1/messages", "/v1//messages"}) {
    INFO(path);
    CHECK(dialect::find("POST", path).endpoint == Endpoint::kGenerate);
  }
}

TEST_CASE("other methods and paths are nobody's") {
  CHECK(dialect::find("GET", "/v1/messages").endpoint == Endpoint::kNone);
  CHECK(dialect::find("POST", "/v1/models").endpoint == Endpoint::kNone);
  CHECK(dialect::find("POST", "/v1/messages/x").endpoint == Endpoint::kNone);
  CHECK(dialect::find("POST", "/v1/mess%61ges").endpoint == Endpoint::kNone);
  CHECK(dialect::find("POST", "/v2/messages").endpoint == Endpoint::kNone);
  CHECK(dialect::find("GET", "/v1/models/").endpoint == Endpoint::kModels);
  CHECK(dialect::find("POST", "").endpoint == Endpoint::kNone);
}

TEST_CASE("dialects are found by name") {
  CHECK(dialect::by_name("anthropic") == &dialect::anthropic());
  CHECK(dialect::by_name("openai_chat") == &dialect::openai_chat());
  CHECK(dialect::by_name("morse") == nullptr);
}
