#include "dialect/words.h"

namespace ccrules::dialect {
namespace {

constexpr std::string_view kAttribution = "x-anthropic-billing-header:";

/// The texts of Anthropic content: a string, or an array of text blocks.
std::string blocks_text(std::string_view blocks_json, chat::LossNotes& losses) {
  auto document = json::Document::open(blocks_json);
  if (!document) return {};
  auto root = document->root();
  if (!root) return {};
  if (root->is(json::Type::kString)) {
    const auto text = root->string();
    return text ? std::string(*text) : std::string();
  }
  std::string joined;
  if (!root->is(json::Type::kArray)) return joined;
  auto array = root->array();
  while (array && array->next()) {
    if (!array->value().is(json::Type::kObject)) continue;
    auto object = array->value().object();
    bool has_text = false;
    while (object && object->next()) {
      if (object->key() != "text" || !object->value().is(json::Type::kString)) continue;
      const auto text = object->value().string();
      if (!text) break;
      has_text = true;
      if (!joined.empty()) joined += '\n';
      joined += *text;
    }
    if (!has_text) losses.add("document.content", "only the text of a document's blocks was sent");
  }
  return joined;
}

}  // namespace

bool is_blank(std::string_view text) noexcept {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

json::TextView without_attribution(const json::Text& spoken, chat::LossNotes& losses) {
  if (!json::TextView(spoken).starts_with(kAttribution)) return spoken;
  losses.add("system.attribution",
             "Claude Code's attribution line changes per conversation and spoils prefix caches");
  const std::string_view text = spoken.view();
  const std::size_t end = text.find('\n');
  return end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
}

std::string document_text(const chat::Document& document, chat::LossNotes& losses) {
  std::string text;
  if (!document.title.empty()) text += "Document: " + document.title + "\n";
  if (!document.context.empty()) text += document.context + "\n";
  if (!text.empty()) text += '\n';
  text +=
      document.kind == chat::SourceKind::kBlocks ? blocks_text(document.blocks_json, losses) : document.data;
  return text;
}

std::string opaque_text(const chat::Opaque& opaque, chat::LossNotes& losses) {
  if (opaque.type != "tool_reference" && opaque.type != "search_result") return {};
  auto document = json::Document::open(opaque.json);
  if (!document) return {};
  auto root = document->root_object();
  if (!root) return {};
  std::string title, source, content;
  while (root->next()) {
    const std::string_view key = root->key();
    json::Value& value = root->value();
    if (key == "content") {
      const auto raw = value.raw();
      if (raw) content = blocks_text(*raw, losses);
    } else if (value.is(json::Type::kString)) {
      const auto text = value.string();
      if (!text) return {};
      if (key == "tool_name" || key == "title") title = *text;
      if (key == "source") source = *text;
    }
  }
  if (opaque.type == "tool_reference")
    return title.empty() ? std::string() : "Tool " + title + " is now available";
  return "Search result: " + title + "\n" + source + "\n\n" + content;
}

std::string orphan_text(const chat::ToolResult& result, chat::LossNotes& losses) {
  losses.add("tool_result.orphan", "a tool result without its call was sent as user text");
  std::string text = "[result of a tool call that is not in this conversation]";
  for (const chat::Block& block : result.content) {
    if (const auto* part = std::get_if<chat::Text>(&block.value))
      text.append("\n").append(part->text.view());
    else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value))
      text += "\n" + opaque_text(*opaque, losses);
  }
  return text;
}

Error nothing_to_send() { return bad_request("messages hold no content that can be sent: send at least one text"); }

}  // namespace ccrules::dialect
