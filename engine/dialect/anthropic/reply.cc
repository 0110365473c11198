#include <utility>

#include "dialect/anthropic/parts.h"
#include "dialect/broken.h"
#include "dialect/call_ids.h"
#include "dialect/failure.h"
#include "dialect/tools.h"

namespace ccrules::dialect::anthropic_messages {
namespace {

using json::Type;

/// Members of a reply but its content.
Result<void> read_member(std::string_view key, json::Value& value, chat::Reply& reply) {
  if (value.is_null()) return {};
  if (key == "usage") {
    CCR_TRY(usage, read_usage(value));
    reply.usage = usage;
  } else if (key == "id" && value.is(Type::kString)) {
    CCR_TRY(id, value.string());
    reply.id = id;
  } else if (key == "model" && value.is(Type::kString)) {
    CCR_TRY(model, value.string());
    reply.model = model;
  } else if (key == "stop_reason" && value.is(Type::kString)) {
    CCR_TRY(word, value.string());
    reply.reason = stop_reason_from(word);
  } else if (key == "stop_sequence" && value.is(Type::kString)) {
    CCR_TRY(text, value.string());
    reply.stop_sequence = text;
  } else if (key == "stop_details") {
    CCR_TRY(raw, value.raw());
    reply.stop_details_json = raw;
  }
  return {};
}

Result<chat::Reply> read_message(std::string_view body, bool with_content) {
  // What is only looked at goes out as it came: its escapes are the client's to judge.
  CCR_TRY(document, json::Document::open_view(body, with_content ? json::Escapes::kChecked : json::Escapes::kUnchecked));
  CCR_TRY(root, document.root_object());
  chat::Reply reply;
  reply.reason = chat::StopReason::kOther;  // until it says
  bool has_content = false;
  while (root.next()) {
    json::Value& value = root.value();
    if (root.key() != "content") {
      CCR_CHECK(read_member(root.key(), value, reply));
      continue;
    }
    has_content = has_content || value.is(Type::kArray);
    if (!with_content || !value.is(Type::kArray)) continue;
    bool plain_string = false;
    CCR_CHECK(read_content(value, reply.blocks, plain_string));
  }
  CCR_CHECK(root.done());
  CCR_CHECK(document.at_end());
  note_refusal(reply.reason, reply.usage);
  if (!has_content) return bad_request("the body has no content array");
  return reply;
}

/// What this dialect's blocks cannot say, or clients must not see.
bool is_writable(const chat::Block& block, chat::LossNotes& losses) {
  const auto* opaque = std::get_if<chat::Opaque>(&block.value);
  if (opaque == nullptr || opaque->dialect == kName) return true;
  losses.add("block." + safe_name(opaque->type), "only " + opaque->dialect + " knows this kind of content");
  return false;
}

}  // namespace

namespace {

/// Results name the call they answer: one without an id could not be answered.
void name_calls(chat::Reply& reply, const ReaderOptions& options) {
  std::uint32_t number = 0;
  for (chat::Block& block : reply.blocks) {
    auto* call = std::get_if<chat::ToolCall>(&block.value);
    if (call != nullptr && call->id.empty()) call->id = made_call_id(call->name, number, options.seed);
    if (call != nullptr) restore_name(options.renamed_tools, call->name);
    ++number;
  }
}

}  // namespace

Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options) {
  auto reply = read_message(body, true);
  if (reply.ok() && has_unnamed_call(*reply)) {
    UpstreamFailure whose;
    whose.provider = options.provider;
    return error_of(unnamed_call(), whose);
  }
  if (reply.ok()) {
    name_calls(*reply, options);
    return reply;
  }
  Error error = reply.error();
  if (const FailureText words = parse_failure(body); !words.message.empty() && !words.type.empty()) {
    UpstreamFailure failure;
    failure.status = 200;
    failure.body = body;
    failure.provider = options.provider;
    return read_failure(failure);
  }
  error.code = ErrorCode::kUpstreamProtocol;
  error.origin = Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = 502;
  error.provider = options.provider;
  error.message = "the provider's answer is not an Anthropic message: " + error.message;
  return error;
}

chat::Reply peek_reply(std::string_view body) {
  auto reply = read_message(body, false);
  return reply.ok() ? *std::move(reply) : chat::Reply{};
}

std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options, chat::LossNotes& losses) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object();
  writer.member("id", reply.id.empty() ? options.id : reply.id).member("type", "message").member("role", "assistant");
  writer.member("model", options.model.empty() ? reply.model : options.model);
  writer.key("content").begin_array();
  for (const chat::Block& block : reply.blocks) {
    if (!is_writable(block, losses)) continue;
    const auto* text = std::get_if<chat::Text>(&block.value);
    if (text != nullptr && text->text.empty() && reply.blocks.size() > 1) continue;
    const auto* call = std::get_if<chat::ToolCall>(&block.value);
    if (call == nullptr) {
      write_block(writer, block);
      continue;
    }
    chat::ToolCall whole = *call;
    whole.arguments_json = tool_input(call->arguments_json);
    write_block(writer, chat::Block{std::move(whole)});
  }
  writer.end_array();
  writer.member("stop_reason", stop_reason_word(reply.reason));
  writer.key("stop_sequence");
  if (reply.stop_sequence.empty()) {
    writer.null();
  } else {
    writer.string(reply.stop_sequence);
  }
  writer.key("stop_details");
  write_stop_details(writer, reply.reason, reply.stop_details_json);
  writer.key("container").null().key("diagnostics").null();
  writer.key("usage");
  write_usage(writer, reply.usage, options.estimated_input_tokens);
  writer.end_object();
  return out;
}

std::string tool_input(std::string arguments_json) {
  auto document = json::Document::open_view(arguments_json);
  auto root = document ? document->root() : Result<json::Value>(document.error());
  if (!root || !root->is(Type::kObject)) return argument_object(arguments_json);
  const auto raw = root->raw();
  if (!raw.ok() || !document->at_end().ok()) return argument_object(arguments_json);
  return raw->size() == arguments_json.size() ? std::move(arguments_json) : std::string(*raw);
}

void write_stop_details(json::Writer& writer, chat::StopReason reason, std::string_view stop_details_json) {
  if (!stop_details_json.empty()) {
    writer.raw(one_line(stop_details_json));
  } else if (reason == chat::StopReason::kRefusal) {
    writer.begin_object().member("type", "refusal").key("category").null().key("explanation").null().end_object();
  } else {
    writer.null();
  }
}

}  // namespace ccrules::dialect::anthropic_messages
