#include "proxy/visit.h"

#include <algorithm>
#include <coroutine>
#include <utility>
#include <variant>

#include "core/ids.h"
#include "core/json.h"
#include "core/log.h"
#include "ledger/cost.h"
#include "proxy/board.h"
#include "tokens/counter.h"

namespace ccrules::proxy {
namespace {

/// Resumes on the loop's thread once the ledger has tried to commit the row. The ledger's writer must be able
/// to post to the loop until then: a drain waits for the request, and the loop for the drain.
class Committed {
 public:
  Committed(Loop& loop, ledger::Ledger& ledger, ledger::Record row)
      : loop_(loop), ledger_(ledger), row_(std::move(row)) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    ledger_.record(row_, [&loop = loop_, waiter] { loop.post([waiter] { waiter.resume(); }); });
  }
  void await_resume() const noexcept {}

 private:
  Loop& loop_;
  ledger::Ledger& ledger_;
  ledger::Record row_;
};

}  // namespace

Visit::Visit(Worker& worker, const http::RequestHead& head, std::string_view dialect)
    : policy(worker.policy),
      worker_(worker),
      started_ns_(worker.loop.now_ns()),
      durable_(worker.ledger != nullptr && worker.ledger->durable()) {
  row.id = ids::make("req_", worker.random);
  row.at_us = worker.clock.wall_us();
  row.dialect = dialect;
  row.path = head.path();
}

void Visit::asked(const chat::Outline& outline) {
  row.requested_model = outline.model;
  row.stream = outline.stream;
  include_usage = outline.include_usage;
  choices = outline.choices;
  custom_tools = outline.custom_tools;
}

void Visit::belongs_to(const rules::Identity& who) {
  row.client = who.client;
  row.session = who.session;
  row.user = who.user;
  row.project = who.project;
  row.agent = who.agent;
  row.request_class = who.request_class;
}

void Visit::decided(const rules::Decision& decision) {
  row.decision_id = ids::make("dec_", worker_.random);
  row.rule = decision.rule;
  row.reason = decision.reason;
  tag(decision.tags);
  tell_failed(decision.failed_rules);
}

void Visit::decided(const rules::AttemptDecision& decision) {
  tag(decision.tags);
  tell_failed(decision.failed_rules);
}

void Visit::tried(Tried attempt) {
  row.provider = std::move(attempt.target.provider);
  row.model = std::move(attempt.target.model);
  bill_to(row, row.model, *policy->config);
  without_reasoning = attempt.without_reasoning;
  refused = std::move(attempt.refused);
  verbatim = std::move(attempt.verbatim);
  answered = attempt.answered;
  asked_provider = attempt.asked_provider;
  const chat::Usage bill = bill_of(attempt);
  told_bill = !bill.empty();
  if (told_bill) waste(bill);
}

chat::Usage Visit::bill_of(Tried& attempt) const {
  chat::Usage bill = std::move(attempt.wasted);
  if (!attempt.lost) return bill;
  const std::int64_t sent = attempt.lost_text_bytes > 0 ? tokens::count_bytes(attempt.lost_text_bytes, row.model) : 0;
  // What runs on has not said its output yet: these are the words of its receipt.
  if (!most_billed.runs_on && sent > bill.output_tokens.value_or(0)) bill.output_tokens = sent;
  if (!bill.input_tokens) bill.input_tokens = estimated_input_tokens;
  return bill;
}

void Visit::tag(const std::map<std::string, std::string>& tags) {
  if (tags.empty()) return;
  tags_.insert(tags.begin(), tags.end());  // the first claim stays
  row.tags_json.clear();
  json::Writer writer(row.tags_json);
  writer.begin_object();
  for (const auto& [key, value] : tags_) writer.member(key, std::string_view(value));
  writer.end_object();
}

void Visit::tell_failed(const std::vector<std::string>& rules) const {
  if (!rules.empty() && worker_.board != nullptr) worker_.board->troubled(&worker_, policy->rules->status());
  for (const std::string& rule : rules) {
    log::warn("rule '" + rule + "' failed and was skipped; try it with: ccrules explain", row.id);
  }
}

std::int64_t Visit::elapsed_ms() const { return (worker_.loop.now_ns() - started_ns_) / 1'000'000; }

void Visit::first_content() {
  if (row.ttft_us < 0) row.ttft_us = (worker_.loop.now_ns() - started_ns_) / 1000;
}

void Visit::observe(const chat::Event& event) {
  if (const auto* start = std::get_if<chat::MessageStart>(&event)) {
    row.usage.merge(start->usage);
    answered_model = start->model;
  } else if (const auto* delta = std::get_if<chat::BlockDelta>(&event)) {
    output_text_bytes += static_cast<std::int64_t>(delta->text.size());
    first_content();
  } else if (std::holds_alternative<chat::BlockStart>(event)) {
    first_content();
  } else if (const auto* end = std::get_if<chat::MessageEnd>(&event)) {
    row.usage.merge(end->usage);
    row.stop_reason = stop_reason_name(end->reason);
    message_over = true;
  } else if (const auto* failed = std::get_if<chat::StreamError>(&event)) {
    row.error = failed->type + ": " + failed->message;
  }
}

void Visit::observe(const chat::Reply& reply) {
  row.usage.merge(reply.usage);
  answered_model = reply.model;
  row.stop_reason = stop_reason_name(reply.reason);
  first_content();
}

void Visit::describe(http::Headers& headers) const {
  if (!row.decision_id.empty()) headers.add("x-ccrules-decision", row.decision_id);
  if (!row.rule.empty()) headers.add("x-ccrules-rule", row.rule);
  if (!row.provider.empty()) headers.add("x-ccrules-target", row.provider + "," + row.model);
  headers.add("x-ccrules-attempts", std::to_string(row.attempts));
  headers.add("x-ccrules-cache", row.cache);
  if (!loss.empty()) headers.add("x-ccrules-loss", loss);
}

Task<void> Visit::commit() {
  close();
  recorded_ = true;
  co_await Committed(worker_.loop, *worker_.ledger, row);
}

void Visit::record() {
  if (recorded_) return;
  close();
  recorded_ = true;
  if (worker_.ledger != nullptr) worker_.ledger->record(row);
}

std::optional<std::int64_t> Visit::cost_nanousd() {
  if (row.cost_nanousd) return row.cost_nanousd;
  estimate_usage();
  row.cost_nanousd = price_of(row.usage);
  if (row.cost_nanousd) row.unpriced_tier = ledger::unpriced_tier(row.usage, row.provider, priced_model(), *policy->config);
  row.unpriced_fees = ledger::unpriced_fees(row.usage, row.provider, *policy->config);
  if (!wasted.known || runs_on()) {
    row.cost_nanousd.reset();
  } else if (wasted.nanousd > 0 && (row.cost_nanousd || row.usage.empty())) {
    row.cost_nanousd = row.cost_nanousd.value_or(0) + wasted.nanousd;
  }
  row.budget_nanousd.reset();
  if (!row.cost_nanousd && (!row.usage.empty() || !wasted.known || runs_on())) count_unknown_cost();
  return row.cost_nanousd;
}

bool Visit::runs_on() const noexcept {
  const bool may_have_begun = asked_provider && (answered == 0 || answered / 100 == 2);
  return most_billed.runs_on && reservation.nanousd() > 0 && may_have_begun && (!row.usage.output_tokens || row.usage_estimated);
}

void Visit::count_unknown_cost() {
  const ledger::CostRange range = ledger::cost_range(row.usage, row.provider, priced_model(), *policy->config);
  const bool bounded = wasted.bounded && !runs_on() && (range.most_nanousd || row.usage.empty());
  const std::int64_t spent = wasted.nanousd + range.most_nanousd.value_or(range.least_nanousd);
  row.budget_nanousd = bounded ? spent : std::max(spent, reservation.nanousd());
}

std::string_view Visit::priced_model() const {
  return ledger::priced_model(row.provider, row.model, answered_model, *policy->config);
}

std::optional<std::int64_t> Visit::price_of(const chat::Usage& usage) const {
  const std::string_view model = priced_model();
  return ledger::cost_nanousd(usage, row.provider, model, *policy->config);
}

std::int64_t Visit::counted_price_of(const chat::Usage& usage) const {
  if (const auto cost = price_of(usage)) return *cost;
  const ledger::CostRange range = ledger::cost_range(usage, row.provider, priced_model(), *policy->config);
  return range.most_nanousd.value_or(range.least_nanousd);
}

void Visit::waste(const chat::Usage& usage) {
  if (most_billed.runs_on && reservation.nanousd() > 0 && !usage.output_tokens) {  // nobody waits for it, and it is written all the same
    wasted.nanousd = std::max(wasted.nanousd, reservation.nanousd());
    wasted.known = false;
    return;
  }
  if (usage.empty()) return;
  if (const auto cost = ledger::cost_nanousd(usage, row.provider, row.model, *policy->config)) {
    wasted.nanousd += *cost;
    return;
  }
  const ledger::CostRange range = ledger::cost_range(usage, row.provider, row.model, *policy->config);
  wasted.nanousd += range.most_nanousd.value_or(range.least_nanousd);
  wasted.known = false;
  wasted.bounded = wasted.bounded && range.most_nanousd;
}

void Visit::waste_prompt() {
  if (!asked_provider || told_bill) return;
  chat::Usage prompt;
  prompt.input_tokens = estimated_input_tokens;
  waste(prompt);
}

void Visit::abandon() {
  if (!asked_provider || !row.usage.empty() || told_bill) return;
  row.usage.input_tokens = estimated_input_tokens;
  row.usage_estimated = true;
}

void Visit::close() {
  settle();
  row.usage = row.usage.total();
  reservation.release();
  const std::int64_t used = row.cache == "hit" ? 0 : ledger::prompt_tokens(row.usage) + row.usage.output_tokens.value_or(0);
  rate_lease.end(used, worker_.loop.now_ms());
}

/// What the provider has not said.
void Visit::estimate_usage() {
  if (runs_on()) return;
  // A stream that was cut before the provider reported: what went out is billed as far as it is known.
  // What it reported so far (Anthropic: a token or so, at the start) is not what it had sent by then.
  const std::int64_t sent = output_text_bytes > 0 ? tokens::count_bytes(output_text_bytes, row.model) : 0;
  if (!row.usage.output_tokens ? sent > 0 : !message_over && sent > *row.usage.output_tokens) {
    row.usage.output_tokens = sent;
    if (!row.usage.input_tokens) row.usage.input_tokens = estimated_input_tokens;
    row.usage_estimated = true;
  }
  if (row.usage.output_tokens && !row.usage.input_tokens && estimated_input_tokens > 0) {  // embeddings without usage
    row.usage.input_tokens = estimated_input_tokens;
    row.usage_estimated = true;
  }
}

void Visit::settle() {
  row.duration_us = (worker_.loop.now_ns() - started_ns_) / 1000;
  if (!row.model.empty()) bill_to(row, row.model, *policy->config);  // not a target that was only considered
  estimate_usage();
  if (row.usage.empty() && (wasted.nanousd > 0 || !wasted.known || runs_on())) {
    (void)cost_nanousd();  // for the row
    worker_.tallies.spend.add(row);
  }
  if (row.provider.empty() || row.usage.empty()) return;
  if (row.cache == "hit") {  // nobody was paid, and no provider counted anything
    row.requested_cost_nanousd = ledger::requested_cost_nanousd(row.usage, row.provider, row.requested_model, *policy->config);
    if (!row.requested_cost_nanousd) row.requested_cost_nanousd = ledger::cost_nanousd(row.usage, row.provider, row.model, *policy->config);
    return;
  }
  learn_count(worker_, row, cheap_estimate, counted);
  (void)cost_nanousd();  // for the row
  worker_.tallies.spend.add(row);
  worker_.tallies.caches.answered(row.session, {row.provider, row.model}, row.usage, worker_.clock.wall_us(), *policy->config);
  row.requested_cost_nanousd =
      ledger::requested_cost_nanousd(row.usage, row.provider, row.requested_model, *policy->config);
}

const char* stop_reason_name(chat::StopReason reason) noexcept {
  switch (reason) {
    case chat::StopReason::kEndTurn:
      return "end_turn";
    case chat::StopReason::kMaxTokens:
      return "max_tokens";
    case chat::StopReason::kToolUse:
      return "tool_use";
    case chat::StopReason::kStopSequence:
      return "stop_sequence";
    case chat::StopReason::kRefusal:
      return "refusal";
    case chat::StopReason::kPauseTurn:
      return "pause_turn";
    case chat::StopReason::kContextExceeded:
      return "model_context_window_exceeded";
    case chat::StopReason::kOther:
      return "other";
  }
  return "other";
}

}  // namespace ccrules::proxy
