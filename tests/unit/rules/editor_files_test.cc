#include "rules/editor_files.h"

#include <catch2/catch.hpp>

#include "core/world.h"
#include "rules/api.h"
#include "rules/json_tree.h"
#include "rules/lua_inspect.h"

using namespace ccrules;
using namespace ccrules::rules;

TEST_CASE("the files for editors are what the table of the rule API makes") {
  for (const GeneratedFile& file : generated_files()) {
    INFO(file.path << " is not current: run `ccrules facts --write .` in the project's folder");
    const Result<std::string> kept = system_files().read(std::string(CCR_SOURCE_DIR) + "/" + file.path);
    REQUIRE(kept.ok());
    CHECK(*kept == file.text);
  }
}

TEST_CASE("annotations are Lua and name every fact, effect and field; schemas are JSON") {
  const std::string annotations = lua_annotations();
  CHECK(lua_syntax_error(annotations).empty());
  for (const api::FactRow& row : api::facts()) {
    const std::string name = row.name;
    INFO(name);
    CHECK(annotations.find(name.find('.') == std::string::npos ? "---@field " + name + "? " : "[\"" + name + "\"]?") != std::string::npos);
  }
  for (const api::EffectRow& row : api::effects()) CHECK(annotations.find("---@field " + std::string(row.name) + "? ") != std::string::npos);
  for (const GeneratedFile& file : generated_files()) {
    if (std::string_view(file.path).ends_with(".json")) CHECK(read_json(file.text, {1, 1}).ok());
  }
  CHECK(read_json(luarc("/usr/share/ccrules/types"), {1, 1}).ok());
}
