#include "proxy/budget_lines.h"

#include <algorithm>
#include <array>
#include <utility>

#include "proxy/budget.h"

namespace ccrules::proxy {
namespace {

constexpr std::size_t kShown = 20;  ///< Of those that each have a budget of their own.

}  // namespace

const char* span_name(ledger::Span span) noexcept {
  constexpr std::array<const char*, ledger::kSpans> kNames = {"hour", "day", "week", "month", "total"};
  return kNames[static_cast<std::size_t>(span)];
}

std::vector<BudgetLine> budget_lines(const config::Snapshot& config, const ledger::Spending& spending, std::int64_t now_us) {
  const ledger::Calendar calendar = calendar_of(config);
  std::vector<BudgetLine> lines;
  for (const config::Budget& budget : config.budgets) {
    BudgetLine line;
    line.hard = budget.hard;
    line.cap.by = budget.by;
    line.cap.span = span_named(budget.per);
    line.cap.nanousd = budget.nanousd;
    line.end_us = calendar.end_us(line.cap.span, now_us);
    const auto add = [&](const std::string& key) {
      line.cap.key = key;
      line.scope = budget.by.empty() ? "all" : budget.by + ":" + key;
      const auto sum = spending.sums.find({budget.by, key});
      line.spent_nanousd = sum == spending.sums.end() ? 0 : sum->second.in(line.cap.span, now_us, calendar);
      lines.push_back(line);
    };
    if (ledger::is_one_sum(budget.by, budget.key)) {
      add(budget.key);
      continue;
    }
    std::vector<std::pair<std::int64_t, std::string>> keys;
    for (const auto& [whose, sum] : spending.sums) {
      if (whose.first != budget.by || !ledger::takes_in(budget.by, budget.key, whose.second)) continue;
      const std::int64_t spent = sum.in(line.cap.span, now_us, calendar);
      if (spent > 0) keys.emplace_back(-spent, whose.second);
    }
    std::sort(keys.begin(), keys.end());
    for (std::size_t i = 0; i < keys.size() && i < kShown; ++i) add(keys[i].second);
  }
  return lines;
}

void write_budget_line(json::Writer& writer, const BudgetLine& line) {
  writer.begin_object().member("scope", std::string_view(line.scope)).member("per", span_name(line.cap.span));
  writer.member("mode", line.hard ? "hard" : "soft").member("limit_nanousd", line.cap.nanousd);
  writer.member("spent_nanousd", line.spent_nanousd).member("left_nanousd", line.cap.nanousd - line.spent_nanousd);
  writer.key("resets_at_us");
  if (line.cap.span == ledger::Span::kTotal) {
    writer.null();
  } else {
    writer.integer(line.end_us);
  }
  writer.end_object();
}

}  // namespace ccrules::proxy
