#include "tokens/counter.h"

#include <catch2/catch.hpp>

#include "tokens/family.h"

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
  CHECK(tokens::count_bytes(0) == 0);
  CHECK(tokens::count_bytes(1) == 1);
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

TEST_CASE("a model is of its family whatever stands before its name") {
  const auto kind = [](std::string_view model) { return tokens::family_of(model).kind; };
  using tokens::FamilyKind;
  CHECK(kind("openai,gpt-5.5") == FamilyKind::kO200k);
  CHECK(kind("openrouter,openai/gpt-4") == FamilyKind::kCl100k);
  CHECK(kind("claude,gpt-5.5") == FamilyKind::kO200k);
  CHECK(kind("gemini/llama-4") == FamilyKind::kOther);
  CHECK(kind("bedrock-2/claude-opus-4-7") == FamilyKind::kClaudeNew);
  CHECK(kind("eu-1,anthropic.claude-opus-4.8") == FamilyKind::kClaudeNew);
  CHECK(kind("eu-west-1.anthropic.claude-opus-5-5") == FamilyKind::kClaudeNew);
  CHECK(kind("claude-opus-4-10") == FamilyKind::kClaudeNew);
  CHECK(kind("bedrock-5/claude-opus-4-6") == FamilyKind::kClaudeOld);
  CHECK(tokens::bare_model("openrouter,anthropic/claude-opus-4.7") == "claude-opus-4.7");
  CHECK(tokens::bare_model("deepseek,deepseek-chat") == "deepseek-chat");
}

TEST_CASE("a version reads the same with a dot and with a dash") {
  for (const char* model : {"claude-opus-4-8", "claude-opus-4.8", "openrouter,anthropic/Claude-Opus-4.8", "opus-4-6/claude-opus-4.8"}) {
    INFO(model);
    CHECK(tokens::tool_prompt_tokens(model, tokens::family_of(model), false) == 290);
    CHECK(tokens::keeps_thinking(tokens::family_of(model), model));
  }
}

TEST_CASE("thinking of earlier turns is part of prompts to Claude's newer models only") {
  for (const char* model : {"o3", "gpt-5.5", "deepseek-r1", "gemini-3.8-flash", "claude-haiku-4-5", "opus-4-8/claude-opus-4-1"}) {
    INFO(model);
    CHECK_FALSE(tokens::keeps_thinking(tokens::family_of(model), model));
  }
}
