#include "proxy/paying.h"

#include <algorithm>
#include <coroutine>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "config/model_name.h"
#include "core/digest.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/search.h"
#include "dialect/dialect.h"
#include "ledger/spend_lookup.h"
#include "proxy/gate.h"
#include "tokens/counter.h"

namespace ccrules::proxy {
namespace {

/// Resumes on the loop's thread once the ledger has committed what is held, or cannot.
class Kept {
 public:
  Kept(Loop& loop, ledger::Ledger& ledger, ledger::Record row) : loop_(loop), ledger_(ledger), row_(std::move(row)) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    ledger_.hold(row_, [this, waiter](bool kept) {
      loop_.post([this, waiter, kept] {
        kept_ = kept;
        waiter.resume();
      });
    });
  }
  [[nodiscard]] bool await_resume() const noexcept { return kept_; }

 private:
  Loop& loop_;
  ledger::Ledger& ledger_;
  ledger::Record row_;
  bool kept_ = false;
};

std::string fingerprint(std::string_view credential) {
  constexpr std::size_t kDigits = 12;
  if (credential.empty()) return {};
  // The same client asks again and again; its digest would be a tenth of a small request's work.
  static thread_local std::string last;
  static thread_local std::string last_fingerprint;
  if (credential != last) {
    last_fingerprint = digest::sha256_hex(credential).substr(0, kDigits);
    last = credential;
  }
  return last_fingerprint;
}

/// True when the provider shall answer at once and go on by itself (`background` of OpenAI's responses), or may be asked to.
bool may_run_on(const Plan& plan, std::string_view body, json::Document& document) {
  if (plan.spoken != &dialect::openai_responses()) return false;
  constexpr std::string_view kMember = "background";
  if (!holds_rare(body, kMember) && !holds_rare(body, "\\u00")) return false;
  document.rewind(json::Escapes::kUnchecked);
  auto root = document.root_object();
  while (root.ok() && root->next()) {
    if (root->key() != kMember) continue;
    const std::string_view asked = root->value().peek_raw();
    if (asked != "false" && asked != "null") return true;
  }
  return false;
}

MostBilled most_billed(Plan& plan) {
  MostBilled most;
  const std::string_view body = *plan.body;
  if (!plan.document) {
    auto document = json::Document::open_view(body);
    if (!document) {  // it was read before: this cannot be
      most.prompt.open = true;
      return most;
    }
    plan.document = *std::move(document);
  }
  most.prompt = tokens::ceiling_of(plan.outline, *plan.document);
  most.prompt.each_alone = plan.spoken->passes_on();
  most.runs_on = may_run_on(plan, body, *plan.document);
  for (const rules::FieldEdit& edit : plan.decision.edits) {
    most.prompt.text_tokens += static_cast<std::int64_t>(edit.value_json.size());
    if (edit.field == "service_tier") most.prompt.standard_tier = false;
  }
  most.kept_an_hour = plan.may_name_ttl && (holds_rare(body, "1h") || holds_rare(body, "\\u0"));
  most.choices = plan.spoken == &dialect::openai_embeddings() ? 0 : plan.outline.choices;
  return most;
}

/// True when an escape spells a letter that needs none: the types of parts may be hidden so.
bool hides_letters(std::string_view body) {
  constexpr std::string_view kEscape = "\\u00";
  for (std::size_t at = body.find(kEscape); at < body.size(); at = body.find(kEscape, at + 1)) {
    if (at + kEscape.size() < body.size() && body[at + kEscape.size()] >= '4' && body[at + kEscape.size()] <= '7') return true;
  }
  return false;
}

/// Counts the prompt where its bytes alone take much of what is left: with what the provider billed for its beginning, a long
/// conversation takes a fraction of them.
Task<void> look_closely(Worker& worker, Visit& visit, const Plan& plan) {
  MostBilled& most = visit.most_billed;
  if (!most.prompt.all_here || plan.outline.messages == 0 || hides_letters(*plan.body)) co_return;
  Countable request;
  request.spoken = dialect::by_name(visit.row.dialect);
  request.body = *plan.body;
  request.model = plan.outline.model;
  if (request.spoken == nullptr) co_return;
  // Taken apart by way of another dialect, files and pictures are words, the same for small ones and large ones.
  if (!request.spoken->counts_by_block() && (most.prompt.open || most.prompt.images > 0)) co_return;
  CloseLimits closely = co_await close_limits(worker, request, plan.decision.targets);
  if (closely.prompt && !visit.counted) visit.counted = std::move(closely.prompt);  // what comes next can be bounded by this one's bill
  for (std::size_t i = 0; i < closely.tokens.size(); ++i) {
    if (closely.tokens[i]) most.closely.emplace_back(plan.decision.targets[i], *closely.tokens[i]);
  }
}

Error ledger_trouble(const Worker& worker) {
  if (worker.ledger == nullptr) return budget_unknown("the ledger could not be opened (the log says why)");
  const std::string problem = worker.ledger->health().problem;  // it may be over by now
  return budget_unknown(problem.empty() ? "the ledger could not be written" : problem);
}

/// What the client says of the subagent that asks.
struct Run {
  std::string_view agent;   ///< empty: it is none
  std::string_view parent;  ///< the run that started it; empty: the main loop did
};

Run run_of(const http::RequestHead& head) {
  constexpr std::size_t kLongestId = 200;
  Run run;
  run.agent = head.headers.get("x-claude-code-agent-id").substr(0, kLongestId);
  run.parent = head.headers.get("x-claude-code-parent-agent-id").substr(0, kLongestId);
  return run;
}

/// False: the run that started it is not remembered.
bool note_tree(Worker& worker, const Run& run, ledger::Record& row) {
  if (run.agent.empty()) return true;
  std::optional<std::string> root = worker.tallies.subagents.root(run.agent, run.parent);
  if (!root) return false;
  row.subagent = *std::move(root);
  if (row.subagent != run.agent) row.nested_run = run.agent;
  return true;
}

Task<Result<void>> keep(Worker& worker, Visit& visit) {
  if (const std::uint32_t slot = worker.ledger->hold_at_once(visit.row, visit.reservation.nanousd()); slot != 0) {
    visit.row.held_slot = slot;
    co_return Result<void>();
  }
  ledger::Record row = visit.row;
  row.cost_nanousd = visit.reservation.nanousd();
  Kept keeping(worker.loop, *worker.ledger, std::move(row));
  const bool kept = co_await keeping;
  if (!kept) co_return ledger_trouble(worker);
  visit.row.held = true;
  co_return Result<void>();
}

/// Reserves the worst case under all caps.
Task<Result<void>> set_aside(Worker& worker, Visit& visit, const Plan& plan, const std::vector<ledger::Cap>& caps) {
  constexpr std::int64_t kMuch = 4;  // a quarter of what is left: looked at more closely
  const config::Snapshot& config = *visit.policy->config;
  ledger::Spend& spend = worker.tallies.spend;
  const rules::Decision& decision = plan.decision;
  auto worst = worst_case_nanousd(decision.targets, decision, plan.outline, visit.most_billed, config);
  const std::int64_t much = std::min(worst.value_or(0), std::numeric_limits<std::int64_t>::max() / kMuch) * kMuch;
  if (worst && spend.reserve_amply(caps, *worst, much, visit.row.at_us)) {
    visit.reservation = Reservation(spend, caps, *worst);
    co_return Result<void>();
  }
  if (worst) {
    co_await look_closely(worker, visit, plan);
    worst = worst_case_nanousd(decision.targets, decision, plan.outline, visit.most_billed, config);
  }
  CCR_CO_TRY(reservation, reserve(spend, caps, worst, visit.row.at_us, visit.more_headers));
  visit.reservation = std::move(reservation);
  co_return Result<void>();
}

Result<void> can_know(const Worker& worker, const Visit& visit, const std::vector<ledger::Cap>& caps) {
  if (worker.ledger == nullptr || worker.ledger->in_trouble()) return ledger_trouble(worker);
  const ledger::Spend& spend = worker.tallies.spend;
  if (std::all_of(caps.begin(), caps.end(), [&](const ledger::Cap& cap) { return spend.knows(cap, visit.row.at_us); })) return {};
  return budget_unknown("what was spent before this start is still being added up from the ledger; try again soon");
}

Task<Result<void>> recall_all(Worker& worker, const std::vector<ledger::Cap>& caps) {
  for (const ledger::Cap& cap : caps) {
    if (worker.tallies.spend.remembers(cap)) continue;
    const ledger::Spend::Name whose(cap.by, cap.key);
    CCR_CO_CHECK(co_await recall(worker, whose));
  }
  co_return Result<void>();
}

bool all_remembered(const ledger::Spend& spend, const std::vector<ledger::Cap>& caps) {
  return std::all_of(caps.begin(), caps.end(), [&spend](const ledger::Cap& cap) { return spend.remembers(cap); });
}

Error forgotten_again() { return budget_unknown("what was spent is being added up from the ledger; try again soon"); }

/// What the request may cost at most at its targets and at one more.
std::optional<std::int64_t> worst_with(const Visit& visit, const rules::Target& target, const rules::Decision& decision,
                                       const chat::Outline& outline) {
  const config::Snapshot& config = *visit.policy->config;
  const auto planned = worst_case_nanousd(decision.targets, decision, outline, visit.most_billed, config);
  const auto there = worst_case_nanousd(std::span(&target, 1), decision, outline, visit.most_billed, config);
  if (!planned || !there) return std::nullopt;
  std::int64_t worst = 0;
  const bool over = __builtin_add_overflow(std::max(*planned, *there), visit.wasted.nanousd, &worst);
  return over ? std::numeric_limits<std::int64_t>::max() : worst;
}

/// What is set aside is so under the hard budgets of the row's model as well; where nothing is, what the request may cost at most.
Task<Result<void>> set_aside_by_model(Worker& worker, Visit& visit, const rules::Target& target, const rules::Decision& decision,
                                      const chat::Outline& outline) {
  constexpr int kTries = 3;
  ledger::Spend& spend = worker.tallies.spend;
  std::vector<ledger::Cap> caps = caps_for(*visit.policy->config, visit.row, BudgetMode::kHard);
  std::erase_if(caps, [&visit](const ledger::Cap& cap) { return visit.reservation.covers(cap); });
  if (caps.empty()) {
    if (visit.reservation.active()) co_return co_await keep(worker, visit);  // it is this model's on the disk, too
    co_return Result<void>();
  }
  CCR_CO_CHECK(can_know(worker, visit, caps));
  std::optional<std::int64_t> worst = visit.reservation.nanousd();
  if (!visit.reservation.active()) worst = worst_with(visit, target, decision, outline);
  for (int tries = 0; tries < kTries; ++tries) {
    CCR_CO_CHECK(co_await recall_all(worker, caps));
    CCR_CO_TRY(more, reserve(spend, caps, worst, visit.row.at_us, visit.more_headers));
    if (!all_remembered(spend, caps)) continue;
    visit.reservation.join(std::move(more));
    co_return co_await keep(worker, visit);
  }
  co_return forgotten_again();
}

/// The budgets of the target's model pay from now on, beside those of the models before until settle_model().
Task<Result<void>> cover_model(Worker& worker, Visit& visit, const rules::Target& target, const rules::Decision& decision,
                               const chat::Outline& outline) {
  std::string before = visit.row.billed_model;
  bill_to(visit.row, target.model, *visit.policy->config);
  Result<void> covered = co_await set_aside_by_model(worker, visit, target, decision, outline);
  if (!covered.ok()) visit.row.billed_model = std::move(before);
  co_return covered;
}

}  // namespace

std::string fingerprint(const http::RequestHead& head, const config::Listen& listen) {
  return fingerprint(credential_of(head, listen));
}

bool note_payer(Worker& worker, const http::RequestHead& head, const rules::Decision& decision, Visit& visit) {
  const config::Snapshot& config = *visit.policy->config;
  visit.row.payer = decision.budget;
  constexpr std::string_view kModel = "model:";
  if (decision.budget.starts_with(kModel)) {
    const std::string_view asked = std::string_view(decision.budget).substr(kModel.size());
    visit.row.payer = std::string(kModel).append(config::asked_model_name(config.models(), asked));
  }
  if (!decision.targets.empty()) bill_to(visit.row, decision.targets.front().model, config);
  if (visit.row.key.empty()) visit.row.key = fingerprint(head, config.listen);
  return note_tree(worker, run_of(head), visit.row);
}

Task<void> recall_tree(Worker& worker, const http::RequestHead& head, Visit& visit) {
  const Run run = run_of(head);
  const std::string parent(run.parent);
  Result<std::string> root = parent;
  const bool readable = worker.ledger != nullptr && !worker.ledger->in_trouble();
  if (readable) {
    std::function<void()> work = [&root, &parent, &ledger = *worker.ledger] {
      ledger.flush();
      root = ledger::subagent_root(ledger.path(), parent);
    };
    co_await on_pool(worker.loop, std::move(work));
  }
  if (worker.ledger != nullptr && (!readable || !root.ok())) {
    visit.row.subagent = parent;  // a guess for this request, not to be remembered: a hard budget refuses it, all others serve it
    co_return;
  }
  worker.tallies.subagents.remember(parent, root.ok() ? *root : parent);
  if (!note_tree(worker, run, visit.row)) visit.row.subagent = parent;  // thousands of others came meanwhile
}

Task<Result<void>> recall(Worker& worker, const ledger::Spend::Name& whose) {
  constexpr int kTries = 3;  // its own requests may come to their end meanwhile
  if (worker.ledger == nullptr || worker.ledger->in_trouble()) co_return ledger_trouble(worker);
  ledger::Spend& spend = worker.tallies.spend;
  for (int i = 0; i < kTries; ++i) {
    const ledger::Sum before = spend.remembered(whose.first, whose.second);
    Result<ledger::Sum> stored = ledger::Sum();
    std::function<void()> work = [&stored, &whose, &ledger = *worker.ledger] {
      ledger.flush();  // what was spent a moment ago is in the table then
      stored = ledger::spent_before(ledger.path(), whose);
    };
    co_await on_pool(worker.loop, std::move(work));
    if (!stored.ok()) co_return budget_unknown(stored.error().message);
    if (spend.recall(whose.first, whose.second, *stored, before)) break;
  }
  co_return Result<void>();
}

Task<Result<void>> reserve_budget(Worker& worker, Visit& visit, Plan& plan) {
  constexpr int kTries = 3;
  const config::Snapshot& config = *visit.policy->config;
  if (config.budgets.empty()) co_return Result<void>();
  visit.caps = caps_for(config, visit.row, BudgetMode::kAll);
  const bool all_hard = std::all_of(config.budgets.begin(), config.budgets.end(), [](const config::Budget& budget) { return budget.hard; });
  std::vector<ledger::Cap> hard;
  if (!all_hard) hard = caps_for(config, visit.row, BudgetMode::kHard);
  const std::vector<ledger::Cap>& caps = all_hard ? visit.caps : hard;
  if (!caps.empty() || budgets_by_model(config)) visit.most_billed = most_billed(plan);  // another target may have a budget
  if (!all_hard) (void)co_await recall_all(worker, visit.caps);  // soft ones only warn
  if (caps.empty()) co_return Result<void>();
  CCR_CO_CHECK(can_know(worker, visit, caps));
  for (int tries = 0; tries < kTries; ++tries) {
    CCR_CO_CHECK(co_await recall_all(worker, caps));
    CCR_CO_CHECK(co_await set_aside(worker, visit, plan, caps));
    if (all_remembered(worker.tallies.spend, caps)) co_return co_await keep(worker, visit);
    visit.reservation = Reservation();  // another thread has forgotten what was spent, for the sake of other keys
  }
  co_return forgotten_again();
}

bool asks_another_model(const Visit& visit, const rules::Target& target) {
  const config::Snapshot& config = *visit.policy->config;
  return budgets_by_model(config) && billed_name(target.model, config) != ledger::model_key(visit.row);
}

Task<Result<void>> reserve_more(Worker& worker, Visit& visit, const rules::Target& target, const rules::Decision& decision,
                                const chat::Outline& outline) {
  if (asks_another_model(visit, target)) CCR_CO_CHECK(co_await cover_model(worker, visit, target, decision, outline));
  if (!visit.reservation.active()) co_return Result<void>();
  const auto worst = worst_case_nanousd(std::span(&target, 1), decision, outline, visit.most_billed, *visit.policy->config);
  if (!worst) co_return budget_unknown("the price of " + target.provider + "," + target.model + " is not known");
  const std::int64_t more = visit.wasted.nanousd + *worst - visit.reservation.nanousd();
  if (more <= 0) co_return Result<void>();
  if (const auto cap = visit.reservation.grow(more, visit.row.at_us))
    co_return used_up(worker.tallies.spend.calendar(), *cap, visit.row.at_us, visit.more_headers);
  co_return co_await keep(worker, visit);
}

Task<bool> reserve_beside(Worker& worker, Visit& visit, const rules::Target& first, const rules::Target& second,
                          const rules::Decision& decision, const chat::Outline& outline) {
  if (asks_another_model(visit, second)) {
    http::Headers before = visit.more_headers;
    const Result<void> covered = co_await cover_model(worker, visit, second, decision, outline);
    if (!covered.ok()) {
      visit.more_headers = std::move(before);  // nobody is refused
      co_return false;
    }
  }
  if (!visit.reservation.active()) co_return true;
  const config::Snapshot& config = *visit.policy->config;
  const auto one = worst_case_nanousd(std::span(&first, 1), decision, outline, visit.most_billed, config);
  const auto other = worst_case_nanousd(std::span(&second, 1), decision, outline, visit.most_billed, config);
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 4;
  if (!one || !other || *one > kMost || *other > kMost) co_return false;
  const std::int64_t more = visit.wasted.nanousd + *one + *other - visit.reservation.nanousd();
  if (more <= 0) co_return true;
  if (visit.reservation.grow(more, visit.row.at_us)) co_return false;
  const Result<void> kept = co_await keep(worker, visit);
  co_return kept.ok();
}

void settle_model(Visit& visit) {
  const config::Snapshot& config = *visit.policy->config;
  if (!budgets_by_model(config)) return;
  bill_to(visit.row, visit.row.model, config);
  visit.caps = caps_for(config, visit.row, BudgetMode::kAll);
  visit.reservation.keep_only(visit.caps);
}

bool overspends(Visit& visit) {
  constexpr std::int64_t kLookEveryBytes = 4096;
  if (!visit.reservation.active() || visit.output_text_bytes < visit.look_at_spending_at_bytes) return false;
  const std::int64_t bytes = visit.output_text_bytes;
  visit.look_at_spending_at_bytes = bytes + kLookEveryBytes;
  chat::Usage usage = visit.row.usage;
  if (!usage.input_tokens) usage.input_tokens = visit.estimated_input_tokens;
  const auto cost_of = [&](std::int64_t text_bytes) {
    usage.output_tokens = std::max(visit.row.usage.output_tokens.value_or(0), tokens::count_bytes(text_bytes, visit.row.model));
    return visit.counted_price_of(usage);
  };
  const std::int64_t spent = cost_of(bytes) + visit.wasted.nanousd;
  const std::int64_t step = cost_of(visit.look_at_spending_at_bytes) + visit.wasted.nanousd - spent;
  const std::int64_t left = visit.reservation.nanousd() - spent;
  if (left >= 0) {  // the nearer the end of what is set aside, the closer it is watched
    if (left < step) visit.look_at_spending_at_bytes = bytes + 1 + kLookEveryBytes * (left / 1000) / (step / 1000 + 1);
    return false;
  }
  // What may come until the next look must fit as well: by then it has been sent, and is paid.
  const bool full = visit.reservation.grow(step - left, visit.row.at_us).has_value();
  visit.cut = full;
  if (full) log::warn("the answer was cut: it costs more than the request asked for, and its budget is used up", visit.row.id);
  return full;
}

Error overspent() {
  return no_money("the answer was cut here: the provider sends more than was asked for, and the budget has no room for it");
}

void describe_budgets(const Worker& worker, const Visit& visit, http::Headers& headers) {
  if (!visit.caps.empty()) warn_of_budgets(worker.tallies.spend, visit.caps, visit.row.at_us, headers);
}

}  // namespace ccrules::proxy
