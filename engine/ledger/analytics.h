#pragma once
#include <cstdint>
#include <string>

#include "core/result.h"

/// What dashboards and exports ask of the ledger, as JSON whose names are an interface, and as CSV. Every function opens a
/// connection of its own and may read the whole ledger: seconds with millions of rows, so not on a loop's thread. Costs are US
/// dollars; requests whose price is not known add nothing to them. Projects and models that nobody named are "".
namespace ccrules::ledger {

/// {cost, costTrend{value,period}, tokens, tokensTrend, calls, callsTrend, avgTime (ms), timeTrend, cacheHitRate, savings,
/// recent[20]}. A trend's value is the change in per cent of the last 24 hours against the 24 before; null: nothing was there.
/// @param project empty: all
Result<std::string> project_stats_json(const std::string& path, const std::string& project, std::int64_t now_us);
/// {totalCost, activeProjects, totalCalls, totalTokens, projects[{name,calls,inputTokens,outputTokens,cost,lastActivity}],
/// models[{name,calls,inputTokens,outputTokens,cost}], chartData{costOverTime[{date,cost}] (30 days), costByProject[{name,cost}],
/// modelDistribution[{name,calls}]}}
Result<std::string> machine_stats_json(const std::string& path, std::int64_t now_us);
/// {total_overrides, overrides_by_model{from: [to, count]} (the most frequent of each), savings,
/// recent_overrides[10]{original_model,override_to,agent,timestamp}}
Result<std::string> override_stats_json(const std::string& path);

struct Export {
  std::int64_t days = 30;
  std::string project;  ///< only this one; see `one_project`
  bool one_project = false;
};
/// {exportDate, period, summary{totalCost,totalCalls,totalTokens,cacheSavings}, byModel{name: {calls,tokens,cost}}, byProject,
/// hourlyTrend[{hour,calls,tokens,cost}]}
Result<std::string> export_json(const std::string& path, const Export& what, std::int64_t now_us);
/// One line a request, oldest first, after a line of names (RFC 4180). Cells that a spreadsheet would take for a formula begin
/// with an apostrophe.
Result<std::string> export_csv(const std::string& path, const Export& what, std::int64_t now_us);

}  // namespace ccrules::ledger
