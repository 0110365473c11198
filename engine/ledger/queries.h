#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "ledger/record.h"
#include "ledger/spend_sum.h"

/// Reading the ledger, on a connection of its own; works while the proxy writes.
namespace ccrules::ledger {

struct StatsRow {
  std::string key;  ///< model, project, agent, day ...
  std::int64_t requests = 0, errors = 0;
  std::int64_t input_tokens = 0, output_tokens = 0, cache_read_tokens = 0, cache_write_tokens = 0;
  std::int64_t cost_nanousd = 0;
  std::int64_t unknown_cost_requests =
      0;  ///< requests with tokens whose price is unknown: the cost is at least this
  std::int64_t savings_nanousd = 0;  ///< requested_cost - cost where both are known
};

/// How far our counts of prompts were from what providers billed, by grade.
struct CountError {
  std::string grade;
  std::int64_t requests = 0;
  double mean_percent = 0;  ///< of the absolute relative error
  double p95_percent = 0;
};

/// Prompt caches that were paid for and brought nothing.
struct CacheWaste {
  /// Requests that wrote anew, within minutes and at the same target, what their session's request before had in the cache:
  /// something early in the prompt is another each time (a line with a time or a version, tools in another order).
  std::int64_t rewritten_requests = 0, rewritten_tokens = 0;
  /// Written in sessions with several requests that never read from the cache.
  std::int64_t unread_tokens = 0;
  struct Worst {
    std::string session, client, model;
    std::int64_t requests = 0, tokens = 0;  ///< rewritten
  };
  std::vector<Worst> worst;  ///< at most five, the worst first
  struct Cause {
    std::string name;  ///< Record::cache_break
    std::int64_t requests = 0, tokens = 0;
    std::int64_t cost_nanousd = 0;           ///< more than reading would have cost
    std::int64_t unknown_cost_requests = 0;  ///< not in `cost_nanousd`
  };
  std::vector<Cause> causes;  ///< of what was written again, the dearest first
};

/// Requests that a provider served at a tier whose price is not known: their cost is the standard tier's.
struct UnpricedTier {
  std::string name;  ///< Record::unpriced_tier
  std::int64_t requests = 0;
};

struct Stats {
  StatsRow total;
  std::vector<StatsRow> rows;
  std::vector<CountError> count_errors;
  CacheWaste cache_waste;
  std::vector<UnpricedTier> unpriced_tiers;  ///< the most frequent first
  std::int64_t unpriced_fee_requests = 0;    ///< with Record::unpriced_fees
};

struct StatsQuery {
  std::string path;
  std::int64_t since_us = 0;
  std::string by = "model";  ///< model | provider | project | agent | session | rule | day | status
  Calendar calendar;         ///< whose days
};
Result<Stats> stats(const StatsQuery& query);
std::string to_json(const StatsQuery& query, const Stats& stats);

/// What was spent by everybody, from the ledger's own sums: no row is read.
struct Spending {
  SumMap sums;
  std::string zone = "UTC";  ///< whose days, weeks and months the sums are of
  bool complete = true;  ///< false: rows of an older version are still to be added; a running proxy does that
};
Result<Spending> spending(const std::string& path);

/// One row as it was written, by request id or decision id. nullopt: there is no such row. An id may be given without its
/// prefix or by its beginning, when only one row has it.
Result<std::optional<Record>> find(const std::string& path, std::string_view id);

/// Rows that were decided by rules since `since_us`, oldest first, each with its facts. Stops when `take` says false.
Result<void> each_decision(const std::string& path, std::int64_t since_us, const std::function<bool(const Record&)>& take);
/// The last `most` of them, newest first, as far as they are among the newest 20 times as many rows.
Result<void> last_decisions(const std::string& path, int most, const std::function<bool(const Record&)>& take);
/// Rows that candidate rules have decided too (Record::shadow_json), as each_decision().
Result<void> each_comparison(const std::string& path, std::int64_t since_us, const std::function<bool(const Record&)>& take);

/// An estimate and what it was billed as, for learning ratios again after a restart.
struct LearnedCount {
  std::string key;
  std::int64_t estimate_tokens = 0;
  std::int64_t billed_tokens = 0;
};
/// The newest `limit`, oldest first, as far as they are among the newest 4 times as many rows.
Result<std::vector<LearnedCount>> learned_counts(const std::string& path, std::int64_t limit);

}  // namespace ccrules::ledger
