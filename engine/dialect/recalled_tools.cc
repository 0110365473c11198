#include "dialect/recalled_tools.h"

#include <cstddef>
#include <utility>

#include "core/json_recall.h"

namespace ccrules::dialect {
namespace {

/// As it is kept: names are where they begin in `tools`, and their bytes.
struct KeptTools {
  ToolsOutline outline;
  std::vector<std::pair<std::size_t, std::size_t>> names;
};

void add(const ToolsOutline& found, chat::Outline& outline) {
  outline.tools += found.count;
  outline.text_bytes += found.text_bytes;
  outline.tool_names.insert(outline.tool_names.end(), found.names.begin(), found.names.end());
  outline.custom_tools.insert(outline.custom_tools.end(), found.custom.begin(), found.custom.end());
}

void add(const chat::Tools& found, chat::Tools& tools) {
  if (tools.empty()) {
    tools = found;
  } else {
    std::vector<chat::Tool>& all = tools.edit();
    all.insert(all.end(), found.begin(), found.end());
  }
}

}  // namespace

Result<void> add_tools(json::Value& value, std::string_view dialect, chat::Outline& outline,
                       const std::function<Result<ToolsOutline>(json::Value&)>& read) {
  thread_local json::Recall<KeptTools> recall;
  const std::string_view text = value.text_on();
  if (const KeptTools* kept = recall.pass_again(value, dialect)) {
    add(kept->outline, outline);
    for (const auto& [at, bytes] : kept->names) outline.tool_names.push_back(text.substr(at, bytes));
    return {};
  }
  CCR_TRY(found, read(value));
  add(found, outline);
  KeptTools kept;
  for (const std::string_view name : found.names) kept.names.emplace_back(name.data() - text.data(), name.size());
  found.names.clear();
  kept.outline = std::move(found);
  recall.keep(value, dialect, std::move(kept));
  return {};
}

Result<void> add_tools(json::Value& value, std::string_view dialect, chat::Request& request,
                       const std::function<Result<std::vector<chat::Tool>>(json::Value&)>& read) {
  thread_local json::Recall<chat::Tools> recall;
  if (const chat::Tools* known = recall.pass_again(value, dialect)) {
    add(*known, request.tools);
    return {};
  }
  CCR_TRY(found, read(value));
  for (chat::Tool& tool : found) tool.description.own();  // it outlives the body
  chat::Tools tools(std::move(found));
  recall.keep(value, dialect, tools);
  add(tools, request.tools);
  return {};
}

}  // namespace ccrules::dialect
