#include "config/models.h"

#include <catch2/catch.hpp>

using namespace ccrules::config;

TEST_CASE("the built-in table is valid and has every row of its files") {
  const ModelTable& table = ModelTable::built_in();
  CHECK(table.all().size() == 153);
  for (const Model& model : table.all()) {
    INFO(model.id);
    CHECK(table.find(model.id, model.provider) == &model);
    CHECK_FALSE(model.source.empty());
    CHECK_FALSE(model.date.empty());
  }
}

TEST_CASE("a long id finds the model it is a build of") {
  const ModelTable& table = ModelTable::built_in();
  const auto id = [&](std::string_view model, std::string_view provider = {}) -> std::string {
    const Model* found = table.find(model, provider);
    return found == nullptr ? "" : found->id;
  };
  CHECK(id("claude-sonnet-4-5-20250929") == "claude-sonnet-4-5");
  CHECK(id("claude-sonnet-5-5-20261001") == "claude-sonnet-5-5");
  CHECK(id("claude-opus-5-5[1m]") == "claude-opus-5-5");
  CHECK(id("claude-opus-5.5") == "claude-opus-5-5");
  CHECK(id("anthropic/claude-opus-5.5", "gateway") == "claude-opus-5-5");
  CHECK(id("anthropic/claude-opus-5.5", "openrouter") == "anthropic/claude-opus-5.5");
  CHECK(id("us.anthropic.claude-haiku-4-5-20251001-v1:0", "bedrock") == "claude-haiku-4-5");
  CHECK(id("claude-opus-4-5@20251101") == "claude-opus-4-5");
  CHECK(id("gpt-5-2025-08-07") == "gpt-5");
  CHECK(id("gpt-4o-2024-11-20") == "gpt-4o");
  CHECK(id("gemini-2.5-flash-001") == "gemini-2.5-flash");
  CHECK(id("gpt-5-codex").empty());      // another model, whose price is not known
  CHECK(id("claude-opus-5-9").empty());  // a later version is not this one
  CHECK(id("gpt-5.99").empty());
  CHECK(id("").empty());
}
