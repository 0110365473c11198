#include <array>
#include <cstdio>
#include <optional>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "cli/past.h"
#include "ledger/queries.h"
#include "proxy/budget.h"

namespace ccrules::cli {
namespace {

/// "at least" when some requests have no known price: unknown is never shown as zero.
std::string cost_text(const Paint& paint, const ledger::StatsRow& row) {
  if (row.unknown_cost_requests == 0) return usd(row.cost_nanousd);
  if (row.cost_nanousd == 0) return paint.yellow("unknown");
  return paint.yellow("≥ " + usd(row.cost_nanousd));
}

std::vector<std::string> cells(const Paint& paint, const ledger::StatsRow& row, const std::string& key) {
  return {key,
          with_commas(row.requests),
          row.errors > 0 ? paint.red(with_commas(row.errors)) : "0",
          with_commas(row.input_tokens),
          with_commas(row.output_tokens),
          with_commas(row.cache_read_tokens),
          with_commas(row.cache_write_tokens),
          cost_text(paint, row),
          row.savings_nanousd == 0 ? "" : usd(row.savings_nanousd)};
}

void print_cache_waste(Io& io, const Paint& paint, const ledger::CacheWaste& waste) {
  if (waste.rewritten_requests > 0) {
    io.out << paint.yellow("prompt caches: " + with_commas(waste.rewritten_requests) + " requests wrote " +
                           with_commas(waste.rewritten_tokens) + " tokens again that their session had in the cache minutes before")
           << paint.dim("; something early in their prompts changes (docs/ledger.md)") << "\n";
    for (const ledger::CacheWaste::Worst& one : waste.worst) {
      io.out << paint.dim("  " + with_commas(one.tokens) + " tokens in " + with_commas(one.requests) + " requests of session " +
                          plain_text(one.session) + (one.client.empty() ? "" : " (" + plain_text(one.client) + ")") + " at " +
                          plain_text(one.model))
             << "\n";
    }
  }
  for (const ledger::CacheWaste::Cause& one : waste.causes) {
    std::string cost;
    if (one.unknown_cost_requests < one.requests) cost = ", " + usd(one.cost_nanousd) + " more than reading them";
    io.out << paint.yellow("prompt caches, " + plain_text(one.name) + ": ")
           << with_commas(one.requests) << (one.requests == 1 ? " request wrote " : " requests wrote ") << with_commas(one.tokens)
           << " tokens again" << cost << "\n";
  }
  if (waste.unread_tokens > 0)
    io.out << paint.yellow("prompt caches: " + with_commas(waste.unread_tokens) + " tokens were written in sessions that never read any")
           << "\n";
}

void print_table(Io& io, const ledger::StatsQuery& query, const ledger::Stats& stats) {
  using Align = Table::Align;
  const Paint paint = paint_for_out(io);
  Table table({Align::kLeft, Align::kRight, Align::kRight, Align::kRight, Align::kRight, Align::kRight,
               Align::kRight, Align::kRight, Align::kRight});
  std::vector<std::string> head = {query.by == "day" ? "day, " + query.calendar.name() : query.by,
                                   "requests",    "errors",     "input", "output",
                                   "cache read", "cache write", "cost (USD)", "saved"};
  for (std::string& cell : head) cell = paint.bold(cell);
  table.row(std::move(head));
  for (const ledger::StatsRow& row : stats.rows)
    table.row(cells(paint, row, row.key.empty() ? "(none)" : row.key));
  if (stats.rows.size() != 1) table.row(cells(paint, stats.total, paint.bold("total")));
  table.print(io.out);
  for (const ledger::CountError& error : stats.count_errors) {
    std::array<char, 160> line{};
    std::snprintf(line.data(), line.size(), "token counts, %s: off by %.1f %% on average, p95 %.1f %%, over %s requests",
                  error.grade.c_str(), error.mean_percent, error.p95_percent, with_commas(error.requests).c_str());
    io.out << paint.dim(line.data()) << "\n";
  }
  print_cache_waste(io, paint, stats.cache_waste);
  for (const ledger::UnpricedTier& tier : stats.unpriced_tiers) {
    io.out << paint.yellow(with_commas(tier.requests) + (tier.requests == 1 ? " request was" : " requests were") + " served at the tier '" +
                           plain_text(tier.name) + "' and counted at the standard price")
           << paint.dim("; set `prices` for \"MODEL@" + plain_text(tier.name) + "\" in ccrules.json") << "\n";
  }
  if (const std::int64_t fees = stats.unpriced_fee_requests; fees > 0) {
    io.out << paint.yellow(with_commas(fees) + (fees == 1 ? " request has" : " requests have") + " fees that are not in the cost")
           << paint.dim(": web searches and the like, see the column `unpriced_fees` of the ledger") << "\n";
  }
  if (stats.total.unknown_cost_requests == 0) return;
  const std::int64_t unknown = stats.total.unknown_cost_requests;
  io.out << "\n"
         << paint.yellow(with_commas(unknown) + (unknown == 1 ? " request has" : " requests have") +
                         " no known price")
         << paint.dim("; set `prices` in ccrules.json") << "\n";
}

Exit run_stats(const Arguments& arguments, Io& io) {
  ledger::StatsQuery query;
  const auto config = load_config(config_options(arguments, io), io);
  if (!config) return Exit::kUsage;
  const auto from = since_flag(arguments, io, *config, "7d");
  if (!from) return Exit::kUsage;
  query.since_us = *from;
  query.calendar = proxy::calendar_of(*config);
  if (arguments.has("by")) query.by = arguments.value("by");
  query.path = arguments.has("ledger") ? arguments.value("ledger") : config->ledger.path;
  if (!io.files.exists(query.path)) return usage_error(io, "there is no ledger at " + query.path + " yet");
  const Result<ledger::Stats> stats = ledger::stats(query);
  if (!stats.ok()) return usage_error(io, stats.error().message);
  if (arguments.json()) {
    io.out << ledger::to_json(query, *stats) << "\n";
  } else if (stats->total.requests == 0) {
    io.err << "no requests since " << (arguments.has("since") ? arguments.value("since") : "7d") << "\n";
  } else {
    print_table(io, query, *stats);
  }
  return Exit::kOk;
}

}  // namespace

Command stats_command() {
  Command command;
  command.name = "stats";
  command.summary = "Requests, tokens and cost from the ledger";
  command.about =
      "Sums the ledger; works while the proxy runs. A cost with unknown prices in it is marked, never shown "
      "as zero. \"saved\"\n"
      "is what the requested models would have cost more (or, negative, less). Days are those of `time_zone`, as in budgets.";
  command.flags = {
      {"since", "TIME", "how far back: 30m, 24h, 7d (default), 2w, all, or a day like 2026-11-01", {}},
      {"by",
       "KEY",
       "one row for each",
       {"model", "provider", "project", "agent", "session", "rule", "day", "status"}},
      {"ledger", "FILE", "this ledger instead of the configuration's", {}}};
  command.examples = {{"ccrules stats --since 24h --by project", "today's work by project"},
                      {"ccrules stats --json", "for scripts"}};
  command.run = &run_stats;
  return command;
}

}  // namespace ccrules::cli
