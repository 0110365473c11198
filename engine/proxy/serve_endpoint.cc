#include "proxy/serve_endpoint.h"

#include <string>
#include <utility>

#include "proxy/analytics_api.h"
#include "proxy/batches.h"
#include "proxy/endpoints.h"
#include "proxy/gate.h"
#include "proxy/health.h"
#include "proxy/problem.h"

namespace ccrules::proxy {
namespace {

/// Greetings and what an operator's probes ask are for anyone.
bool answers_anyone(dialect::Endpoint endpoint) {
  using dialect::Endpoint;
  return endpoint == Endpoint::kHello || endpoint == Endpoint::kHealth || endpoint == Endpoint::kReady ||
         endpoint == Endpoint::kStatus;
}

Error not_offered(int status, std::string message) {
  Error error;
  error.code = status == 404 ? ErrorCode::kNotFound : ErrorCode::kUnsupported;
  error.origin = Origin::kClient;
  error.http_status = status;
  error.message = std::move(message);
  return error;
}

/// Requests that change the proxy are for its operator.
bool is_reload(const http::RequestHead& head) { return head.path() == "/reload" && head.method == "POST"; }

bool is_served(const http::RequestHead& head) {
  using dialect::Endpoint;
  const Endpoint endpoint = dialect::find(head.method, head.path()).endpoint;
  if (endpoint == Endpoint::kStored || endpoint == Endpoint::kWebSocket) return false;  // known, and never offered
  return endpoint != Endpoint::kNone || is_reload(head) || is_cache_call(head) || is_analytics(head);
}

/// True for paths of the API for operators, whatever the method.
bool is_for_operators(const http::RequestHead& asked) {
  http::RequestHead head;
  head.target = asked.target;
  for (const char* method : {"GET", "POST"}) {
    head.method = method;
    if (is_reload(head) || is_cache_call(head) || is_analytics(head)) return true;
  }
  return false;
}

/// What may be asked of the path of an OPTIONS request, as the field Allow lists it (RFC 9110, 10.2.1); empty: it is not served.
std::string methods_of(const http::RequestHead& asked) {
  http::RequestHead head;
  head.target = asked.target;
  std::string methods;
  for (const char* method : {"GET", "HEAD", "POST", "DELETE"}) {
    head.method = method;
    if (asked.target == "*" || is_served(head)) methods.append(method).append(", ");
  }
  return methods.empty() ? methods : methods + "OPTIONS";
}

/// Says nothing that would let a page of another origin in: no field of CORS (docs/security.md).
Task<Result<void>> tell_methods(http::Exchange& exchange, const std::string& methods) {
  http::Headers headers;
  headers.add("allow", methods);
  const std::string no_body;
  co_return co_await exchange.send(204, headers, no_body);
}

/// Everything that is not a request to a model.
Task<Result<void>> simple_answer(Worker& worker, http::Exchange& exchange, const dialect::Route& route) {
  switch (route.endpoint) {
    case dialect::Endpoint::kHello:
      co_return co_await greet(exchange);
    case dialect::Endpoint::kHealth:
    case dialect::Endpoint::kReady:
    case dialect::Endpoint::kStatus:
      co_return co_await tell_health(worker, exchange, route.endpoint);
    case dialect::Endpoint::kModels:
    case dialect::Endpoint::kModel:
      co_return co_await list_models(worker, exchange, route);
    case dialect::Endpoint::kVersion:
      co_return co_await tell_version(exchange);
    case dialect::Endpoint::kShow:
      co_return co_await show_model(worker, exchange);
    case dialect::Endpoint::kCountTokens:
      co_return co_await count_tokens(worker, exchange, route);
    case dialect::Endpoint::kWebSocket:
      co_return not_offered(426, "responses are not served over WebSocket here; send POST /v1/responses");
    case dialect::Endpoint::kStored:
      co_return not_offered(
          404, "responses are not kept by this proxy; send the whole conversation to POST /v1/responses");
    case dialect::Endpoint::kBatches:
      co_return co_await serve_batches(worker, exchange, route);
    case dialect::Endpoint::kFiles:
      co_return co_await serve_files(worker, exchange);
    case dialect::Endpoint::kGenerate:
    case dialect::Endpoint::kNone:
      break;
  }
  if (exchange.head().method == "OPTIONS") {
    const std::string methods = methods_of(exchange.head());
    if (!methods.empty()) co_return co_await tell_methods(exchange, methods);
  }
  if (is_reload(exchange.head())) co_return co_await reload(worker, exchange);
  if (is_cache_call(exchange.head())) co_return co_await tell_cache(worker, exchange);
  if (is_analytics(exchange.head())) co_return co_await tell_analytics(worker, exchange);
  Error error;
  error.code = ErrorCode::kNotFound;
  error.origin = Origin::kClient;
  error.http_status = 404;
  error.message = exchange.head().method + " " + std::string(exchange.head().path()) +
                  " is not served here; clients use POST /v1/messages, /v1/chat/completions, /v1/responses, /api/chat or "
                  "/v1beta/models/{model}:generateContent";
  co_return error;
}

Task<void> tell(http::Exchange& exchange, const dialect::Dialect& spoken, const Error& error) {
  if (is_for_operators(exchange.head())) {
    co_await tell_problem(exchange, error);
    co_return;
  }
  const http::Headers none;
  const std::string no_id;
  co_await tell_error(exchange, spoken, error, none, no_id);
}

}  // namespace

Task<void> serve_endpoint(Worker& worker, http::Exchange& exchange, const dialect::Route& route) {
  const dialect::Dialect& spoken = route.spoken != nullptr                          ? *route.spoken
                                   : exchange.head().path().starts_with("/v1/chat") ? dialect::openai_chat()
                                   : exchange.head().path().starts_with("/v1beta/") ? dialect::gemini_dialect()
                                                                                    : dialect::anthropic();
  const config::Snapshot& config = *worker.policy->config;
  const bool analytics = route.endpoint == dialect::Endpoint::kNone && is_analytics(exchange.head());
  const bool for_admin = is_reload(exchange.head()) || changes_cache(exchange.head()) || analytics;
  if (auto refused = for_admin ? refuse_unless_admin(exchange, config)
                               : refuse(exchange, config, !answers_anyone(route.endpoint))) {
    co_await tell(exchange, spoken, *refused);
    co_return;
  }
  auto answered = co_await simple_answer(worker, exchange, route);
  if (!answered.ok()) co_await tell(exchange, spoken, answered.error());
}

}  // namespace ccrules::proxy
