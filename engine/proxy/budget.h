#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/outline.h"
#include "config/snapshot.h"
#include "core/result.h"
#include "http/message.h"
#include "ledger/record.h"
#include "ledger/spend.h"
#include "rules/decision.h"
#include "tokens/ceiling.h"

/// `budgets` of the configuration: what a request may cost at most is set aside before it is sent, and settled afterwards.
namespace ccrules::proxy {

/// The periods of a configuration's budgets.
ledger::Calendar calendar_of(const config::Snapshot& config);
/// The period of a budget's `per`.
ledger::Span span_named(std::string_view per);

/// The keys that budgets name.
std::vector<ledger::Spend::Name> named_in(const std::vector<config::Budget>& budgets);

/// config::model_name() of a target's model; until the next call on this thread.
[[nodiscard]] std::string_view billed_name(std::string_view model, const config::Snapshot& config);
/// Notes whose budgets of scope `model` pay from now on: those of a target's model, however it is spelt.
void bill_to(ledger::Record& row, std::string_view model, const config::Snapshot& config);
/// True when which model is asked makes a difference: some budget is one of models.
[[nodiscard]] bool budgets_by_model(const config::Snapshot& config) noexcept;

enum class BudgetMode : std::uint8_t { kHard, kAll };
/// The budgets that a request falls under.
/// @param row who asks for what; its `payer` stands in place of its own key
std::vector<ledger::Cap> caps_for(const config::Snapshot& config, const ledger::Record& row, BudgetMode mode);
/// Those of a scope as rules name it.
std::vector<ledger::Cap> caps_of(const config::Snapshot& config, std::string_view by, std::string_view key);

/// How much of a request a provider can bill at most; no estimate (docs/tokens.md).
struct MostBilled {
  tokens::Ceiling prompt;
  std::vector<std::pair<rules::Target, std::int64_t>> closely;  ///< where a close count leaves fewer tokens
  bool kept_an_hour = true;  ///< false: nothing asks for the dearest way of caching a prompt
  std::int64_t choices = 1;  ///< answers asked for at once; 0: none (embeddings)
  bool runs_on = false;  ///< the provider works on when nobody waits: until it tells its bill, all that is set aside is spent
  /// @param model what is known of the target's model; null: nothing
  [[nodiscard]] std::int64_t prompt_tokens(const rules::Target& target, const config::Model* model) const;
};

/// The most that a request can cost at the dearest of some targets: all of the prompt written to the prompt cache, all the
/// output that is asked for once the decision's edits are made, at the dearest tier in which it may be served, as often as the provider
/// may run by itself. nullopt: the price of some target is not known.
std::optional<std::int64_t> worst_case_nanousd(std::span<const rules::Target> targets, const rules::Decision& decision,
                                               const chat::Outline& outline, const MostBilled& most, const config::Snapshot& config);

/// Money set aside; given back at the end of its life.
class Reservation {
 public:
  Reservation() = default;
  /// What is given was reserved.
  Reservation(ledger::Spend& spend, std::vector<ledger::Cap> caps, std::int64_t nanousd)
      : spend_(&spend), caps_(std::move(caps)), nanousd_(nanousd) {}
  ~Reservation() { release(); }
  Reservation(Reservation&& other) noexcept { *this = std::move(other); }
  Reservation& operator=(Reservation&& other) noexcept;
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  void release() noexcept;
  [[nodiscard]] bool active() const noexcept { return spend_ != nullptr; }
  [[nodiscard]] std::int64_t nanousd() const noexcept { return nanousd_; }
  [[nodiscard]] bool covers(const ledger::Cap& cap) const noexcept;
  /// Takes over what the same was set aside under more caps.
  void join(Reservation more) noexcept;
  /// Gives back what is set aside under all other caps.
  void keep_only(const std::vector<ledger::Cap>& caps);
  /// Sets more aside, all of it or nothing.
  /// @return the cap in the way; nothing: it is reserved
  [[nodiscard]] std::optional<ledger::Cap> grow(std::int64_t more_nanousd, std::int64_t wall_us);

 private:
  ledger::Spend* spend_ = nullptr;
  std::vector<ledger::Cap> caps_;
  std::int64_t nanousd_ = 0;
};

/// Sets aside what the request may cost. Error: a 429 that says which budget is used up and until when; headers that Claude Code
/// shows go to `headers` (claude-code-gateway 5.8).
Result<Reservation> reserve(ledger::Spend& spend, const std::vector<ledger::Cap>& caps, std::optional<std::int64_t> worst_nanousd,
                            std::int64_t wall_us, http::Headers& headers);
/// 429: money is in the way, and asking again would not help.
Error no_money(std::string message);
/// The error of reserve() for a budget that has no room.
Error used_up(const ledger::Calendar& calendar, const ledger::Cap& cap, std::int64_t wall_us, http::Headers& headers);
/// 503: the state of a hard budget is not known, so nothing is spent.
Error budget_unknown(std::string why);
/// Tells the client, on an answer it gets, how much of its tightest budget is used, and warns from three quarters on
/// (claude-code-gateway 5.9). A provider's own words about its limits stay while there is nothing to warn of.
void warn_of_budgets(const ledger::Spend& spend, const std::vector<ledger::Cap>& caps, std::int64_t wall_us, http::Headers& headers);

}  // namespace ccrules::proxy
