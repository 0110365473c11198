#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "ledger/spend_sum.h"

/// What dashboards and exports ask of the ledger, as JSON whose names are an interface, and as CSV. Every function opens a
/// connection of its own and may read the whole ledger: seconds with millions of rows, so not on a loop's thread. Costs are US
/// dollars; requests whose price is not known add nothing to them, and are counted beside each (`unknownCostCalls`). Projects and
/// models that nobody named are "". Of more than 1000 of them the cheapest are one, "(other)".
namespace ccrules::ledger {

/// What is read, and for how long at most. A reading that takes longer ends with kUnsupported (503): the caller should ask for
/// less; one that was given up with kCancelled.
struct Source {
  Source(std::string ledger_path) : path(std::move(ledger_path)) {}  // NOLINT(google-explicit-constructor): a path is a source
  std::string path;
  std::chrono::milliseconds most_time{0};        ///< zero: as long as it takes
  const std::atomic<bool>* given_up = nullptr;   ///< becomes true when nobody wants the answer any more; null: somebody does
};

/// {cost, unknownCostCalls, costTrend{value,period}, tokens, tokensTrend, calls, callsTrend, avgTime (ms), timeTrend, cacheHitRate,
/// savings, recent[20]}. A trend's value is the change in per cent of the last 24 hours against the 24 before; null: nothing was there.
/// @param project empty: all
Result<std::string> project_stats_json(const Source& from, const std::string& project, std::int64_t now_us);
/// {totalCost, totalUnknownCostCalls, activeProjects, totalCalls, totalTokens, projects[{name,calls,inputTokens,outputTokens,cost,
/// unknownCostCalls,lastActivity}], models[{name,calls,inputTokens,outputTokens,cost,unknownCostCalls}],
/// chartData{costOverTime[{date,cost,unknownCostCalls}] (30 days), costByProject[{name,cost,unknownCostCalls}],
/// modelDistribution[{name,calls}]}}
/// @param calendar whose days the chart has
Result<std::string> machine_stats_json(const Source& from, const Calendar& calendar, std::int64_t now_us);
/// Of requests with the reason "agent override": {total_overrides, overrides_by_model{from: [to, count]} (the most frequent of each),
/// savings, recent_overrides[10]{original_model,override_to,agent,timestamp}}
Result<std::string> override_stats_json(const Source& from);

struct Export {
  std::int64_t days = 30;
  std::string project;  ///< only this one; see `one_project`
  bool one_project = false;
};
/// {exportDate, period, summary{totalCost,totalUnknownCostCalls,totalCalls,totalTokens,cacheSavings},
/// byModel{name: {calls,tokens,cost,unknownCostCalls}}, byProject, hourlyTrend[{hour,calls,tokens,cost,unknownCostCalls}]}
Result<std::string> export_json(const Source& from, const Export& what, std::int64_t now_us);
/// One line a request, oldest first, after a line of names (RFC 4180). Cells that a spreadsheet would take for a formula begin
/// with an apostrophe. Every request, in portions, so that no more of it than one is ever in memory. What is recorded meanwhile is
/// not in it.
class CsvExport {
 public:
  /// Reads nothing yet.
  CsvExport(Export what, std::int64_t now_us);
  /// The next portion of some hundred KB; empty: that was all.
  Result<std::string> next(const Source& from);

 private:
  Export what_;
  std::int64_t after_us_, after_seq_ = 0;  ///< the last request that was given
  std::int64_t until_seq_ = 0;             ///< the newest one when it began
  bool begun_ = false, over_ = false;
};

/// Which requests of a list.
struct RequestQuery {
  std::string project, session, model;  ///< empty: any; `model` is the one that was asked for
  bool errors = false;                  ///< only those that failed
  std::int64_t before = 0;              ///< only those recorded before this one (its `seq`); 0: from the newest on
  std::int64_t limit = 100;
};
/// {requests: [REQUEST], next: seq | null}, the newest first; `next` is the `before` of the next page. A REQUEST is {seq, id,
/// timestamp, project, session, user, agent, client, provider, model, requestedModel, inputTokens, outputTokens, cost (null: not
/// known), time (ms), status, stopReason, cache, rule, reason, error}.
Result<std::string> requests_json(const Source& from, const RequestQuery& query);

/// What was recorded since an earlier look, for streams.
struct News {
  struct Request {
    std::int64_t seq = 0;
    std::string json;  ///< a REQUEST as above
  };
  std::vector<Request> requests;  ///< oldest first
  std::int64_t last_seq = 0;          ///< to be handed in next time
};
/// @param after_seq -1: nothing but the place to go on from
Result<News> news(const Source& from, std::int64_t after_seq, std::int64_t most);

}  // namespace ccrules::ledger
