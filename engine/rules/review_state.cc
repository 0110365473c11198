#include "rules/review_state.h"

#include <algorithm>

#include "rules/lua_inspect.h"

namespace ccrules::rules {
namespace {

config::Diagnostic finding(const SourceFile& file, const StateWrite& write) {
  Spot at{write.line, 1};
  const std::size_t column = file.line(write.line).find(write.name);
  if (column != std::string_view::npos) at.column = static_cast<int>(column) + 1;
  if (write.global) {
    return file.error(at, "a function sets the global '" + write.name + "', which fails when it runs",
                      "write local " + write.name + " = ..., or return the value");
  }
  config::Diagnostic warning = file.error(
      at, std::string("a function changes ") + (write.table ? "the table '" : "'") + write.name +
              "' outside itself: decisions would depend on the requests before",
      "the same facts must give the same decision; rates and buckets are facts (ccrules facts)");
  warning.warning = true;
  return warning;
}

}  // namespace

std::vector<config::Diagnostic> review_state(const RuleSet& set) {
  std::vector<config::Diagnostic> found;
  for (const auto& file : set.files) {
    const bool built_in = file->path.starts_with("rules/default/");
    if (built_in || !file->path.ends_with(".lua")) continue;
    for (const StateWrite& write : inspect_lua(file->text).writes) found.push_back(finding(*file, write));
  }
  return found;
}

}  // namespace ccrules::rules
