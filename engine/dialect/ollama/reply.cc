#include "dialect/ollama/reply.h"

#include <vector>

#include "core/json.h"
#include "dialect/failure.h"
#include "dialect/ollama/assembler.h"
#include "dialect/ollama/wire.h"
#include "dialect/stop_losses.h"

namespace ccrules::dialect::ollama {
namespace {

Error failure_in(std::string_view body, const ReaderOptions& options) {
  UpstreamFailure failure;
  failure.status = 200;
  failure.body = body;
  failure.provider = options.provider;
  failure.model = options.model;
  FailureText text = parse_failure(body);
  if (text.message.empty()) text.message = "the provider answered something that is not an Ollama chat reply";
  return classify_failure(failure, std::move(text));
}

bool is_reply(const Chunk& chunk) { return !chunk.failed && chunk.has_message; }

}  // namespace

Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options) {
  auto document = json::Document::open(body);
  if (!document) return failure_in(body, options);
  Chunk chunk;
  if (!read_chunk(*document, chunk).ok() || !is_reply(chunk)) return failure_in(body, options);
  chunk.done = true;
  Assembler assembler(options);
  std::vector<chat::Event> events;
  assembler.apply(chunk, events);
  chat::Collector collector;
  for (const chat::Event& event : events) collector.add(event);
  if (collector.error()) {
    UpstreamFailure whose;
    whose.provider = options.provider;
    return error_of(*collector.error(), whose);
  }
  return collector.take();
}

chat::Reply peek_reply(std::string_view body) {
  chat::Reply reply;
  auto document = json::Document::open(body);
  Chunk chunk;
  if (!document || !read_chunk(*document, chunk).ok() || !is_reply(chunk)) return reply;
  reply.model = chunk.model;
  reply.usage = chunk.usage;
  reply.reason = stop_reason_of(chunk.done_reason, !chunk.calls.empty());
  return reply;
}

std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options, chat::LossNotes& losses) {
  note_stop(reply, losses);
  std::string text, thinking;
  std::vector<const chat::ToolCall*> calls;
  for (const chat::Block& block : reply.blocks) {
    if (const auto* words = std::get_if<chat::Text>(&block.value)) {
      text += words->text;
      if (!words->extra_json.empty()) losses.add("citations", "Ollama has no place for citations");
    } else if (const auto* thought = std::get_if<chat::Thinking>(&block.value)) {
      if (thought->redacted)
        losses.add("redacted_thinking", "Ollama has no place for encrypted reasoning");
      else
        thinking += thought->text;
      if (!thought->signature.empty()) losses.add("thinking.signature", "Ollama has no place for signatures");
    } else if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) {
      calls.push_back(call);
    } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      losses.add("content." + opaque->type, "Ollama has no such content");
    }
  }
  std::string body;
  body.reserve(text.size() + thinking.size() + 512);
  json::Writer writer(body);
  writer.begin_object().member("model", options.model.empty() ? reply.model : options.model);
  writer.member("created_at", timestamp(options.created_s)).key("message").begin_object();
  writer.member("role", "assistant").member("content", text);
  if (!thinking.empty()) writer.member("thinking", thinking);
  if (!calls.empty()) {
    writer.key("tool_calls").begin_array();
    for (std::size_t i = 0; i < calls.size(); ++i) write_call(writer, *calls[i], i);
    writer.end_array();
  }
  writer.end_object();
  write_end(writer, reply.reason, reply.usage);
  writer.end_object();
  return body;
}

}  // namespace ccrules::dialect::ollama
