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

/// `budgets` of the configuration: what a request may cost at most is set aside before it is sent, and settled afterwards.
namespace ccrules::proxy {

/// The periods of a configuration's budgets.
ledger::Calendar calendar_of(const config::Snapshot& config);
/// The period of a budget's `per`.
ledger::Span span_named(std::string_view per);

enum class BudgetMode : std::uint8_t { kHard, kAll };
/// The budgets that a request falls under.
/// @param row who asks for what; its `payer` stands in place of its own key
std::vector<ledger::Cap> caps_for(const config::Snapshot& config, const ledger::Record& row, BudgetMode mode);
/// Those of a scope as rules name it.
std::vector<ledger::Cap> caps_of(const config::Snapshot& config, std::string_view by, std::string_view key);

/// The most that one answer can cost at the dearest of some targets: all of the prompt written to the prompt cache, all the
/// output that is asked for once the decision's edits are made. nullopt: the price of some target is not known.
/// @param input_tokens the prompt, as large as it may be
/// @param choices so many answers to it are asked for at once
std::optional<std::int64_t> worst_case_nanousd(std::span<const rules::Target> targets, const rules::Decision& decision,
                                               const chat::Outline& outline, std::int64_t input_tokens,
                                               const config::Snapshot& config, std::int64_t choices = 1);

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
/// That error.
Error used_up(const ledger::Calendar& calendar, const ledger::Cap& cap, std::int64_t wall_us, http::Headers& headers);
/// 503: the state of a hard budget is not known, so nothing is spent.
Error budget_unknown(std::string why);
/// Tells the client, on an answer it gets, that a budget is three quarters used up or more (claude-code-gateway 5.9).
void warn_of_budgets(const ledger::Spend& spend, const std::vector<ledger::Cap>& caps, std::int64_t wall_us, http::Headers& headers);

}  // namespace ccrules::proxy
