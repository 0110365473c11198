#include "dialect/openai_chat/errors.h"

#include "core/json.h"
#include "dialect/failure.h"

namespace ccrules::dialect::openai {
namespace {

struct Kind {
  std::string_view type;
  std::string_view code;  ///< empty: null
};

/// OpenAI's words for Anthropic's error types. Its SDKs branch on the status; people and some clients read
/// `code`.
Kind kind_of(std::string_view anthropic_type) {
  if (anthropic_type == "authentication_error") return {"authentication_error", "invalid_api_key"};
  if (anthropic_type == "permission_error") return {"permission_error", "permission_denied"};
  if (anthropic_type == "billing_error") return {"insufficient_quota", "insufficient_quota"};
  if (anthropic_type == "not_found_error") return {"invalid_request_error", "not_found"};
  if (anthropic_type == "request_too_large") return {"invalid_request_error", "request_too_large"};
  if (anthropic_type == "rate_limit_error") return {"rate_limit_error", "rate_limit_exceeded"};
  if (anthropic_type == "timeout_error") return {"server_error", "timeout"};
  if (anthropic_type == "overloaded_error") return {"server_error", "overloaded"};
  if (anthropic_type == "api_error") return {"server_error", "server_error"};
  return {"invalid_request_error", {}};
}

std::string body_of(std::string_view message, Kind kind, std::string_view request_id) {
  std::string body;
  json::Writer writer(body);
  writer.begin_object().key("error").begin_object();
  writer.member("message", message).member("type", kind.type).key("param").null().key("code");
  if (kind.code.empty())
    writer.null();
  else
    writer.string(kind.code);
  writer.end_object();
  if (!request_id.empty()) writer.member("request_id", request_id);
  writer.end_object();
  return body;
}

}  // namespace

std::string error_body(std::string_view message, std::string_view anthropic_type) {
  Kind kind = kind_of(anthropic_type);
  if (kind.code.empty() && find_overflow(message, {})) kind.code = "context_length_exceeded";
  return body_of(message, kind, {});
}

std::string_view error_code(std::string_view message, std::string_view anthropic_type) {
  const Kind kind = kind_of(anthropic_type);
  if (!kind.code.empty()) return kind.code;
  return find_overflow(message, {}) ? "context_length_exceeded" : "invalid_request_error";
}

std::string error_body(const Error& error, std::string_view request_id) {
  Kind kind = kind_of(error_type(error));
  if (error.code == ErrorCode::kContextExceeded)
    kind.code = "context_length_exceeded";
  else if (error.code == ErrorCode::kNotFound && error.origin == Origin::kUpstream)
    kind.code = "model_not_found";
  else if (kind.code.empty() && !error.type.empty())
    kind.code = error.type;
  return body_of(error.message, kind, request_id);
}

int error_status(const Error& error) {
  return error.http_status == 529 ? 503 : error.http_status;
}

namespace {

void append_model(json::Writer& writer, const ListedModel& model) {
  writer.begin_object().member("id", model.id).member("object", "model").member("created", 0).member("owned_by", "ccrules").end_object();
}

}  // namespace

std::string models_body(const ModelPage& page) {
  std::string body;
  json::Writer writer(body);
  writer.begin_object().member("object", "list").key("data").begin_array();
  for (const ListedModel& model : page.models) append_model(writer, model);
  writer.end_array().end_object();
  return body;
}

std::string model_body(const ListedModel& model) {
  std::string body;
  json::Writer writer(body);
  append_model(writer, model);
  return body;
}

}  // namespace ccrules::dialect::openai
