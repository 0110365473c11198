#include "proxy/budget.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "config/model_name.h"
#include "config/models.h"
#include "core/limits.h"
#include "core/text.h"
#include "ledger/cost.h"
#include "rules/field_edit.h"

namespace ccrules::proxy {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;

const char* adverb(ledger::Span span) {
  switch (span) {
    case ledger::Span::kHour:
      return "hourly";
    case ledger::Span::kDay:
      return "daily";
    case ledger::Span::kWeek:
      return "weekly";
    case ledger::Span::kTotal:
      return "total";
    case ledger::Span::kMonth:
      break;
  }
  return "monthly";
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

/// `max_tokens` once the rules have edited it; nothing: it is not there, or no whole number.
std::optional<std::int64_t> asked_tokens(const rules::Decision& decision, const chat::Outline& outline) {
  const auto is_it = [](const rules::FieldEdit& edit) { return edit.field == "max_tokens"; };
  if (std::none_of(decision.edits.begin(), decision.edits.end(), is_it)) return outline.max_tokens;
  std::string asked = outline.max_tokens ? std::to_string(*outline.max_tokens) : std::string();
  for (const rules::FieldEdit& edit : decision.edits) {
    if (is_it(edit)) asked = rules::edited(edit, asked).value_or(asked);
  }
  return text::to_int(asked);
}

/// The output that the request asks for.
std::int64_t output_tokens(const rules::Decision& decision, const chat::Outline& outline,
                           const config::Model* model) {
  const std::optional<std::int64_t> tokens = asked_tokens(decision, outline);
  const std::optional<std::int64_t> most = model == nullptr ? std::nullopt : model->max_output_tokens;
  if (!tokens || *tokens < 0) return most.value_or(limits::kUnknownOutputTokens);
  return most ? std::min(*tokens, *most) : *tokens;
}

std::string dollars(std::int64_t nanousd) {
  constexpr std::int64_t kNanoPerCent = 10'000'000;
  const std::int64_t cents = nanousd / kNanoPerCent;
  std::string text = "$" + std::to_string(cents / 100) + ".";
  return text.append(cents % 100 < 10 ? "0" : "").append(std::to_string(cents % 100));
}

/// "for all requests", "of project 'web'".
std::string whose(const ledger::Cap& cap) {
  return cap.by.empty() ? std::string("for all requests") : "of " + cap.by + " '" + cap.key + "'";
}

/// How much of a cap is used up, in thousandths.
std::int64_t used_permille(const ledger::Cap& cap, std::int64_t left_nanousd) {
  constexpr std::int64_t kAll = 1000;
  if (cap.nanousd <= 0) return kAll;
  const double part = 1.0 - static_cast<double>(left_nanousd) / static_cast<double>(cap.nanousd);
  return static_cast<std::int64_t>(part * kAll);
}

}  // namespace

ledger::Calendar calendar_of(const config::Snapshot& config) { return {config.zone, config.time_zone}; }

std::vector<ledger::Spend::Name> named_in(const std::vector<config::Budget>& budgets) {
  std::vector<ledger::Spend::Name> names;
  for (const config::Budget& budget : budgets) {
    if (!budget.by.empty() && ledger::is_one_sum(budget.by, budget.key)) names.emplace_back(budget.by, budget.key);
  }
  return names;
}

bool budgets_by_model(const config::Snapshot& config) noexcept {
  return std::any_of(config.budgets.begin(), config.budgets.end(), [](const config::Budget& budget) { return budget.by == "model"; });
}

std::string_view billed_name(std::string_view model, const config::Snapshot& config) {
  // Requests for the same model come one after the other; a name that is not the table's own takes a microsecond to find.
  static thread_local std::shared_ptr<const config::ModelTable> last_table;
  static thread_local std::string last_model, last_name;
  if (model != last_model || config.newer_models != last_table) {
    last_table = config.newer_models;
    last_model = model;
    last_name = config::model_name(config.models(), model);
  }
  return last_name;
}

void bill_to(ledger::Record& row, std::string_view model, const config::Snapshot& config) {
  const std::string_view name = billed_name(model, config);
  if (name == row.requested_model) {
    row.billed_model.clear();
  } else {
    row.billed_model = name;
  }
}

ledger::Span span_named(std::string_view per) {
  if (per == "hour") return ledger::Span::kHour;
  if (per == "week") return ledger::Span::kWeek;
  if (per == "total") return ledger::Span::kTotal;
  return per == "month" ? ledger::Span::kMonth : ledger::Span::kDay;
}

Error no_money(std::string message) {
  Error error;
  error.code = ErrorCode::kBudgetExceeded;
  error.origin = Origin::kClient;
  error.http_status = 429;
  error.type = "billing_error";
  error.should_retry_false = true;
  error.message = std::move(message);
  return error;
}

namespace {

/// @param too_small the request may cost more than all of the budget, so that waiting would not help
Error no_room(const ledger::Calendar& calendar, const ledger::Cap& cap, bool too_small, std::int64_t wall_us, http::Headers& headers) {
  const bool for_ever = cap.span == ledger::Span::kTotal || too_small;
  const std::int64_t end_us = calendar.end_us(cap.span, wall_us);
  const std::string end_s = std::to_string(end_us / kSecondUs);
  std::string why = " has no room for this request";
  if (cap.nanousd == 0) {
    why = " allows nothing that costs money";
  } else if (too_small) {
    why = " is less than this request may cost";
  } else if (!for_ever) {
    why += "; it is free again in " + std::to_string((end_us - wall_us) / kSecondUs / 60 + 1) + " minutes";
  }
  Error error = no_money("the " + std::string(adverb(cap.span)) + " budget " + whose(cap) + " (" + dollars(cap.nanousd) + ")" + why +
                         (cap.nanousd == 0 ? ". Choose a model that costs nothing" : ". Ask for less output, choose a cheaper model") +
                         ", or raise `budgets` in ccrules.json");
  if (!for_ever) error.retry_after_ms = (end_us - wall_us) / 1000;
  headers.add("anthropic-ratelimit-unified-status", "rejected");
  if (!for_ever) {
    headers.add("anthropic-ratelimit-unified-reset", end_s);
    headers.add("anthropic-ratelimit-unified-overage-reset", end_s);
  }
  headers.add("anthropic-ratelimit-unified-overage-utilization", "1");
  headers.add("anthropic-ratelimit-unified-overage-surpassed-threshold", "1");
  headers.add("anthropic-ratelimit-unified-overage-period", adverb(cap.span));
  headers.add("anthropic-ratelimit-unified-overage-disabled-reason", "org_spend_cap_reached");
  return error;
}

}  // namespace

// Another target is in the way: the first one, which had room, may serve the request once the budget is free again.
Error used_up(const ledger::Calendar& calendar, const ledger::Cap& cap, std::int64_t wall_us, http::Headers& headers) {
  return no_room(calendar, cap, cap.nanousd == 0, wall_us, headers);
}

std::vector<ledger::Cap> caps_for(const config::Snapshot& config, const ledger::Record& row, BudgetMode mode) {
  std::vector<ledger::Cap> caps;
  caps.reserve(config.budgets.size());
  for (const config::Budget& budget : config.budgets) {
    if (mode == BudgetMode::kHard && !budget.hard) continue;
    if (budget.by.empty()) add_cap(caps, budget, {});
  }
  ledger::each_scope(row, [&](std::size_t scope, std::string_view key) {
    for (const config::Budget& budget : config.budgets) {
      if (mode == BudgetMode::kHard && !budget.hard) continue;
      if (budget.by == ledger::kScopes[scope] && ledger::takes_in(budget.by, budget.key, key)) add_cap(caps, budget, key);
    }
  });
  return caps;
}

std::vector<ledger::Cap> caps_of(const config::Snapshot& config, std::string_view by, std::string_view key) {
  std::vector<ledger::Cap> caps;
  for (const config::Budget& budget : config.budgets) {
    if (budget.by == by && ledger::takes_in(budget.by, budget.key, key)) add_cap(caps, budget, key);
  }
  return caps;
}

std::int64_t MostBilled::prompt_tokens(const rules::Target& target, const config::Model* model) const {
  const std::int64_t by_bytes =
      tokens::most_tokens(prompt, target.model, model == nullptr ? std::nullopt : model->context_tokens);
  for (const auto& [counted, tokens] : closely) {
    if (counted == target) return std::min(tokens, by_bytes);
  }
  return by_bytes;
}

namespace {

/// The dearest way of billing so many tokens, a way without a known price as it is settled; nullopt: their plain price is not known.
std::optional<std::int64_t> dearest_nanousd(std::int64_t input, std::int64_t output, bool kept_an_hour, const config::Rates& rates) {
  chat::Usage plain;
  plain.input_tokens = input;
  plain.output_tokens = output;
  if (input > 0 && !rates.input_picousd) return std::nullopt;
  config::Rates most = ledger::rates_at_most(rates);
  most.input_picousd = std::max({most.input_picousd, most.cache_read_picousd, most.cache_write_5m_picousd});
  if (kept_an_hour) most.input_picousd = std::max(most.input_picousd, most.cache_write_1h_picousd);
  return ledger::cost_at(plain, most);
}

/// The same at the dearest of the tiers in which a provider may serve a model.
std::optional<std::int64_t> dearest_nanousd(std::int64_t input, std::int64_t output, const MostBilled& most, std::string_view provider,
                                            std::string_view model, const config::Snapshot& config) {
  std::int64_t dearest = 0;
  const auto add = [&](std::string_view tier) {
    // However the prompt is cached it is as long, so the price tier is the same.
    const auto cost = dearest_nanousd(input, output, most.kept_an_hour, ledger::rates_at(input, provider, model, config, tier));
    dearest = std::max(dearest, cost.value_or(0));
    return cost.has_value();
  };
  if (!add({})) return std::nullopt;
  for (const std::string_view tier : ledger::priced_tiers(provider, model, config)) {
    const bool possible = tier == "fast" ? most.prompt.names_speed : !most.prompt.standard_tier;
    if (possible && !add(tier)) return std::nullopt;
  }
  return dearest;
}

}  // namespace

std::optional<std::int64_t> worst_case_nanousd(std::span<const rules::Target> targets, const rules::Decision& decision,
                                               const chat::Outline& outline, const MostBilled& most, const config::Snapshot& config) {
  std::int64_t worst = 0;
  for (const rules::Target& target : targets) {
    const auto output_of = [&](const config::Model* model) {
      const std::int64_t asked = std::max(output_tokens(decision, outline, model), most.prompt.other_output_tokens);
      return most.choices * std::min(asked, limits::kUsageTokens);
    };
    const config::Model* model = config.models().find(target.model, target.provider);
    auto run = dearest_nanousd(most.prompt_tokens(target, model), output_of(model), most, target.provider, target.model, config);
    if (!run) return std::nullopt;
    for (const std::string& other : most.prompt.other_models) {
      const config::Model* known = config.models().find(other, target.provider);
      const std::int64_t input =
          tokens::most_tokens(most.prompt, other, known == nullptr ? std::nullopt : known->context_tokens);
      // What a model costs whose price nobody knows is counted as the target's.
      const auto cost = dearest_nanousd(input, output_of(known), most, target.provider, other, config);
      run = std::max(*run, cost.value_or(0));
    }
    std::int64_t all = 0;
    if (__builtin_mul_overflow(*run, most.prompt.runs, &all)) all = std::numeric_limits<std::int64_t>::max();
    worst = std::max(worst, all);
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

namespace {

bool same_sum(const ledger::Cap& left, const ledger::Cap& right) noexcept {
  return left.span == right.span && left.by == right.by && left.key == right.key;
}

bool contains(const std::vector<ledger::Cap>& caps, const ledger::Cap& cap) noexcept {
  return std::any_of(caps.begin(), caps.end(), [&cap](const ledger::Cap& each) { return same_sum(each, cap); });
}

}  // namespace

bool Reservation::covers(const ledger::Cap& cap) const noexcept { return active() && contains(caps_, cap); }

void Reservation::join(Reservation more) noexcept {
  if (!active()) {
    *this = std::move(more);
    return;
  }
  caps_.insert(caps_.end(), std::make_move_iterator(more.caps_.begin()), std::make_move_iterator(more.caps_.end()));
  more.spend_ = nullptr;
}

void Reservation::keep_only(const std::vector<ledger::Cap>& caps) {
  if (!active()) return;
  const auto rest =
      std::stable_partition(caps_.begin(), caps_.end(), [&caps](const ledger::Cap& cap) { return contains(caps, cap); });
  if (rest == caps_.end()) return;
  const std::vector<ledger::Cap> others(rest, caps_.end());
  caps_.erase(rest, caps_.end());
  spend_->release(others, nanousd_);
  if (caps_.empty()) spend_ = nullptr;
}

std::optional<ledger::Cap> Reservation::grow(std::int64_t more_nanousd, std::int64_t wall_us) {
  if (spend_ == nullptr || more_nanousd <= 0) return std::nullopt;
  if (auto cap = spend_->reserve(caps_, more_nanousd, wall_us)) return cap;
  nanousd_ += more_nanousd;
  return std::nullopt;
}

Error budget_unknown(std::string why) {
  constexpr std::int64_t kComeBackMs = 5000;
  Error error;
  error.code = ErrorCode::kBudgetExceeded;
  error.origin = Origin::kClient;
  error.http_status = 503;
  error.type = "overloaded_error";
  error.retry_after_ms = kComeBackMs;
  error.message = "a hard budget applies to this request and what it has left is not known: " + why;
  return error;
}

void warn_of_budgets(const ledger::Spend& spend, const std::vector<ledger::Cap>& caps, std::int64_t wall_us, http::Headers& headers) {
  constexpr std::int64_t kWarn = 750;
  constexpr std::int64_t kUrgent = 950;
  constexpr std::int64_t kMost = 1000;
  const ledger::Cap* tightest = nullptr;
  std::int64_t used = -1;
  for (const ledger::Cap& cap : caps) {
    const std::int64_t permille = std::max<std::int64_t>(used_permille(cap, spend.left_nanousd(cap, wall_us)), 0);
    if (permille <= used) continue;
    tightest = &cap;
    used = permille;
  }
  if (tightest == nullptr) return;
  const bool warn = used >= kWarn;
  // What the provider says of its own limits matters more than a budget that has room.
  if (!warn && headers.has("anthropic-ratelimit-unified-status")) return;
  const char* status = warn ? "allowed_warning" : "allowed";
  std::string part = std::to_string(std::min(used, kMost) % kMost);
  part.insert(0, 3 - part.size(), '0');
  headers.set("anthropic-ratelimit-unified-status", status);
  headers.set("anthropic-ratelimit-unified-representative-claim", "overage");
  headers.set("anthropic-ratelimit-unified-overage-status", status);
  headers.set("anthropic-ratelimit-unified-overage-utilization", used >= kMost ? "1" : "0." + part);
  if (warn) headers.set("anthropic-ratelimit-unified-overage-surpassed-threshold", used >= kUrgent ? "0.95" : "0.75");
  headers.set("anthropic-ratelimit-unified-overage-period", adverb(tightest->span));
  if (tightest->span == ledger::Span::kTotal) return;
  const std::string end_s = std::to_string(spend.calendar().end_us(tightest->span, wall_us) / kSecondUs);
  headers.set("anthropic-ratelimit-unified-reset", end_s);
  headers.set("anthropic-ratelimit-unified-overage-reset", end_s);
}

Result<Reservation> reserve(ledger::Spend& spend, const std::vector<ledger::Cap>& caps, std::optional<std::int64_t> worst_nanousd,
                            std::int64_t wall_us, http::Headers& headers) {
  if (caps.empty()) return Reservation();
  if (!worst_nanousd) {
    return no_money("a hard budget applies to this request and its price is not known; set `prices` for the model in ccrules.json");
  }
  if (const auto cap = spend.reserve(caps, *worst_nanousd, wall_us)) {
    return no_room(spend.calendar(), *cap, cap->nanousd == 0 || *worst_nanousd > cap->nanousd, wall_us, headers);
  }
  return Reservation(spend, caps, *worst_nanousd);
}

}  // namespace ccrules::proxy
