#include "dialect/expected_bytes.h"

#include <variant>
#include <vector>

namespace ccrules::dialect {
namespace {

constexpr std::size_t kFrame = 1024;     ///< model, settings and brackets
constexpr std::size_t kPerBlock = 96;    ///< names and ids around one
constexpr std::size_t kPerTool = 128;

/// Of the texts in blocks, those inside tool results too.
std::size_t bytes_of(const std::vector<chat::Block>& blocks) noexcept {
  std::size_t bytes = 0;
  for (const chat::Block& block : blocks) {
    bytes += kPerBlock;
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      bytes += text->text.kept_bytes();
    } else if (const auto* thinking = std::get_if<chat::Thinking>(&block.value)) {
      bytes += thinking->text.size() + thinking->signature.size();
    } else if (const auto* image = std::get_if<chat::Image>(&block.value)) {
      bytes += image->data.size();
    } else if (const auto* document = std::get_if<chat::Document>(&block.value)) {
      bytes += document->data.size() + document->blocks_json.size();
    } else if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) {
      bytes += call->arguments_json.size() * 5 / 4 + call->name.size();  // a text in some dialects: its quotes are escaped
    } else if (const auto* result = std::get_if<chat::ToolResult>(&block.value)) {
      bytes += bytes_of(result->content);
    }
  }
  return bytes;
}

}  // namespace

std::size_t expected_bytes(const chat::Request& request) noexcept {
  std::size_t bytes = kFrame + request.extra_json.size() + request.response_schema_json.size() + bytes_of(request.system);
  for (const chat::Message& message : request.messages) bytes += bytes_of(message.blocks);
  for (const chat::Tool& tool : request.tools) {
    bytes += kPerTool + tool.description.kept_bytes() + tool.schema_json.size() + tool.original_json.size();
  }
  return bytes + bytes / 16;
}

}  // namespace ccrules::dialect
