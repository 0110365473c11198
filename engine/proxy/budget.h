#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/outline.h"
#include "config/snapshot.h"
#include "core/result.h"
#include "http/message.h"
#include "ledger/spend.h"
#include "rules/decision.h"
#include "rules/facts.h"

/// `budgets` of the configuration: what a request may cost at most is set aside before it is sent, and settled afterwards.
namespace ccrules::proxy {

enum class BudgetMode : std::uint8_t { kHard, kAll };
/// The budgets that a request falls under.
std::vector<ledger::Cap> caps_for(const config::Snapshot& config, const rules::Identity& who, std::string_view model,
                                  BudgetMode mode);
/// Those of a scope as rules name it.
std::vector<ledger::Cap> caps_of(const config::Snapshot& config, std::string_view by, std::string_view key);

/// The most that one answer can cost at the dearest of the decision's targets: all of the prompt (a tenth more than estimated)
/// written to the prompt cache, all the output asked for. nullopt: the price of some target is not known.
std::optional<std::int64_t> worst_case_nanousd(const rules::Decision& decision, const chat::Outline& outline,
                                               std::int64_t estimated_input_tokens, const config::Snapshot& config);

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

 private:
  ledger::Spend* spend_ = nullptr;
  std::vector<ledger::Cap> caps_;
  std::int64_t nanousd_ = 0;
};

/// Sets aside what the request may cost. Error: a 429 that says which budget is used up and until when; headers that Claude Code
/// shows go to `headers` (claude-code-gateway 5.8).
Result<Reservation> reserve(ledger::Spend& spend, const std::vector<ledger::Cap>& caps, std::optional<std::int64_t> worst_nanousd,
                            std::int64_t wall_us, http::Headers& headers);

}  // namespace ccrules::proxy
