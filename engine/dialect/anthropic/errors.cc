#include "dialect/anthropic/parts.h"
#include "dialect/discovery.h"
#include "dialect/failure.h"

namespace ccrules::dialect::anthropic_messages {
namespace {

/// Claude Code and the SDKs branch on the type; three of ours have a name of their own in the gateway protocol.
std::string_view client_error_type(const Error& error) {
  if (error.code == ErrorCode::kDenied && error.http_status == 400) return "policy_blocked";
  if (error.code == ErrorCode::kBudgetExceeded) return "billing_error";
  if (error.http_status == 501) return "not_supported";
  return dialect::error_type(error);
}

/// Error codes that clients look for in error.details.
bool is_detail(std::string_view type) { return type == kThreadUnsupported; }

}  // namespace

std::string write_error(const Error& error, std::string_view request_id) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().member("type", "error").key("error").begin_object();
  writer.member("type", client_error_type(error)).member("message", error.message);
  if (is_detail(error.type)) {
    writer.key("details").begin_object().member("error_code", error.type);
    writer.key("unsupported").begin_array().end_array().end_object();
  }
  writer.end_object().key("request_id");
  if (request_id.empty()) {
    writer.null();
  } else {
    writer.string(request_id);
  }
  writer.end_object();
  return out;
}

int error_status(const Error& error) {
  if (error.code == ErrorCode::kContextExceeded) return 400;
  if (error.code == ErrorCode::kUpstreamOverloaded) return 529;
  return error.http_status >= 400 && error.http_status <= 599 ? error.http_status : 500;
}

namespace {

void append_model(json::Writer& writer, const ListedModel& model) {
  writer.begin_object().member("type", "model").member("id", model.id).member("display_name", meant_model(model.id));
  // Anthropic's own value for a model whose release date is not known.
  writer.member("created_at", "1970-01-01T00:00:00Z");
  if (model.context_tokens) writer.member("max_input_tokens", *model.context_tokens);
  if (model.max_output_tokens) writer.member("max_tokens", *model.max_output_tokens);
  writer.end_object();
}

}  // namespace

std::string write_models(const ModelPage& page) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().key("data").begin_array();
  for (const ListedModel& model : page.models) append_model(writer, model);
  writer.end_array().member("has_more", page.has_more);
  for (const char* end : {"first_id", "last_id"}) {
    writer.key(end);
    if (page.models.empty()) {
      writer.null();
    } else {
      writer.string(end[0] == 'f' ? page.models.front().id : page.models.back().id);
    }
  }
  writer.end_object();
  return out;
}

std::string write_model(const ListedModel& model) {
  std::string out;
  json::Writer writer(out);
  append_model(writer, model);
  return out;
}

}  // namespace ccrules::dialect::anthropic_messages
