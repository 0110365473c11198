#include "tokens/counter.h"

#include <catch2/catch.hpp>

using namespace ccrules;

namespace {

std::int64_t tokens_of(std::string_view model, std::int64_t text_bytes) {
  chat::Outline outline;
  outline.model = model;
  outline.text_bytes = text_bytes;
  return tokens::count(outline).tokens;
}

}  // namespace

TEST_CASE("every request has at least one token, and is marked as estimated") {
  CHECK(tokens::count(chat::Outline()).tokens == 1);
  CHECK(tokens::count(chat::Outline()).grade == tokens::Grade::kEstimated);
  CHECK(tokens::count_text("") == 0);
  CHECK(tokens::count_text("a") == 1);
}

TEST_CASE("the model's generation chooses the tokenizer") {
  const std::int64_t bytes = 1'000'000;
  for (const char* model :
       {"claude-opus-5-5", "claude-sonnet-5", "claude-opus-4-7", "claude-opus-4-8-20260301",
        "claude-fable-5-1[1m]", "anthropic/claude-opus-5.5", "claude-haiku-5-5", "claude-opus-latest"}) {
    INFO(model);
    CHECK(tokens_of(model, bytes) == 370'371);
  }
  for (const char* model :
       {"claude-opus-4-6", "claude-sonnet-4-20250514", "claude-3-haiku-20240307", "claude-haiku-4-5-20251001",
        "claude-3-5-sonnet-latest", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"}) {
    INFO(model);
    CHECK(tokens_of(model, bytes) == 294'118);
  }
  CHECK(tokens_of("gpt-6.1-sol", bytes) == 250'000);
  CHECK(tokens_of("gemini-3.8-flash", bytes) == 277'778);
}

TEST_CASE("tools, images, documents and messages count beside the text") {
  chat::Outline outline;
  outline.model = "claude-opus-5-5";
  outline.messages = 3;
  outline.tools = 2;
  outline.images = 1;
  outline.documents = 1;
  CHECK(tokens::count(outline).tokens == 3 * 4 + 2 * 10 + 350 + 2500 + 2000);
}
