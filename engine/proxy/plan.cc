#include "proxy/plan.h"

#include <algorithm>
#include <utility>

#include "core/limits.h"
#include "dialect/discovery.h"
#include "proxy/gate.h"
#include "proxy/identity.h"
#include "proxy/paying.h"
#include "proxy/session_models.h"
#include "proxy/token_count.h"
#include "tokens/counter.h"

namespace ccrules::proxy {
namespace {

/// Whether the rules let the request go on.
Result<void> allowed(const rules::Decision& decision) {
  if (decision.deny) return denied(*decision.deny);
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

void set_tokens(const tokens::Count& count, Visit& visit, rules::Facts& facts) {
  visit.estimated_input_tokens = count.tokens;
  visit.row.counted_tokens = count.tokens;
  visit.row.counted_grade = tokens::grade_name(count.grade);
  facts.tokens = count.tokens;
  facts.tokens_exact = count.grade == tokens::Grade::kExact;
  facts.tokens_p95 = count.p95;
  facts.tokens_grade = tokens::grade_name(count.grade);
}

/// True when the decision could be another one within what the cheap count leaves open.
bool hangs_on_tokens(Visit& visit, Plan& plan) {
  if (plan.tokens_use.near) return true;
  if (!plan.tokens_use.seen) return false;
  // A rule's own code read the count: what it would have done at both ends tells.
  for (const std::int64_t end : {plan.tokens_use.low, plan.tokens_use.high}) {
    rules::Facts at_end = plan.facts;
    at_end.tokens = end;
    if (!rules::same_effect(visit.policy->rules->decide(at_end), plan.decision)) return true;
  }
  return false;
}

}  // namespace

const chat::Request* Plan::request() {
  if (whole) return &*whole;
  auto read = spoken->read_request(std::string_view(*body));
  if (!read.ok()) return nullptr;
  whole = *std::move(read);
  if (spoken->model_in_path()) {
    whole->model = outline.model;
    whole->stream = outline.stream;
  }
  return &*whole;
}

Result<void> decide(Worker& worker, const http::RequestHead& head, const dialect::Route& route,
                    std::string& body, Visit& visit, Plan& plan) {
  const dialect::Dialect& spoken = *route.spoken;
  CCR_TRY(document, json::Document::open_view(body));
  plan.document = std::move(document);
  plan.document->watch("ttl");
  CCR_TRY(outline, spoken.outline(*plan.document));
  plan.may_name_ttl = plan.document->saw_watched();
  if (spoken.model_in_path()) {
    outline.model = dialect::decoded_segment(route.model);
    outline.stream = route.stream;
  }
  outline.model = std::string(dialect::meant_model(outline.model));
  if (outline.model.size() > limits::kModelNameBytes) {
    return bad_request("the model's name is longer than " + std::to_string(limits::kModelNameBytes) +
                       " bytes");
  }
  plan.outline = std::move(outline);
  visit.asked(plan.outline);
  plan.who = identify(worker, head, plan.outline);
  visit.belongs_to(plan.who);
  const CheapCount cheap = cheap_count(worker, plan.outline);
  const tokens::Count& count = cheap.count;
  visit.cheap_estimate = cheap.estimate;
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
  worker.live_counters.begin(plan.who, plan.outline.model, visit.row.at_us, worker.loop.now_ms(), visit.policy->config);
  facts.counters = worker.counters;
  facts.header = [&head](std::string_view name) { return head.headers.get(name); };
  plan.recorder.listen(facts);
  set_tokens(count, visit, facts);
  facts.tokens_use = &plan.tokens_use;
  plan.tokens_use.low = std::max<std::int64_t>(0, count.tokens - count.p95);
  plan.tokens_use.high = count.tokens + count.p95;
  worker.live_counters.note_forgotten();
  plan.decision = visit.policy->rules->decide(facts);
  plan.forgotten = worker.live_counters.forgotten();
  facts.tokens_use = nullptr;
  return {};
}

Task<void> decide_knowing(Worker& worker, Visit& visit, Plan& plan) {
  constexpr int kTries = 3;  // what is known now may let rules ask for more, and others may take its place
  for (int tries = 1; !plan.forgotten.empty(); ++tries) {
    const std::vector<ledger::Spend::Name> forgotten = std::exchange(plan.forgotten, {});
    bool known = true;
    for (const ledger::Spend::Name& whose : forgotten) {
      const Result<void> recalled = co_await recall(worker, whose);
      known = known && recalled.ok();
    }
    worker.live_counters.go_on(visit.row.at_us, worker.loop.now_ms(), visit.policy->config);
    // What cannot be read is taken for what is remembered of it: rather too little than nothing at all.
    if (known && tries < kTries) worker.live_counters.note_forgotten();
    plan.facts.tokens_use = &plan.tokens_use;
    plan.decision = visit.policy->rules->decide(plan.facts);
    plan.facts.tokens_use = nullptr;
    plan.forgotten = worker.live_counters.forgotten();
  }
}

Task<void> decide_closely(Worker& worker, std::string_view body, Visit& visit, Plan& plan) {
  if (!hangs_on_tokens(visit, plan)) co_return;
  const std::string conversation = SessionModels::conversation(plan.who, plan.outline);
  Countable request;
  request.spoken = plan.spoken;
  request.body = body;
  request.model = plan.outline.model;
  request.conversation = conversation;
  Result<CloseCount> close = co_await close_count(worker, request);
  if (!close) co_return;
  visit.counted = std::move(close->prompt);
  set_tokens(close->count, visit, plan.facts);
  worker.live_counters.go_on(visit.row.at_us, worker.loop.now_ms(), visit.policy->config);
  plan.decision = visit.policy->rules->decide(plan.facts);
}

rules::Decision would_decide(Worker& worker, const Policy& policy, const http::RequestHead& head, const dialect::Dialect& spoken,
                             const chat::Outline& outline, rules::Identity& who) {
  who = identify(worker, head, outline);
  const tokens::Count count = cheap_count(worker, outline).count;
  rules::Facts facts;
  facts.outline = &outline;
  facts.identity = &who;
  facts.dialect = spoken.name();
  facts.path = head.path();
  facts.tokens = count.tokens;
  facts.tokens_p95 = count.p95;
  facts.tokens_grade = tokens::grade_name(count.grade);
  facts.wall_us = worker.clock.wall_us();
  facts.header = [&head](std::string_view name) { return head.headers.get(name); };
  return policy.rules->decide(facts);
}

Result<void> settle(Visit& visit, Plan& plan) {
  visit.row.ruleset = visit.policy->rules->hash();
  visit.row.facts_json = plan.recorder.json(plan.facts);
  if (visit.policy->shadow) visit.row.shadow_json = visit.policy->shadow->compare(plan.facts, plan.decision);
  visit.decided(plan.decision);
  return allowed(plan.decision);
}

}  // namespace ccrules::proxy
