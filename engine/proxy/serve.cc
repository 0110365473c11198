#include "proxy/serve.h"

#include <memory>
#include <string>
#include <utility>

#include "core/text.h"
#include "proxy/cache_breaks.h"
#include "proxy/caching.h"
#include "proxy/forward.h"
#include "proxy/gate.h"
#include "proxy/paying.h"
#include "proxy/plan.h"
#include "proxy/rate_limit.h"
#include "proxy/sending.h"
#include "proxy/serve_endpoint.h"
#include "proxy/tell_failure.h"
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
  if (!plan->forgotten.empty()) co_await decide_knowing(worker, visit, *plan);
  co_await decide_closely(worker, body, visit, *plan);
  if (spoken.passes_on()) keep_takers(*visit.policy->config, plan->outline.model, plan->decision);
  CCR_CO_CHECK(settle(visit, *plan));
  if (!note_payer(worker, exchange.head(), plan->decision, visit)) co_await recall_tree(worker, exchange.head(), visit);
  CCR_CO_CHECK(co_await pass_rate_limits(worker, visit, exchange.stop()));
  Sending sending(worker, exchange, visit);
  if (may_cache(visit, plan->decision)) {
    CCR_CO_TRY(served, co_await serve_cached(worker, exchange, visit, *plan, body, sending));
    if (served) co_return Result<void>();
  }
  CCR_CO_CHECK(co_await reserve_budget(worker, visit, *plan));
  CCR_CO_TRY(reply, co_await sending.first_reply(*plan));
  note_cache_use(worker, *plan, *reply, visit);
  plan.reset();  // committed: no other attempt will need it, and a stream may be open for an hour
  text::give_back(body);
  co_return co_await sending.bring(*reply);
}

/// A request to a model: always ends with its ledger row.
Task<void> generate(Worker& worker, http::Exchange& exchange, const dialect::Route& route) {
  const dialect::Dialect& spoken = *route.spoken;
  Visit visit(worker, exchange.head(), spoken.name());
  if (auto refused = refuse(exchange, *visit.policy->config, true)) {
    co_await tell_failure(exchange, spoken, *refused, visit);
  } else {
    visit.row.status = 200;
    auto answered = co_await answer(worker, exchange, route, visit);
    if (!answered.ok()) co_await tell_failure(exchange, spoken, answered.error(), visit);
  }
  visit.record();
  worker.vitals.served();
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
  if (!answered.ok()) co_await tell_failure(exchange, *route.spoken, answered.error(), visit);
  visit.record();
}

Task<void> serve(Worker& worker, http::Exchange& exchange) {
  const dialect::Route route = dialect::find(exchange.head().method, exchange.head().path());
  if (route.endpoint == dialect::Endpoint::kGenerate) {
    co_await generate(worker, exchange, route);
  } else {
    co_await serve_endpoint(worker, exchange, route);
  }
}

}  // namespace ccrules::proxy
