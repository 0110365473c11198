#include "dialect/openai_chat/reply_writer.h"

#include <vector>

#include "core/json.h"
#include "dialect/openai_chat/finish.h"
#include "dialect/openai_chat/usage.h"
#include "dialect/stop_losses.h"

namespace ccrules::dialect::openai {
namespace {

/// A reply's blocks, sorted into the places a chat message has for them.
struct Message {
  std::string content;
  std::string reasoning;
  std::vector<const chat::ToolCall*> calls;
};

Message sort_blocks(const chat::Reply& reply, chat::LossNotes& losses) {
  Message message;
  for (const chat::Block& block : reply.blocks) {
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      message.content += text->text;
      if (!text->extra_json.empty()) losses.add("citations", "chat completions have no place for citations");
    } else if (const auto* thinking = std::get_if<chat::Thinking>(&block.value)) {
      if (thinking->redacted)
        losses.add("redacted_thinking", "chat completions have no place for encrypted reasoning");
      else
        message.reasoning += thinking->text;
      if (!thinking->signature.empty())
        losses.add("thinking.signature", "chat completions have no place for signatures");
    } else if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) {
      message.calls.push_back(call);
    } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      losses.add("content." + opaque->type, "chat completions have no such content");
    }
  }
  return message;
}

void write_call(json::Writer& writer, const chat::ToolCall& call) {
  writer.begin_object().member("id", call.id).member("type", "function").key("function").begin_object();
  writer.member("name", call.name);
  writer.member("arguments",
                call.arguments_json.empty() ? std::string_view("{}") : std::string_view(call.arguments_json));
  writer.end_object().end_object();
}

}  // namespace

std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options,
                        chat::LossNotes& losses) {
  note_stop(reply, losses);
  const Message message = sort_blocks(reply, losses);
  std::string body;
  body.reserve(message.content.size() + message.reasoning.size() + 1024);
  json::Writer writer(body);
  writer.begin_object()
      .member("id", reply.id.empty() ? options.id : reply.id)
      .member("object", "chat.completion")
      .member("created", options.created_s)
      .member("model", options.model.empty() ? reply.model : options.model);
  writer.key("choices").begin_array().begin_object().member("index", 0).key("message").begin_object();
  writer.member("role", "assistant").key("content");
  if (message.content.empty() && !message.calls.empty())
    writer.null();
  else
    writer.string(message.content);
  writer.key("refusal").null();
  if (!message.reasoning.empty()) writer.member("reasoning_content", message.reasoning);
  if (!message.calls.empty()) {
    writer.key("tool_calls").begin_array();
    for (const chat::ToolCall* call : message.calls) write_call(writer, *call);
    writer.end_array();
  }
  writer.end_object()
      .key("logprobs")
      .null()
      .member("finish_reason", finish_reason_of(reply.reason))
      .end_object()
      .end_array();
  writer.key("usage");
  write_usage(writer, reply.usage);
  writer.end_object();
  return body;
}

}  // namespace ccrules::dialect::openai
