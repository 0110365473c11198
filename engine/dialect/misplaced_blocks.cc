#include "dialect/misplaced_blocks.h"

namespace ccrules::dialect {

void note_misplaced_blocks(const chat::Request& request, chat::LossNotes& losses) {
  for (const chat::Block& block : request.system) {
    if (std::holds_alternative<chat::ToolCall>(block.value)) losses.add("system.tool_call", "only the model calls tools");
    if (std::holds_alternative<chat::Thinking>(block.value)) losses.add("system.thinking", "only the model thinks");
    if (std::holds_alternative<chat::ToolResult>(block.value)) losses.add("system.tool_result", "only the user answers calls");
  }
  for (const chat::Message& message : request.messages) {
    if (message.role == chat::Role::kAssistant) {
      for (const chat::Block& block : message.blocks) {
        if (std::holds_alternative<chat::ToolResult>(block.value))
          losses.add("assistant.tool_result", "only the user answers calls");
      }
      continue;
    }
    const bool user = message.role == chat::Role::kUser;
    for (const chat::Block& block : message.blocks) {
      if (std::holds_alternative<chat::ToolCall>(block.value)) {
        if (user)
          losses.add("user.tool_call", "only the model calls tools");
        else
          losses.add("system.tool_call", "only the model calls tools");
      } else if (std::holds_alternative<chat::Thinking>(block.value)) {
        if (user)
          losses.add("user.thinking", "only the model thinks");
        else
          losses.add("system.thinking", "only the model thinks");
      }
    }
  }
}

}  // namespace ccrules::dialect
