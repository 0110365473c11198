#include "proxy/paying.h"

#include <algorithm>
#include <coroutine>
#include <optional>
#include <utility>

#include "core/digest.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/log.h"
#include "ledger/cost.h"
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

/// The number that a member of an object holds; nullopt: it is not there, or no whole number.
std::optional<std::int64_t> number_in(json::Object& object, std::string_view name) {
  std::optional<std::int64_t> number;
  while (object.next()) {
    if (object.key() != name) continue;
    const auto value = object.value().integer();
    if (value.ok()) number = *value;
  }
  return number;
}

/// How many answers a request asks for at once: `n` of Chat Completions, `candidateCount` of Gemini.
std::int64_t choices_in(std::string_view body, std::string_view dialect) {
  const bool gemini = dialect == "gemini";
  const std::string_view name = gemini ? "candidateCount" : "n";
  if (!gemini && dialect != "openai_chat") return 1;
  if (body.find(gemini ? "candidateCount" : "\"n\"") == std::string_view::npos) return 1;
  auto document = json::Document::open_view(body);
  if (!document) return 1;
  auto root = document->root_object();
  if (!root) return 1;
  std::optional<std::int64_t> number;
  if (!gemini) number = number_in(*root, name);
  while (gemini && root->next()) {
    if (root->key() != "generationConfig" && root->key() != "generation_config") continue;
    auto config = root->value().object();
    if (config.ok()) number = number_in(*config, name);
  }
  return std::clamp<std::int64_t>(number.value_or(1), 1, limits::kChoices);
}

std::int64_t most_input_tokens(const Visit& visit) { return visit.estimated_input_tokens + visit.input_p95_tokens; }

Error ledger_trouble(const Worker& worker) {
  if (worker.ledger == nullptr) return budget_unknown("the ledger could not be opened (the log says why)");
  const std::string problem = worker.ledger->health().problem;  // it may be over by now
  return budget_unknown(problem.empty() ? "the ledger could not be written" : problem);
}

Task<Result<void>> keep(Worker& worker, Visit& visit) {
  ledger::Record row = visit.row;
  row.cost_nanousd = visit.reservation.nanousd();
  Kept keeping(worker.loop, *worker.ledger, std::move(row));
  const bool kept = co_await keeping;
  if (!kept) co_return ledger_trouble(worker);
  visit.row.held = true;
  co_return Result<void>();
}

}  // namespace

std::string fingerprint(const http::RequestHead& head, const config::Listen& listen) {
  return fingerprint(credential_of(head, listen));
}

void note_payer(Worker& worker, const http::RequestHead& head, const rules::Decision& decision, Visit& visit) {
  visit.row.payer = decision.budget;
  if (visit.row.key.empty()) visit.row.key = fingerprint(head, visit.policy->config->listen);
  constexpr std::size_t kLongestId = 200;
  const std::string_view agent = head.headers.get("x-claude-code-agent-id").substr(0, kLongestId);
  const std::string_view parent = head.headers.get("x-claude-code-parent-agent-id").substr(0, kLongestId);
  if (!agent.empty()) visit.row.subagent = worker.tallies.subagents.root(agent, parent);
}

Task<Result<void>> reserve_budget(Worker& worker, Visit& visit, const rules::Decision& decision, const chat::Outline& outline,
                                  std::string_view body) {
  const config::Snapshot& config = *visit.policy->config;
  if (config.budgets.empty()) co_return Result<void>();
  visit.caps = caps_for(config, visit.row, BudgetMode::kAll);
  const std::vector<ledger::Cap> caps = caps_for(config, visit.row, BudgetMode::kHard);
  if (caps.empty()) co_return Result<void>();
  if (worker.ledger == nullptr || worker.ledger->in_trouble()) co_return ledger_trouble(worker);
  const ledger::Spend& spend = worker.tallies.spend;
  if (!std::all_of(caps.begin(), caps.end(), [&](const ledger::Cap& cap) { return spend.knows(cap, visit.row.at_us); })) {
    co_return budget_unknown("what was spent before this start is still being added up from the ledger; try again soon");
  }
  visit.choices = choices_in(body, visit.row.dialect);
  const auto worst = worst_case_nanousd(decision.targets, decision, outline, most_input_tokens(visit), config, visit.choices);
  CCR_CO_TRY(reservation, reserve(worker.tallies.spend, caps, worst, visit.row.at_us, visit.more_headers));
  visit.reservation = std::move(reservation);
  co_return co_await keep(worker, visit);
}

Task<Result<void>> reserve_more(Worker& worker, Visit& visit, const rules::Target& target, const rules::Decision& decision,
                                const chat::Outline& outline) {
  if (!visit.reservation.active()) co_return Result<void>();
  const auto worst = worst_case_nanousd(std::span(&target, 1), decision, outline, most_input_tokens(visit), *visit.policy->config,
                                        visit.choices);
  if (!worst) co_return budget_unknown("the price of " + target.provider + "," + target.model + " is not known");
  const std::int64_t more = visit.wasted_nanousd + *worst - visit.reservation.nanousd();
  if (more <= 0) co_return Result<void>();
  if (const auto cap = visit.reservation.grow(more, visit.row.at_us))
    co_return used_up(worker.tallies.spend.calendar(), *cap, visit.row.at_us, visit.more_headers);
  co_return co_await keep(worker, visit);
}

bool overspends(Visit& visit) {
  constexpr std::int64_t kLookEveryBytes = 4096;
  if (!visit.reservation.active() || visit.output_text_bytes < visit.look_at_spending_at_bytes) return false;
  visit.look_at_spending_at_bytes = visit.output_text_bytes + kLookEveryBytes;
  chat::Usage usage = visit.row.usage;
  if (!usage.input_tokens) usage.input_tokens = visit.estimated_input_tokens;
  usage.output_tokens = std::max(usage.output_tokens.value_or(0), tokens::count_bytes(visit.output_text_bytes, visit.row.model));
  const auto cost = ledger::cost_nanousd(usage, visit.row.provider, visit.row.model, *visit.policy->config);
  if (!cost) return false;
  const std::int64_t over = *cost + visit.wasted_nanousd - visit.reservation.nanousd();
  if (over <= 0) return false;
  const bool full = visit.reservation.grow(over, visit.row.at_us).has_value();
  if (full) log::warn("the answer was cut: it costs more than the request asked for, and its budget is used up", visit.row.id);
  return full;
}

Error overspent() {
  Error error;
  error.code = ErrorCode::kBudgetExceeded;
  error.origin = Origin::kClient;
  error.http_status = 429;
  error.type = "billing_error";
  error.should_retry_false = true;
  error.message = "the answer was cut here: the provider sends more than was asked for, and the budget has no room for it";
  return error;
}

void describe_budgets(const Worker& worker, const Visit& visit, http::Headers& headers) {
  if (!visit.caps.empty()) warn_of_budgets(worker.tallies.spend, visit.caps, visit.row.at_us, headers);
}

}  // namespace ccrules::proxy
