#include "proxy/serve.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/ids.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "proxy/attempts.h"
#include "proxy/endpoints.h"
#include "proxy/gate.h"
#include "proxy/health.h"
#include "proxy/identity.h"
#include "proxy/relay.h"
#include "proxy/token_count.h"
#include "proxy/visit.h"
#include "rules/recorded.h"
#include "tokens/counter.h"

namespace ccrules::proxy {
namespace {

/// What the rules refuse, as the error the client sees.
Result<void> allowed(const rules::Decision& decision) {
  if (decision.deny) {
    Error error;
    error.code = ErrorCode::kDenied;
    error.origin = Origin::kClient;
    error.http_status = decision.deny->status;
    error.type = decision.deny->type;
    error.message = decision.deny->message;
    error.should_retry_false = true;
    return error;
  }
  if (!decision.bad_request.empty()) return bad_request(decision.bad_request);
  if (decision.targets.empty()) {
    Error error;
    error.code = ErrorCode::kNotFound;
    error.origin = Origin::kClient;
    error.http_status = 404;
    error.message = decision.no_target;
    return error;
  }
  return {};
}

/// What is known of a request before it is sent; given back once a provider has answered.
struct Plan {
  std::optional<json::Document> document;  ///< over the body, until the first attempt has been written
  chat::Outline outline;
  rules::Identity who;
  rules::Facts facts;
  rules::FactRecorder recorder;
  rules::TokensUse tokens_use;
  rules::Decision decision;
  const dialect::Dialect* spoken = nullptr;
  std::string* body = nullptr;
  std::optional<chat::Request> whole;  ///< once a rule asked for the messages

  const chat::Request* request() {
    if (whole) return &*whole;
    auto read = spoken->read_request(json::padded(*body));
    if (!read.ok()) return nullptr;
    whole = *std::move(read);
    if (spoken->model_in_path()) {
      whole->model = outline.model;
      whole->stream = outline.stream;
    }
    return &*whole;
  }
};

void set_tokens(const tokens::Count& count, Visit& visit, rules::Facts& facts) {
  visit.estimated_input_tokens = count.tokens;
  visit.row.counted_tokens = count.tokens;
  visit.row.counted_grade = tokens::grade_name(count.grade);
  facts.tokens = count.tokens;
  facts.tokens_exact = count.grade == tokens::Grade::kExact;
  facts.tokens_p95 = count.p95;
  facts.tokens_grade = tokens::grade_name(count.grade);
}

/// What is done, not why.
bool same_effect(const rules::Decision& a, const rules::Decision& b) {
  const auto same_edit = [](const rules::FieldEdit& x, const rules::FieldEdit& y) {
    return x.field == y.field && x.kind == y.kind && x.value_json == y.value_json;
  };
  const auto same_header = [](const rules::HeaderEdit& x, const rules::HeaderEdit& y) {
    return x.name == y.name && x.value == y.value;
  };
  return a.rule == b.rule && a.targets == b.targets && a.deny.has_value() == b.deny.has_value() &&
         a.bad_request == b.bad_request && a.no_target == b.no_target && a.tags == b.tags &&
         std::equal(a.edits.begin(), a.edits.end(), b.edits.begin(), b.edits.end(), same_edit) &&
         std::equal(a.headers.begin(), a.headers.end(), b.headers.begin(), b.headers.end(), same_header);
}

/// Steps 4 to 6: outline, identity, tokens, decision. Pure but for the agent files.
Result<void> decide(Worker& worker, const http::RequestHead& head, const dialect::Route& route,
                    std::string& body, Visit& visit, Plan& plan) {
  const dialect::Dialect& spoken = *route.spoken;
  CCR_TRY(document, json::Document::open_view(body));
  plan.document = std::move(document);
  CCR_TRY(outline, spoken.outline(*plan.document));
  if (spoken.model_in_path()) {
    outline.model = dialect::decoded_segment(route.model);
    outline.stream = route.stream;
  }
  if (outline.model.size() > limits::kModelNameBytes) {
    return bad_request("the model's name is longer than " + std::to_string(limits::kModelNameBytes) +
                       " bytes");
  }
  plan.outline = std::move(outline);
  visit.asked(plan.outline);
  plan.who = identify(worker, head, plan.outline);
  visit.belongs_to(plan.who);
  const tokens::Count count = cheap_count(worker, plan.outline);
  visit.cheap_estimate = tokens::count(plan.outline).tokens;
  rules::Facts& facts = plan.facts;
  facts.outline = &plan.outline;
  facts.identity = &plan.who;
  facts.dialect = spoken.name();
  facts.path = head.path();
  facts.wall_us = visit.row.at_us;
  plan.spoken = &spoken;
  plan.body = &body;
  facts.body = body;
  facts.request = [&plan] { return plan.request(); };
  worker.live_counters.begin(plan.who, plan.outline.model, visit.row.at_us, visit.policy->config);
  facts.counters = worker.counters;
  facts.header = [&head](std::string_view name) { return head.headers.get(name); };
  plan.recorder.listen(facts);
  set_tokens(count, visit, facts);
  facts.tokens_use = &plan.tokens_use;
  plan.tokens_use.low = std::max<std::int64_t>(0, count.tokens - count.p95);
  plan.tokens_use.high = count.tokens + count.p95;
  plan.decision = visit.policy->rules->decide(facts);
  facts.tokens_use = nullptr;
  return {};
}

/// True when the decision could be another one within what the cheap count leaves open.
bool hangs_on_tokens(Visit& visit, Plan& plan) {
  if (plan.tokens_use.near) return true;
  if (!plan.tokens_use.seen) return false;
  // A rule's own code read the count: what it would have done at both ends tells.
  for (const std::int64_t end : {plan.tokens_use.low, plan.tokens_use.high}) {
    rules::Facts at_end = plan.facts;
    at_end.tokens = end;
    if (!same_effect(visit.policy->rules->decide(at_end), plan.decision)) return true;
  }
  return false;
}

/// Counts block by block and decides again. A body that cannot be counted so is for the provider to judge.
Task<void> decide_closely(Worker& worker, std::string_view body, Visit& visit, Plan& plan) {
  Result<CloseCount> close = co_await close_count(worker, body, plan.outline.model, plan.who.session);
  if (!close) co_return;
  visit.counted = std::move(close->prompt);
  set_tokens(close->count, visit, plan.facts);
  plan.decision = visit.policy->rules->decide(plan.facts);
}

/// The decision stands: notes it, and says what it refuses.
Result<void> settle(Visit& visit, Plan& plan) {
  visit.row.ruleset = visit.policy->rules->hash();
  visit.row.facts_json = plan.recorder.json(plan.facts);
  if (visit.policy->shadow) visit.row.shadow_json = visit.policy->shadow->compare(plan.facts, plan.decision);
  visit.decided(plan.decision);
  return allowed(plan.decision);
}

Result<void> uncompressed(const http::Headers& headers) {
  const std::string_view how = headers.get("content-encoding");
  if (how.empty() || text::equals_ignore_case(how, "identity")) return {};
  Error error =
      bad_request("the body is compressed (content-encoding: " + text::to_valid_utf8(how.substr(0, 40)) +
                  "): send it as it is");
  error.http_status = 415;
  return error;
}

/// Sets aside what the request may cost, where a hard budget applies to it.
Result<void> reserve_budget(Worker& worker, const Plan& plan, Visit& visit) {
  const config::Snapshot& config = *visit.policy->config;
  if (config.budgets.empty()) return {};
  const std::vector<ledger::Cap> caps = caps_for(config, plan.who, plan.outline.model, BudgetMode::kHard);
  if (caps.empty()) return {};
  const auto worst = worst_case_nanousd(plan.decision, plan.outline, visit.estimated_input_tokens, config);
  CCR_TRY(reservation, reserve(worker.tallies.spend, caps, worst, visit.row.at_us, visit.more_headers));
  visit.reservation = std::move(reservation);
  return {};
}

/// Steps 4 to 10 of docs/life-of-a-request.md: read, decide, send, relay.
Task<Result<void>> answer(Worker& worker, http::Exchange& exchange, const dialect::Route& route,
                          Visit& visit) {
  const dialect::Dialect& spoken = *route.spoken;
  CCR_CO_CHECK(uncompressed(exchange.head().headers));
  CCR_CO_TRY(body, co_await exchange.read_body(visit.policy->config->limits.body));
  auto plan = std::make_unique<Plan>();
  CCR_CO_CHECK(decide(worker, exchange.head(), route, body, visit, *plan));
  if (spoken.model_in_path() && route.stream && exchange.head().query().find("alt=sse") == std::string_view::npos) {
    co_return bad_request("streams are served as server-sent events only; add ?alt=sse to the path");
  }
  if (spoken.counts_by_block() && hangs_on_tokens(visit, *plan)) co_await decide_closely(worker, body, visit, *plan);
  CCR_CO_CHECK(settle(visit, *plan));
  CCR_CO_CHECK(reserve_budget(worker, *plan, visit));

  Ask ask;
  ask.head = &exchange.head();
  ask.body = &body;
  ask.document = &plan->document;
  ask.outline = &plan->outline;
  ask.spoken = &spoken;
  ask.decision = &plan->decision;
  ask.facts = &plan->facts;
  StopSource within(exchange.stop());
  Deadline total(worker.loop, within);
  total.set(visit.policy->config->timeouts.total);  // zero: no limit
  CCR_CO_TRY(reply, co_await first_reply(worker, ask, visit, within.token()));
  plan.reset();  // committed: no other attempt will need it, and a stream may be open for an hour
  body = std::string();
  co_return co_await relay(worker, *reply, spoken, visit, exchange);
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
  co_await tell_error(exchange, spoken, error, headers, visit.row.id);
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
      co_return co_await count_tokens(worker, exchange, *route.spoken);
    case dialect::Endpoint::kWebSocket:
      co_return not_offered(426, "responses are not served over WebSocket here; send POST /v1/responses");
    case dialect::Endpoint::kStored:
      co_return not_offered(
          404, "responses are not kept by this proxy; send the whole conversation to POST /v1/responses");
    case dialect::Endpoint::kGenerate:
    case dialect::Endpoint::kNone:
      break;
  }
  const std::string& method = exchange.head().method;
  const std::string_view path = exchange.head().path();
  if (path == "/reload" && method == "POST") co_return co_await reload(worker, exchange);
  Error error;
  error.code = ErrorCode::kNotFound;
  error.origin = Origin::kClient;
  error.http_status = 404;
  error.message = exchange.head().method + " " + std::string(exchange.head().path()) +
                  " is not served here; clients use POST /v1/messages, /v1/chat/completions or /v1/responses";
  co_return error;
}

}  // namespace

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
  if (auto refused = refuse(exchange, *worker.policy->config, !answers_anyone(route.endpoint))) {
    co_await tell_error(exchange, spoken, *refused, none, no_id);
    co_return;
  }
  auto answered = co_await simple_answer(worker, exchange, route);
  if (!answered.ok()) co_await tell_error(exchange, spoken, answered.error(), none, no_id);
}

}  // namespace ccrules::proxy
