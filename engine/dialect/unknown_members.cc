#include "dialect/unknown_members.h"

#include <string_view>
#include <vector>

namespace ccrules::dialect {
namespace {

/// The mark of a Responses client's call whose input is a text: other writers send that as its one argument.
constexpr std::string_view kCustomCall = R"({"type":"custom_tool_call"})";

struct Found {
  bool names = false, messages = false, texts = false, calls = false, results = false, images = false;
};

void look_at(const std::vector<chat::Block>& blocks, Found& found) {
  for (const chat::Block& block : blocks) {
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      found.texts |= !text->extra_json.empty();
    } else if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) {
      found.calls |= !call->extra_json.empty() && call->extra_json != kCustomCall;
    } else if (const auto* result = std::get_if<chat::ToolResult>(&block.value)) {
      found.results |= !result->extra_json.empty();
      look_at(result->content, found);
    } else if (const auto* image = std::get_if<chat::Image>(&block.value)) {
      found.images |= !image->extra_json.empty();
    }
  }
}

}  // namespace

void note_unknown_members(const chat::Request& request, chat::LossNotes& losses) {
  if (request.dialect == "gemini") return;
  Found found;
  look_at(request.system, found);
  for (const chat::Message& message : request.messages) {
    found.names |= !message.name.empty();
    found.messages |= !message.extra_json.empty();
    look_at(message.blocks, found);
  }
  if (found.names) losses.add("messages[].name", "only chat completions have participant names");
  if (found.messages) losses.add("messages[] members", "unknown members of another dialect");
  if (found.texts) losses.add("messages[].content members", "unknown members of another dialect");
  if (found.calls) losses.add("tool_use members", "unknown members of another dialect");
  if (found.results) losses.add("tool_result members", "unknown members of another dialect");
  if (found.images) losses.add("image.options", "no other dialect has such image options");
}

}  // namespace ccrules::dialect
