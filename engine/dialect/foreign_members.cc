#include "dialect/foreign_members.h"

#include <string>

#include "core/json.h"

namespace ccrules::dialect {
namespace {

bool holds_only_thinking(json::Value& config) {
  auto members = config.object();
  while (members.ok() && members->next()) {
    if (members->key() != "thinkingConfig") return false;
  }
  return members.ok();
}

}  // namespace

void note_foreign_members(const chat::Request& request, std::string_view why, chat::LossNotes& losses) {
  if (request.extra_json.empty()) return;
  auto document = json::Document::open_view(request.extra_json);
  if (!document) return;
  auto members = document->root_object();
  while (members.ok() && members->next()) {
    const std::string name(members->key());
    if (name == "generationConfig" && request.dialect == "gemini" && holds_only_thinking(members->value())) continue;
    losses.add(name, std::string(why));
  }
}

}  // namespace ccrules::dialect
