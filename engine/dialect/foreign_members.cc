#include "dialect/foreign_members.h"

#include <string>

#include "core/json.h"
#include "dialect/members.h"

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

std::string schema_settings(const chat::Request& request, std::string_view own, std::string_view why, chat::LossNotes& losses) {
  if (request.response_schema_extra_json.empty() || request.dialect == own) return request.response_schema_extra_json;
  std::string sent;
  auto document = json::Document::open_view(request.response_schema_extra_json);
  auto members = document ? document->root_object() : Result<json::Object>(document.error());
  while (members && members->next()) {
    const std::string name(members->key());
    if (name == "strict" || name == "description") {
      if (const auto raw = members->value().raw()) keep_member(sent, name, *raw);
    } else {
      losses.add("response_format.json_schema." + name, std::string(why));
    }
  }
  return sent;
}

void note_schema_settings(const chat::Request& request, std::string_view why, chat::LossNotes& losses) {
  if (request.response_schema_extra_json.empty()) return;
  auto document = json::Document::open_view(request.response_schema_extra_json);
  auto members = document ? document->root_object() : Result<json::Object>(document.error());
  while (members && members->next()) {
    const std::string name(members->key());
    if (name != "strict") losses.add("response_format.json_schema." + name, std::string(why));
  }
}

}  // namespace ccrules::dialect
