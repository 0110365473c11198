#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"

using namespace ccrules;

namespace {

/// What a request of Gemini's format loses in a dialect.
std::string lost(const dialect::Dialect& to, const std::string& config) {
  std::string body = R"({"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":)" + config + "}";
  auto request = dialect::gemini_dialect().read_request(json::padded(body));
  REQUIRE(request.ok());
  request->model = "m";
  chat::LossNotes losses;
  REQUIRE(to.write_request(*request, {}, losses).ok());
  return losses.header_value();
}

}  // namespace

TEST_CASE("thinking that is carried is no loss of the configuration it stood in") {
  using Catch::Matchers::Contains;
  for (const dialect::Dialect* to : {&dialect::anthropic(), &dialect::openai_chat(), &dialect::openai_responses(), &dialect::ollama_chat()}) {
    INFO(to->name());
    CHECK_THAT(lost(*to, R"({"thinkingConfig":{"includeThoughts":true,"thinkingBudget":4096}})"), !Contains("generationConfig"));
    CHECK_THAT(lost(*to, R"({"thinkingConfig":{"thinkingBudget":4096},"speechConfig":{"languageCode":"de"}})"), Contains("generationConfig"));
    CHECK_THAT(lost(*to, R"({"speechConfig":{"languageCode":"de"}})"), Contains("generationConfig"));
  }
}
