#include <utility>

#include "core/json.h"
#include "dialect/failure.h"
#include "dialect/gemini/parts.h"

namespace ccrules::dialect::gemini {
namespace {

struct Kind {
  int code;
  std::string_view status;
};

/// Google's words for Anthropic's error types; clients branch on the HTTP status and show `status`.
Kind kind_of(std::string_view anthropic_type) {
  if (anthropic_type == "authentication_error") return {401, "UNAUTHENTICATED"};
  if (anthropic_type == "permission_error") return {403, "PERMISSION_DENIED"};
  if (anthropic_type == "billing_error") return {402, "FAILED_PRECONDITION"};
  if (anthropic_type == "not_found_error") return {404, "NOT_FOUND"};
  if (anthropic_type == "request_too_large") return {413, "INVALID_ARGUMENT"};
  if (anthropic_type == "rate_limit_error") return {429, "RESOURCE_EXHAUSTED"};
  if (anthropic_type == "timeout_error") return {504, "DEADLINE_EXCEEDED"};
  if (anthropic_type == "overloaded_error") return {503, "UNAVAILABLE"};
  if (anthropic_type == "api_error") return {500, "INTERNAL"};
  return {400, "INVALID_ARGUMENT"};
}

std::string body_of(int code, std::string_view message, std::string_view status, std::string_view details_json) {
  std::string body;
  json::Writer writer(body);
  writer.begin_object().key("error").begin_object();
  writer.member("code", code).member("message", message).member("status", status);
  if (!details_json.empty()) writer.member_raw("details", details_json);
  writer.end_object().end_object();
  return body;
}

}  // namespace

std::string error_body(std::string_view message, std::string_view anthropic_type) {
  const Kind kind = kind_of(anthropic_type);
  return body_of(kind.code, message, kind.status, {});
}

std::string write_error(const Error& error, std::string_view request_id) {
  std::string details;
  json::Writer writer(details);
  writer.begin_array();
  if (!request_id.empty()) {
    writer.begin_object().member("@type", "type.googleapis.com/google.rpc.RequestInfo").member("requestId", request_id).end_object();
  }
  if (error.retry_after_ms >= 0) {
    const std::string delay = std::to_string((error.retry_after_ms + 999) / 1000) + "s";
    writer.begin_object().member("@type", "type.googleapis.com/google.rpc.RetryInfo").member("retryDelay", delay).end_object();
  }
  writer.end_array();
  return body_of(error_status(error), error.message, kind_of(error_type(error)).status, details == "[]" ? std::string_view() : details);
}

int error_status(const Error& error) { return error.http_status == 529 ? 503 : error.http_status; }

namespace {

void append_model(json::Writer& writer, const ListedModel& model) {
  writer.begin_object().member("name", "models/" + model.id).member("displayName", model.id);
  if (model.context_tokens) writer.member("inputTokenLimit", *model.context_tokens);
  if (model.max_output_tokens) writer.member("outputTokenLimit", *model.max_output_tokens);
  writer.key("supportedGenerationMethods").begin_array().string("generateContent").string("countTokens").end_array().end_object();
}

}  // namespace

std::string write_models(const ModelPage& page) {
  std::string body;
  json::Writer writer(body);
  writer.begin_object().key("models").begin_array();
  for (const ListedModel& model : page.models) append_model(writer, model);
  writer.end_array();
  if (page.has_more) writer.member("nextPageToken", page.next_token);
  writer.end_object();
  return body;
}

std::string write_model(const ListedModel& model) {
  std::string body;
  json::Writer writer(body);
  append_model(writer, model);
  return body;
}

}  // namespace ccrules::dialect::gemini
