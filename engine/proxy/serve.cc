#include "proxy/serve.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/limits.h"
#include "core/text.h"
#include "dialect/capability.h"
#include "proxy/analytics_api.h"
#include "proxy/attempts.h"
#include "proxy/batches.h"
#include "proxy/cache_breaks.h"
#include "proxy/caching.h"
#include "proxy/endpoints.h"
#include "proxy/forward.h"
#include "proxy/gate.h"
#include "proxy/health.h"
#include "proxy/paying.h"
#include "proxy/plan.h"
#include "proxy/rate_limit.h"
#include "proxy/relay.h"
#include "proxy/visit.h"

namespace ccrules::proxy {
namespace {

/// Steps 4 to 10 of docs/life-of-a-request.md: read, decide, send, relay.
Task<Result<void>> answer(Worker& worker, http::Exchange& exchange, const dialect::Route& route,
                          Visit& visit) {
  const dialect::Dialect& spoken = *route.spoken;
  CCR_CO_TRY(body, co_await exchange.read_body(visit.policy->config->limits.body));
  auto plan = std::make_unique<Plan>();
  CCR_CO_CHECK(decide(worker, exchange.head(), route, body, visit, *plan));
  visit.as_array =
      spoken.model_in_path() && route.stream && exchange.head().query().find("alt=sse") == std::string_view::npos;
  co_await decide_closely(worker, body, visit, *plan);
  if (spoken.passes_on()) keep_takers(*visit.policy->config, plan->outline.model, plan->decision);
  CCR_CO_CHECK(settle(visit, *plan));
  note_payer(worker, exchange.head(), plan->decision, visit);
  CCR_CO_CHECK(co_await pass_rate_limits(worker, visit, exchange.stop()));
  std::unique_ptr<Asking> asking;
  if (may_cache(visit, plan->decision)) {
    CCR_CO_TRY(served, co_await serve_cached(worker, exchange, spoken, visit, *plan, body, asking));
    if (served) co_return Result<void>();
  }
  CCR_CO_CHECK(co_await reserve_budget(worker, visit, *plan));

  Ask ask;
  ask.head = &exchange.head();
  ask.exchange = &exchange;
  ask.body = plan->body;
  ask.document = &plan->document;
  ask.outline = &plan->outline;
  ask.spoken = &spoken;
  ask.decision = &plan->decision;
  ask.facts = &plan->facts;
  ask.asking = asking.get();
  StopSource within(asking ? asking->stop() : exchange.stop());
  Deadline total(worker.loop, within);
  total.set(visit.policy->config->timeouts.total);  // zero: no limit
  auto first = co_await first_reply(worker, ask, visit, within.token());
  if (asking && !first.ok()) asking->failed(first.error());
  CCR_CO_TRY(reply, std::move(first));
  if (asking) asking->arrives(*reply, spoken);
  note_cache_use(worker, *plan, *reply, visit);
  plan.reset();  // committed: no other attempt will need it, and a stream may be open for an hour
  text::give_back(body);
  auto relayed = co_await relay(worker, *reply, spoken, visit, exchange);
  note_end(worker, *reply, visit, exchange);
  if (asking) co_await asking->finish(*reply, visit);
  co_return relayed;
}

/// What Claude Code recovers from by itself when it is told the class and nothing else (claude-code-gateway 5.3); the
/// provider's words stay in the ledger and the log.
std::optional<Error> capability_rejected(const Error& error, const dialect::Dialect& spoken, const Visit& visit) {
  if (&spoken != &dialect::anthropic() || visit.row.client != "claude-code" || error.origin != Origin::kUpstream || visit.verbatim)
    return std::nullopt;
  const std::string_view kind = dialect::capability_class(error);
  if (kind.empty()) return std::nullopt;
  Error told = error;
  told.message = "capability_rejected: " + std::string(kind);
  return told;
}

/// A failed answer, told in the client's dialect; the provider's own words where it spoke the same dialect.
Task<void> tell(http::Exchange& exchange, const dialect::Dialect& spoken, const Error& error, Visit& visit) {
  if (visit.row.error.empty())
    visit.row.error = std::string(error_code_name(error.code)) + ": " + error.message;
  if (exchange.stop().stopped()) {
    visit.row.status = 499;
    co_return;
  }
  http::Headers headers;
  if (exchange.head_sent()) {  // only the client's own connection can fail now: relay tells of the provider's
                               // failures
    visit.row.status = 499;
    co_await tell_error(exchange, spoken, error, headers, visit.row.id);
    co_return;
  }
  if (visit.verbatim && error.origin == Origin::kUpstream) {
    visit.row.status = visit.verbatim->status;
    headers = std::move(visit.verbatim->headers);
    if (visit.policy->config->listen.shared) headers.set("request-id", visit.row.id);
    visit.describe(headers);
    if (visit.must_commit()) co_await visit.commit();
    auto sent = co_await exchange.send(visit.verbatim->status, headers, visit.verbatim->body);
    (void)sent;  // a client that left meanwhile cannot be told
    co_return;
  }
  visit.row.status = spoken.error_status(error);
  visit.describe(headers);
  for (std::size_t i = 0; i < visit.more_headers.size(); ++i) {
    const auto [name, value] = visit.more_headers.at(i);
    headers.add(name, value);
  }
  if (visit.must_commit()) co_await visit.commit();
  const std::optional<Error> rejected = capability_rejected(error, spoken, visit);
  co_await tell_error(exchange, spoken, rejected ? *rejected : error, headers, visit.row.id);
}

/// A request to a model: always ends with its ledger row.
Task<void> generate(Worker& worker, http::Exchange& exchange, const dialect::Route& route) {
  const dialect::Dialect& spoken = *route.spoken;
  Visit visit(worker, exchange.head(), spoken.name());
  if (auto refused = refuse(exchange, *visit.policy->config, true)) {
    co_await tell(exchange, spoken, *refused, visit);
  } else {
    visit.row.status = 200;
    auto answered = co_await answer(worker, exchange, route, visit);
    if (!answered.ok()) co_await tell(exchange, spoken, answered.error(), visit);
  }
  visit.record();
  worker.vitals.served();
}

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

}  // namespace

Task<void> serve_item(Worker& worker, http::Exchange& exchange, const std::string& key) {
  dialect::Route route;
  route.endpoint = dialect::Endpoint::kGenerate;
  route.spoken = &dialect::anthropic();
  Visit visit(worker, exchange.head(), route.spoken->name());
  visit.row.key = key;
  visit.row.status = 200;
  auto answered = co_await answer(worker, exchange, route, visit);
  if (!answered.ok()) co_await tell(exchange, *route.spoken, answered.error(), visit);
  visit.record();
}

Task<void> serve(Worker& worker, http::Exchange& exchange) {
  const dialect::Route route = dialect::find(exchange.head().method, exchange.head().path());
  if (route.endpoint == dialect::Endpoint::kGenerate) {
    co_await generate(worker, exchange, route);
    co_return;
  }
  const dialect::Dialect& spoken = route.spoken != nullptr                          ? *route.spoken
                                   : exchange.head().path().starts_with("/v1/chat") ? dialect::openai_chat()
                                   : exchange.head().path().starts_with("/v1beta/") ? dialect::gemini_dialect()
                                                                                    : dialect::anthropic();
  const http::Headers none;
  const std::string no_id;
  const config::Snapshot& config = *worker.policy->config;
  const bool analytics = route.endpoint == dialect::Endpoint::kNone && is_analytics(exchange.head());
  const bool for_admin = is_reload(exchange.head()) || changes_cache(exchange.head()) || analytics;
  if (auto refused = for_admin ? refuse_unless_admin(exchange, config)
                               : refuse(exchange, config, !answers_anyone(route.endpoint))) {
    co_await tell_error(exchange, spoken, *refused, none, no_id);
    co_return;
  }
  auto answered = co_await simple_answer(worker, exchange, route);
  if (!answered.ok()) co_await tell_error(exchange, spoken, answered.error(), none, no_id);
}

}  // namespace ccrules::proxy
