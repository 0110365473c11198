#include "config/model_name.h"

#include <catch2/catch.hpp>

using namespace ccrules;
using config::asked_model_name;
using config::model_name;

TEST_CASE("a model is called by its maker's id however it is spelt, one that nobody knows by what is written") {
  const config::ModelTable& table = config::ModelTable::built_in();
  for (const char* spelt : {"claude-opus-5-5", "claude-opus-5.5", "claude-opus-5-5-20260901", "claude-opus-5-5[1m]", "anthropic/claude-opus-5.5",
                            "us.anthropic.claude-opus-5-5-v1:0", "claude-opus-5-5@20260901", "claude-opus-5-5-latest"}) {
    CAPTURE(spelt);
    CHECK(model_name(table, spelt) == "claude-opus-5-5");
    CHECK(asked_model_name(table, "a," + std::string(spelt)) == "claude-opus-5-5");
  }
  CHECK(model_name(table, "claude-opus-5") == "claude-opus-5");
  CHECK(model_name(table, "my-own") == "my-own");
  CHECK(model_name(table, "my-own[1m]") == "my-own");
  CHECK(asked_model_name(table, "mine,a,b") == "a,b");
  CHECK(asked_model_name(table, "").empty());
}

TEST_CASE("what a model is called is called so itself") {
  const config::ModelTable& table = config::ModelTable::built_in();
  for (const config::Model& model : table.all()) {
    CAPTURE(model.id, model.provider);
    const std::string name(model_name(table, model.id));
    CHECK(model_name(table, name) == name);
    for (const std::string& alias : model.aliases) {
      const std::string alias_name(model_name(table, alias));
      CHECK(model_name(table, alias_name) == alias_name);
    }
  }
}
