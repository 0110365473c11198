#include "dialect/ollama/wire.h"

#include "core/text.h"
#include "core/utc.h"

namespace ccrules::dialect::ollama {

/// Ollama's own servers have no word for it; their clients take any.
constexpr std::string_view kRefusal = "refusal";

std::string timestamp(std::int64_t unix_s) { return rfc3339(unix_s * 1'000'000); }

std::string_view done_reason_of(chat::StopReason reason) {
  if (reason == chat::StopReason::kMaxTokens || reason == chat::StopReason::kContextExceeded) return "length";
  return reason == chat::StopReason::kRefusal ? kRefusal : "stop";
}

chat::StopReason stop_reason_of(std::string_view done_reason, bool called_tools) {
  if (done_reason == "length") return chat::StopReason::kMaxTokens;
  if (done_reason == kRefusal) return chat::StopReason::kRefusal;
  if (called_tools) return chat::StopReason::kToolUse;
  return done_reason == "stop" ? chat::StopReason::kEndTurn : chat::StopReason::kOther;
}

void write_call(json::Writer& writer, const chat::ToolCall& call, std::size_t number) {
  const std::string_view arguments = text::trim(call.arguments_json);
  const bool whole = arguments.starts_with('{') && json::is_valid(arguments);
  writer.begin_object().member("id", call.id).key("function").begin_object();
  writer.member("index", static_cast<std::int64_t>(number)).member("name", call.name);
  writer.member_raw("arguments", whole ? arguments : "{}").end_object().end_object();
}

void write_end(json::Writer& writer, chat::StopReason reason, const chat::Usage& reported) {
  const chat::Usage usage = reported.with_compaction();
  writer.member("done", true).member("done_reason", done_reason_of(reason));
  const std::int64_t prompt =
      usage.input_tokens.value_or(0) + usage.cache_read_tokens.value_or(0) + usage.cache_write_tokens.value_or(0);
  if (usage.input_tokens || prompt > 0) writer.member("prompt_eval_count", prompt);
  if (usage.output_tokens) writer.member("eval_count", *usage.output_tokens);
}

std::string error_body(std::string_view message) {
  std::string body;
  json::Writer(body).begin_object().member("error", message).end_object();
  return body;
}

int error_status(const Error& error) { return error.http_status == 529 ? 503 : error.http_status; }

std::string tags_body(const ModelPage& page) {
  std::string body;
  json::Writer writer(body);
  writer.begin_object().key("models").begin_array();
  for (const ListedModel& model : page.models) {
    writer.begin_object().member("name", model.id).member("model", model.id).member("modified_at", "1970-01-01T00:00:00Z");
    writer.member("size", 0).member("digest", "").key("details").begin_object();
    writer.member("format", "").member("family", "").key("families").null();
    writer.member("parameter_size", "").member("quantization_level", "").end_object().end_object();
  }
  writer.end_array().end_object();
  return body;
}

}  // namespace ccrules::dialect::ollama
