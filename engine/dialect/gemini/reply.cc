#include <utility>
#include <vector>

#include "core/text.h"
#include "dialect/failure.h"
#include "dialect/gemini/assembler.h"
#include "dialect/gemini/parts.h"
#include "dialect/stop_losses.h"
#include "dialect/tools.h"

namespace ccrules::dialect::gemini {
namespace {

Error failure_in(std::string_view body, const ReaderOptions& options) {
  UpstreamFailure failure;
  failure.status = 200;
  failure.body = body;
  failure.provider = options.provider;
  failure.model = options.model;
  FailureText text = parse_failure(body);
  if (text.message.empty()) text.message = "the provider answered something that is not a Gemini answer";
  return classify_failure(failure, std::move(text));
}

/// The parts of a reply as this dialect has them.
class PartsWriter {
 public:
  PartsWriter(json::Writer& writer, chat::LossNotes& losses) : writer_(writer), losses_(losses) {}

  void write(const chat::Block& block) {
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      if (!text->extra_json.empty()) losses_.add("citations", "Gemini has no place for them inside a text");
      if (!text->text.empty()) writer_.begin_object().member("text", text->text).end_object();
    } else if (const auto* thinking = std::get_if<chat::Thinking>(&block.value)) {
      write_thinking(*thinking);
    } else if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) {
      write_function_call(writer_, *call);
    } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      if (opaque->dialect == kName) {
        writer_.raw(opaque->json);
      } else {
        losses_.add("content." + opaque->type, "Gemini has no such content");
      }
    }
  }

 private:
  void write_thinking(const chat::Thinking& thinking) {
    if (thinking.redacted) {
      losses_.add("redacted_thinking", "Gemini has no place for encrypted reasoning");
      return;
    }
    if (thinking.text.empty() && thinking.signature.empty()) return;
    writer_.begin_object().member("text", thinking.text).member("thought", true);
    if (!thinking.signature.empty()) writer_.member("thoughtSignature", wrap_signature(thinking.signature));
    writer_.end_object();
  }

  json::Writer& writer_;
  chat::LossNotes& losses_;
};

}  // namespace

Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options) {
  auto document = json::Document::open(body);
  if (!document) return failure_in(body, options);
  Chunk chunk;
  if (!read_chunk(*document, chunk).ok() || chunk.is_error || !chunk.is_answer) return failure_in(body, options);
  Assembler assembler(options);
  std::vector<chat::Event> events;
  CCR_CHECK(assembler.apply(chunk, events));
  assembler.end(UnstreamedBody(), events);
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
  if (!document || !read_chunk(*document, chunk).ok() || chunk.is_error || !chunk.is_answer) return reply;
  reply.id = chunk.id;
  reply.model = chunk.model;
  reply.usage = chunk.usage;
  bool called = false;
  for (const Part& part : chunk.parts) called = called || part.kind == Part::Kind::kCall;
  const Finish finish = finish_of(chunk.finish_reason, chunk.finish_message, called);
  reply.reason = finish.failed                   ? chat::StopReason::kOther
                 : !chunk.block_reason.empty()   ? chat::StopReason::kRefusal
                                                 : finish.reason;
  return reply;
}

void write_function_call(json::Writer& writer, const chat::ToolCall& call) {
  writer.begin_object().key("functionCall").begin_object();
  if (!call.id.empty()) writer.member("id", call.id);
  writer.member("name", call.name).member_raw("args", call_arguments(call.arguments_json)).end_object().end_object();
}

std::string call_arguments(std::string_view arguments_json) {
  std::string object = argument_object(arguments_json);
  return object.find_first_of("\r\n") == std::string::npos ? object : json::compact(object);
}

std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options, chat::LossNotes& losses) {
  note_stop(reply, losses);
  std::string body;
  json::Writer writer(body);
  writer.begin_object().key("candidates").begin_array().begin_object();
  writer.key("content").begin_object().key("parts").begin_array();
  PartsWriter parts(writer, losses);
  for (const chat::Block& block : reply.blocks) parts.write(block);
  writer.end_array().member("role", "model").end_object();
  writer.member("finishReason", finish_reason_of(reply.reason)).member("index", 0).end_object().end_array();
  writer.key("usageMetadata");
  write_usage(writer, reply.usage, options.estimated_input_tokens);
  writer.member("modelVersion", options.model.empty() ? reply.model : options.model);
  writer.member("responseId", reply.id.empty() ? options.id : reply.id).end_object();
  return body;
}

}  // namespace ccrules::dialect::gemini
