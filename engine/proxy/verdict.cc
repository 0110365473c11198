#include "proxy/verdict.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "proxy/gate.h"

namespace ccrules::proxy {
namespace {

using std::chrono::milliseconds;

/// Exponential, half of it jitter, so that many clients do not come back together.
milliseconds backoff(const config::Retry& retry, int attempt, Random& random) {
  const std::int64_t full =
      std::min<std::int64_t>(retry.at_most.count(), retry.base.count() << std::min(attempt - 1, 16));
  const auto half = static_cast<std::uint64_t>(full / 2 + 1);
  return milliseconds(full / 2 + static_cast<std::int64_t>(random.next() % half));
}

/// What the rules see of an attempt.
rules::Facts facts_of_attempt(const Ask& ask, const Visit& visit, int status) {
  rules::Facts facts = *ask.facts;
  facts.attempt = visit.row.attempts;
  facts.status = status;
  facts.provider = visit.row.provider;
  return facts;
}

/// What the candidate rules would have done about an attempt, for the ledger.
void compare_shadow(rules::api::On on, const rules::Facts& facts, const rules::AttemptDecision& live, Visit& visit) {
  if (visit.policy->shadow) visit.policy->shadow->compare(on, facts, live, visit.row.shadow_json);
}

}  // namespace

bool is_judged(rules::api::On on, const Policy& policy) {
  const bool live = on == rules::api::On::kError ? policy.rules->has_error_rules() : policy.rules->has_response_rules();
  return live || (policy.shadow && policy.shadow->asks(on));
}

Next after_failure(Worker& worker, const Ask& ask, Visit& visit, const Error& error, int tries_here, bool other_lane) {
  const config::Snapshot& config = *visit.policy->config;
  Next next;
  rules::AttemptDecision wish;
  if (is_judged(rules::api::On::kError, *visit.policy)) {
    rules::Facts facts = facts_of_attempt(ask, visit, error.http_status);
    facts.error = error_code_name(error.code);
    wish = visit.policy->rules->decide_error(facts);
    compare_shadow(rules::api::On::kError, facts, wish, visit);
    visit.decided(wish);
  }
  if (wish.deny) {
    next.deny = denied(*wish.deny);
    return next;
  }
  if (wish.to) {
    next.to = wish.to;
    return next;
  }
  if (other_lane && !wish.retry && !wish.next_fallback) {
    next.same_target = true;
    next.other_lane = true;
    return next;
  }
  const config::Provider* provider = config.provider(visit.row.provider);
  const int retries_here = provider == nullptr ? 0 : provider->max_retries;
  const bool by_default =
      error.retry != Retry::kNever && !error.should_retry_false && tries_here <= retries_here;
  next.same_target = wish.retry.value_or(by_default && wish.next_fallback != true);
  if (next.same_target) {
    milliseconds wait = wish.retry_after.count() >= 0 ? wish.retry_after
                        : error.retry_after_ms >= 0   ? milliseconds(error.retry_after_ms)
                                                      : backoff(config.retry, tries_here, worker.random);
    next.wait = std::min(wait, wish.retry ? wish.retry_at_most : config.retry.at_most);
    return next;
  }
  next.give_up = !wish.next_fallback.value_or(error.retry != Retry::kNever);
  return next;
}

chat::Usage usage_of(const FirstReply& reply) {
  chat::Usage usage;
  if (reply.reply) usage = reply.reply->usage;
  for (const chat::Event& event : reply.events) {
    if (const auto* start = std::get_if<chat::MessageStart>(&event)) usage.merge(start->usage);
    if (const auto* end = std::get_if<chat::MessageEnd>(&event)) usage.merge(end->usage);
  }
  return usage;
}

Next after_reply(const Ask& ask, Visit& visit, const FirstReply& attempt, std::int64_t ttft_ms, chat::Usage& usage) {
  usage = usage_of(attempt);
  const char* stop_reason = attempt.reply ? stop_reason_name(attempt.reply->reason) : "";
  for (const chat::Event& event : attempt.events) {
    if (const auto* end = std::get_if<chat::MessageEnd>(&event)) stop_reason = stop_reason_name(end->reason);
  }
  rules::Facts facts = facts_of_attempt(ask, visit, attempt.stream->status());
  facts.stop_reason = stop_reason;
  facts.usage = &usage;
  facts.ttft_ms = ttft_ms;
  rules::AttemptDecision wish = visit.policy->rules->decide_response(facts);
  compare_shadow(rules::api::On::kResponse, facts, wish, visit);
  visit.decided(wish);
  Next next;
  next.give_up = !wish.moves_on();
  if (wish.deny) next.deny = denied(*wish.deny);
  next.to = std::move(wish.to);
  next.same_target = !next.to && wish.retry == true;
  if (next.same_target) next.wait = std::min(std::max(wish.retry_after, milliseconds(0)), wish.retry_at_most);
  return next;
}

}  // namespace ccrules::proxy
