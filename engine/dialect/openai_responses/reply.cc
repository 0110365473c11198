#include <algorithm>
#include <utility>

#include "core/text.h"
#include "dialect/broken.h"
#include "dialect/failure.h"
#include "dialect/openai_responses/parts.h"
#include "dialect/stop_losses.h"

namespace ccrules::dialect::responses {
namespace {

Error failure_in(std::string_view body, const ReaderOptions& options) {
  UpstreamFailure failure;
  failure.status = 200;
  failure.provider = options.provider;
  failure.model = options.model;
  FailureText text = parse_failure(body);
  if (text.message.empty()) text.message = "the provider answered something that is not a response";
  return classify_failure(failure, std::move(text));
}

bool is_failed(const Envelope& envelope) {
  return envelope.status == "failed" || envelope.status == "cancelled" || !envelope.error_json.empty();
}

std::string original_name(const ReaderOptions& options, std::string name) {
  for (const RenamedTool& renamed : options.renamed_tools) {
    if (renamed.sent == name) return renamed.original;
  }
  return name;
}

/// What a model broke is taken as no arguments (G-7).
std::string whole_arguments(std::string_view arguments) {
  arguments = text::trim(arguments);
  return arguments.starts_with('{') && json::is_valid(arguments) ? std::string(arguments) : "{}";
}

void add_item(std::string_view item_json, const ReaderOptions& options, chat::Reply& reply, bool& refused) {
  Item item = read_item(item_json);
  switch (item.kind) {
    case Item::Kind::kMessage:
      note_losses(item, reply.losses);
      for (Part& part : item.parts) {
        refused = refused || part.refusal;
        if (!part.text.empty()) reply.blocks.push_back({chat::Text{std::move(part.text), {}, {}}});
      }
      return;
    case Item::Kind::kReasoning:
      if (item.reasoning.empty() && !item.has_encrypted) return;
      reply.blocks.push_back(
          {chat::Thinking{std::move(item.reasoning), reasoning_signature(item_json, options), false}});
      return;
    case Item::Kind::kCall:
    case Item::Kind::kCustomCall: {
      chat::ToolCall call;
      call.id = item.call_id.empty() ? item.id : std::move(item.call_id);
      call.name = original_name(options, std::move(item.name));
      call.arguments_json =
          item.kind == Item::Kind::kCall ? whole_arguments(item.arguments) : wrapped_input(item.arguments);
      call.extra_json = std::move(item.extra_json);
      reply.blocks.push_back({std::move(call)});
      return;
    }
    case Item::Kind::kOther:
      reply.blocks.push_back(
          {chat::Opaque{std::string(kName), std::move(item.type), std::string(item_json)}});
  }
}

bool is_response(const json::Value& root) {
  return root.is(json::Type::kObject) &&
         (root.peek_string("object") == "response" || root.peek("output").has_value());
}

}  // namespace

Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options) {
  auto document = json::Document::open(body);
  if (!document) return failure_in(body, options);
  auto root = document->root();
  if (!root || !is_response(*root)) return failure_in(body, options);
  auto envelope = read_envelope(*root);
  if (!envelope) return failure_in(body, options);
  if (is_failed(*envelope))
    return failure_in(envelope->error_json.empty() ? body : std::string_view(envelope->error_json), options);
  chat::Reply reply;
  reply.id = envelope->id;
  reply.model = envelope->model;
  reply.usage = envelope->usage;
  bool refused = false;
  for (const std::string_view item : envelope->items) add_item(item, options, reply, refused);
  const bool called = std::any_of(reply.blocks.begin(), reply.blocks.end(), [](const chat::Block& block) {
    return std::holds_alternative<chat::ToolCall>(block.value);
  });
  reply.reason = stop_reason_of(*envelope, called, refused);
  if (reply.blocks.empty()) reply.blocks.push_back({chat::Text{}});
  if (has_unnamed_call(reply)) {
    UpstreamFailure whose;
    whose.provider = options.provider;
    return error_of(unnamed_call(), whose);
  }
  return reply;
}

chat::Reply peek_reply(std::string_view body) {
  chat::Reply reply;
  auto document = json::Document::open_view(body);
  if (!document) return reply;
  auto root = document->root();
  if (!root || !is_response(*root)) return reply;
  const auto envelope = read_envelope(*root);
  if (!envelope || is_failed(*envelope)) return reply;
  bool called = false;
  bool refused = false;
  for (const std::string_view json : envelope->items) {
    const Item item = read_item(json);
    called = called || item.kind == Item::Kind::kCall || item.kind == Item::Kind::kCustomCall;
    refused = refused || std::any_of(item.parts.begin(), item.parts.end(), [](const Part& part) { return part.refusal; });
  }
  reply.id = envelope->id;
  reply.model = envelope->model;
  reply.usage = envelope->usage;
  reply.reason = stop_reason_of(*envelope, called, refused);
  return reply;
}

std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options,
                        chat::LossNotes& losses) {
  note_stop(reply, losses);
  const ItemWriter items(options);
  const std::string id = items.response_id(reply.id);
  std::string output = "[";
  std::size_t place = 0;
  for (const chat::Block& block : reply.blocks) {
    if (const auto* text = std::get_if<chat::Text>(&block.value);
        text != nullptr && !text->extra_json.empty())
      losses.add("citations", "responses have another form of citations");
    const std::string item = items.item(block, id, place, status_of(reply.reason));
    if (item.empty()) {
      if (const auto* opaque = std::get_if<chat::Opaque>(&block.value))
        losses.add("content." + opaque->type, "responses have no such content");
      continue;
    }
    if (place++ > 0) output += ',';
    output += item;
  }
  output += ']';
  std::string body;
  body.reserve(output.size() + 1024);
  json::Writer writer(body);
  items.response(writer, id, reply.model, status_of(reply.reason), output, &reply.usage, reply.reason);
  return body;
}

}  // namespace ccrules::dialect::responses
