#pragma once
#include <vector>

#include "config/load.h"
#include "rules/script.h"

namespace ccrules::rules {

/// Reads `rules.json`, the twin of a Lua rule file for what needs no functions:
///   { "alias": { "cheap": "ollama,qwen3-coder" },
///     "rules": [ { "name": "night", "when": { "time": { "from": "22:00", "to": "06:00" } }, "to": "cheap" } ],
///     "override": { "default#background": { "off": true } } }
/// Comments and trailing commas are allowed. Where Lua writes a word, JSON writes: `any` and `none` as members, `remove` as
/// null, requested and serving as {"requested": true}, pick as {"pick": {"fact": "model", "entries": {...}}}.
/// False when something is wrong; `diagnostics` then says what, each at its own line.
bool load_json_rules(const SourceFile& file, std::vector<Declaration>& declarations,
                     std::vector<config::Diagnostic>& diagnostics);

}  // namespace ccrules::rules
