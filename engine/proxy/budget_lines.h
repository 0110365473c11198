#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "config/snapshot.h"
#include "core/json.h"
#include "ledger/queries.h"
#include "ledger/spend.h"

namespace ccrules::proxy {

/// A budget and what was spent of it in the running period.
struct BudgetLine {
  std::string scope;  ///< "all", "project:/srv/web"
  ledger::Cap cap;
  bool hard = true;
  std::int64_t spent_nanousd = 0;
  std::int64_t end_us = 0;  ///< when the next period begins
};

/// All budgets of a configuration. Of those that each project, session ... has of its own, the ones that spent most.
std::vector<BudgetLine> budget_lines(const config::Snapshot& config, const ledger::Spending& spending, std::int64_t now_us);

/// {"scope","per","mode": hard|soft,"limit_nanousd","spent_nanousd","left_nanousd","resets_at_us": us|null}
void write_budget_line(json::Writer& writer, const BudgetLine& line);

/// "hour", "day", "week", "month", "total".
const char* span_name(ledger::Span span) noexcept;

}  // namespace ccrules::proxy
