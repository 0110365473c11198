#include "proxy/budget.h"

#include <algorithm>
#include <array>
#include <string>

#include "config/models.h"
#include "core/limits.h"
#include "core/text.h"
#include "ledger/cost.h"

namespace ccrules::proxy {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;

ledger::Span span_named(std::string_view per) {
  if (per == "hour") return ledger::Span::kHour;
  if (per == "week") return ledger::Span::kWeek;
  return per == "month" ? ledger::Span::kMonth : ledger::Span::kDay;
}

const char* adverb(ledger::Span span) {
  switch (span) {
    case ledger::Span::kHour:
      return "hourly";
    case ledger::Span::kDay:
      return "daily";
    case ledger::Span::kWeek:
      return "weekly";
    case ledger::Span::kMonth:
      break;
  }
  return "monthly";
}

std::string_view key_of(std::string_view by, const rules::Identity& who, std::string_view model) {
  if (by == "session") return who.session;
  if (by == "user") return who.user;
  if (by == "project") return who.project;
  if (by == "client") return who.client;
  if (by == "agent") return who.agent;
  return by == "model" ? model : std::string_view();
}

/// Two budgets of the same scope and period are one: the smaller.
void add_cap(std::vector<ledger::Cap>& caps, const config::Budget& budget, std::string_view key) {
  const ledger::Span span = span_named(budget.per);
  for (ledger::Cap& cap : caps) {
    if (cap.by != budget.by || cap.key != key || cap.span != span) continue;
    cap.nanousd = std::min(cap.nanousd, budget.nanousd);
    return;
  }
  ledger::Cap cap;
  cap.by = budget.by;
  cap.key = key;
  cap.span = span;
  cap.nanousd = budget.nanousd;
  caps.push_back(std::move(cap));
}

/// The output that the request asks for once the rules have edited it.
std::int64_t output_tokens(const rules::Decision& decision, const chat::Outline& outline, const rules::Target& target) {
  constexpr std::int64_t kUnsaid = -1;
  std::int64_t tokens = outline.max_tokens.value_or(kUnsaid);
  for (const rules::FieldEdit& edit : decision.edits) {
    if (edit.field != "max_tokens") continue;
    const std::int64_t value = text::to_int(edit.value_json).value_or(kUnsaid);
    if (edit.kind == rules::FieldEdit::Kind::kRemove) tokens = kUnsaid;
    if (value < 0) continue;
    if (edit.kind == rules::FieldEdit::Kind::kSet) tokens = value;
    if (edit.kind == rules::FieldEdit::Kind::kAtMost && tokens >= 0) tokens = std::min(tokens, value);
    if (edit.kind == rules::FieldEdit::Kind::kAtLeast && tokens >= 0) tokens = std::max(tokens, value);
    if (edit.kind == rules::FieldEdit::Kind::kDefault && tokens < 0) tokens = value;
  }
  if (tokens >= 0) return tokens;
  const config::Model* model = config::ModelTable::built_in().find(target.model, target.provider);
  return model != nullptr && model->max_output_tokens ? *model->max_output_tokens : limits::kUnknownOutputTokens;
}

std::string dollars(std::int64_t nanousd) {
  constexpr std::int64_t kNanoPerCent = 10'000'000;
  const std::int64_t cents = nanousd / kNanoPerCent;
  std::string text = "$" + std::to_string(cents / 100) + ".";
  return text.append(cents % 100 < 10 ? "0" : "").append(std::to_string(cents % 100));
}

Error used_up(const ledger::Cap& cap, std::int64_t wall_us, http::Headers& headers) {
  const std::int64_t end_us = ledger::span_end_us(cap.span, wall_us);
  const std::string end_s = std::to_string(end_us / kSecondUs);
  Error error;
  error.code = ErrorCode::kBudgetExceeded;
  error.origin = Origin::kClient;
  error.http_status = 429;
  error.type = "billing_error";
  error.retry_after_ms = (end_us - wall_us) / 1000;
  error.should_retry_false = true;
  const std::string whose = cap.by.empty() ? std::string("for all requests") : "of " + cap.by + " '" + cap.key + "'";
  error.message = "the " + std::string(adverb(cap.span)) + " budget " + whose + " (" + dollars(cap.nanousd) +
                  ") has no room for this request; it is free again in " +
                  std::to_string((end_us - wall_us) / kSecondUs / 60 + 1) +
                  " minutes. Ask for less output, choose a cheaper model, or raise `budgets` in ccrules.json";
  headers.add("anthropic-ratelimit-unified-status", "rejected");
  headers.add("anthropic-ratelimit-unified-reset", end_s);
  headers.add("anthropic-ratelimit-unified-overage-reset", end_s);
  headers.add("anthropic-ratelimit-unified-overage-utilization", "1");
  headers.add("anthropic-ratelimit-unified-overage-surpassed-threshold", "1");
  headers.add("anthropic-ratelimit-unified-overage-period", adverb(cap.span));
  headers.add("anthropic-ratelimit-unified-overage-disabled-reason", "org_spend_cap_reached");
  return error;
}

}  // namespace

std::vector<ledger::Cap> caps_for(const config::Snapshot& config, const rules::Identity& who, std::string_view model,
                                  BudgetMode mode) {
  std::vector<ledger::Cap> caps;
  for (const config::Budget& budget : config.budgets) {
    if (mode == BudgetMode::kHard && !budget.hard) continue;
    const std::string_view key = key_of(budget.by, who, model);
    const bool applies = budget.by.empty() || (!key.empty() && (budget.key.empty() || budget.key == key));
    if (applies) add_cap(caps, budget, key);
  }
  return caps;
}

std::vector<ledger::Cap> caps_of(const config::Snapshot& config, std::string_view by, std::string_view key) {
  std::vector<ledger::Cap> caps;
  for (const config::Budget& budget : config.budgets) {
    if (budget.by == by && (budget.key.empty() || budget.key == key)) add_cap(caps, budget, key);
  }
  return caps;
}

std::optional<std::int64_t> worst_case_nanousd(const rules::Decision& decision, const chat::Outline& outline,
                                               std::int64_t estimated_input_tokens, const config::Snapshot& config) {
  const std::int64_t input = estimated_input_tokens + estimated_input_tokens / 10 + 1;
  std::int64_t worst = 0;
  for (const rules::Target& target : decision.targets) {
    std::array<chat::Usage, 3> ways;
    ways[0].input_tokens = input;
    ways[1].cache_write_tokens = input;
    ways[2].cache_write_tokens = input;
    ways[2].cache_write_1h_tokens = input;
    for (std::size_t i = 0; i < ways.size(); ++i) {
      ways[i].output_tokens = output_tokens(decision, outline, target);
      const auto cost = ledger::cost_nanousd(ways[i], target.provider, target.model, config);
      if (!cost && i == 0) return std::nullopt;
      if (cost) worst = std::max(worst, *cost);
    }
  }
  return worst;
}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  release();
  spend_ = std::exchange(other.spend_, nullptr);
  caps_ = std::move(other.caps_);
  nanousd_ = other.nanousd_;
  return *this;
}

void Reservation::release() noexcept {
  if (spend_ != nullptr) spend_->release(caps_, nanousd_);
  spend_ = nullptr;
}

Result<Reservation> reserve(ledger::Spend& spend, const std::vector<ledger::Cap>& caps, std::optional<std::int64_t> worst_nanousd,
                            std::int64_t wall_us, http::Headers& headers) {
  if (caps.empty()) return Reservation();
  if (!worst_nanousd) {
    Error error;
    error.code = ErrorCode::kBudgetExceeded;
    error.origin = Origin::kClient;
    error.http_status = 429;
    error.type = "billing_error";
    error.should_retry_false = true;
    error.message = "a hard budget applies to this request and its price is not known; set `prices` for the model in ccrules.json";
    return error;
  }
  if (const auto cap = spend.reserve(caps, *worst_nanousd, wall_us)) return used_up(*cap, wall_us, headers);
  return Reservation(spend, caps, *worst_nanousd);
}

}  // namespace ccrules::proxy
