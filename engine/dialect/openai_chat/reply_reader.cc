#include "dialect/openai_chat/reply_reader.h"

#include <utility>
#include <vector>

#include "core/json.h"
#include "core/text.h"
#include "dialect/failure.h"
#include "dialect/openai_chat/assembler.h"
#include "dialect/openai_chat/chunk.h"
#include "dialect/openai_chat/finish.h"

namespace ccrules::dialect::openai {
namespace {

Error failure_in(std::string_view body, const ReaderOptions& options) {
  UpstreamFailure failure;
  failure.status = 200;
  failure.body = body;
  failure.provider = options.provider;
  failure.model = options.model;
  FailureText text = parse_failure(body);
  if (text.message.empty()) text.message = "the provider answered something that is not a chat completion";
  return classify_failure(failure, std::move(text));
}

/// A whole reply must hold whole arguments; what a model broke is taken as no arguments (G-7).
void mend_arguments(chat::Reply& reply) {
  for (chat::Block& block : reply.blocks) {
    auto* call = std::get_if<chat::ToolCall>(&block.value);
    if (call == nullptr) continue;
    const std::string_view text = text::trim(call->arguments_json);
    if (!text.starts_with('{') || !json::is_valid(text)) call->arguments_json = "{}";
  }
}

}  // namespace

Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options) {
  auto document = json::Document::open(body);
  if (!document) return failure_in(body, options);
  Chunk chunk;
  chunk.whole_reply = true;
  if (!read_chunk(*document, chunk).ok() || !chunk.error_json.empty() || !chunk.has_choice)
    return failure_in(body, options);
  Assembler assembler(options);
  std::vector<chat::Event> events;
  CCR_CHECK(assembler.apply(chunk, events));
  assembler.end(events);
  chat::Collector collector;
  for (const chat::Event& event : events) collector.add(event);
  if (collector.error()) {
    UpstreamFailure whose;
    whose.provider = options.provider;
    return error_of(*collector.error(), whose);
  }
  chat::Reply reply = collector.take();
  mend_arguments(reply);
  return reply;
}

chat::Reply peek_reply(std::string_view body) {
  chat::Reply reply;
  auto document = json::Document::open(body);
  Chunk chunk;
  if (!document || !read_chunk(*document, chunk).ok() || !chunk.error_json.empty() || !chunk.has_choice)
    return reply;
  reply.id = chunk.id;
  reply.model = chunk.model;
  reply.usage = chunk.usage;
  const Finish finish = finish_of(chunk.finish_reason, !chunk.tools.empty(), chunk.stop_sequence);
  reply.reason = finish.failed ? chat::StopReason::kOther : finish.reason;
  if (reply.reason == chat::StopReason::kEndTurn && chunk.extras.refusal) reply.reason = chat::StopReason::kRefusal;
  reply.stop_sequence = chunk.stop_sequence;
  return reply;
}

}  // namespace ccrules::dialect::openai
