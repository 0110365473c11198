#include <string_view>

#include "chat/event.h"
#include "core/json.h"

namespace ccrules::chat {
namespace {

/// The verbatim citation inside Anthropic's citations_delta; empty when the delta is something else.
std::string_view citation_of(json::Document& document) {
  auto root = document.root_object();
  if (!root.ok()) return {};
  bool is_citation = false;
  std::string_view citation;
  while (root->next()) {
    if (root->key() == "type") {
      const auto type = root->value().string();
      is_citation = type.ok() && *type == "citations_delta";
    } else if (root->key() == "citation") {
      const auto raw = root->value().raw();
      if (raw.ok()) citation = *raw;
    }
  }
  return is_citation && root->done().ok() ? citation : std::string_view();
}

/// Adds a citation that arrived as a delta to the text's members, where a whole reply has it.
void add_citation(Text& text, std::string_view delta_json) {
  auto document = json::Document::open_view(delta_json);
  if (!document.ok()) return;
  const std::string_view citation = citation_of(*document);
  if (citation.empty()) return;
  static constexpr std::string_view kOpen = "{\"citations\":[";
  static constexpr std::string_view kClose = "]}";
  if (text.extra_json.starts_with(kOpen) && text.extra_json.ends_with(kClose)) {
    text.extra_json.resize(text.extra_json.size() - kClose.size());
    text.extra_json += ',';
  } else {
    text.extra_json = kOpen;
  }
  text.extra_json += citation;
  text.extra_json += kClose;
}

void grow(Block& block, const BlockDelta& delta) {
  switch (delta.kind) {
    case DeltaKind::kText:
      if (auto* text = std::get_if<Text>(&block.value)) text->text += delta.text;
      break;
    case DeltaKind::kThinking:
      if (auto* thinking = std::get_if<Thinking>(&block.value)) thinking->text += delta.text;
      break;
    case DeltaKind::kSignature:
      if (auto* thinking = std::get_if<Thinking>(&block.value)) thinking->signature += delta.text;
      break;
    case DeltaKind::kArguments:
      if (auto* call = std::get_if<ToolCall>(&block.value)) call->arguments_json += delta.text;
      break;
    case DeltaKind::kOpaque:
      if (auto* text = std::get_if<Text>(&block.value)) add_citation(*text, delta.text);
      break;
  }
}

}  // namespace

void Collector::add(const Event& event) {
  if (error_) return;
  if (const auto* start = std::get_if<MessageStart>(&event)) {
    reply_.id = start->id;
    reply_.model = start->model;
    reply_.usage.merge(start->usage);
  } else if (const auto* opened = std::get_if<BlockStart>(&event)) {
    reply_.blocks.push_back(opened->block);
  } else if (const auto* delta = std::get_if<BlockDelta>(&event)) {
    if (delta->index < reply_.blocks.size()) grow(reply_.blocks[delta->index], *delta);
  } else if (const auto* end = std::get_if<MessageEnd>(&event)) {
    reply_.reason = end->reason;
    reply_.stop_sequence = end->stop_sequence;
    reply_.stop_details_json = end->stop_details_json;
    reply_.losses = end->losses;
    reply_.usage.merge(end->usage);
    complete_ = true;
  } else if (const auto* error = std::get_if<StreamError>(&event)) {
    error_ = *error;
    complete_ = false;
  }
}

}  // namespace ccrules::chat
