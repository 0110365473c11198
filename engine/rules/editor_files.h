#pragma once
#include <string>
#include <vector>

/// What editors and people read about the rule API, made from the one table in rules/api.cc. The files are kept in the project;
/// a test says when they are not what these functions make (`ccrules facts --write FOLDER` makes them anew).
namespace ccrules::rules {

struct GeneratedFile {
  const char* path;  ///< in the project
  std::string text;
};

/// rules/types/ccrules.lua, config/schema/rules.schema.json, config/schema/pack.schema.json, docs/rules-api.md.
std::vector<GeneratedFile> generated_files();

/// Annotations for the Lua language server: every word of rule and test files.
std::string lua_annotations();
/// `.luarc.json` of a folder with rules: where the annotations are, and that the words are known.
std::string luarc(const std::string& types_folder);

}  // namespace ccrules::rules
