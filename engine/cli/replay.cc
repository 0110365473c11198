#include <algorithm>
#include <map>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "cli/past.h"
#include "cli/trace.h"
#include "config/interpolate.h"
#include "core/json.h"
#include "ledger/cost.h"
#include "ledger/queries.h"
#include "rules/recorded.h"

namespace ccrules::cli {
namespace {

/// Requests that would go from one place to another.
struct Change {
  std::string from, to;
  std::string rule;  ///< of the first one, now
  std::string example;
  std::int64_t requests = 0;
  std::int64_t was_nanousd = 0, would_be_nanousd = 0;
  std::int64_t unpriced = 0;  ///< requests left out of both sums: a price is not known
};

struct Replay {
  std::int64_t requests = 0, same = 0;
  std::int64_t not_judged = 0;  ///< the rules asked for what the ledger does not keep
  std::map<std::string, std::int64_t> not_kept;  ///< which facts, how often
  std::map<std::string, Change> changes;         ///< by "from -> to"
  std::string error;
};

std::string destination(const rules::Decision& decision) {
  if (decision.deny) return "denied (" + std::to_string(decision.deny->status) + ")";
  if (decision.targets.empty()) return "no target";
  return rules::target_text(decision.targets.front());
}

/// Where the rules of then sent it first. Fallbacks after failures are not the rules' doing.
std::string destination(const ledger::Record& row) {
  if (!row.provider.empty()) return row.provider + "," + row.model;
  return row.status == 404 ? "no target" : "denied (" + std::to_string(row.status) + ")";
}

void compare(const ledger::Record& row, const rules::Redecision& again, const config::Snapshot& config, Replay& replay) {
  if (!again.not_kept.empty()) {
    ++replay.not_judged;
    for (const std::string& name : again.not_kept) ++replay.not_kept[name];
    return;
  }
  const std::string from = destination(row);
  const std::string to = destination(again.decision);
  const bool fell_back = row.attempts > 1 && again.decision.targets.size() > 1 &&
                         std::any_of(again.decision.targets.begin(), again.decision.targets.end(),
                                     [&from](const rules::Target& target) { return rules::target_text(target) == from; });
  if (from == to || fell_back) {
    ++replay.same;
    return;
  }
  Change& change = replay.changes[from + " -> " + to];
  if (change.requests == 0) {
    change.from = from;
    change.to = to;
    change.rule = again.decision.rule;
    change.example = row.id;
  }
  ++change.requests;
  std::optional<std::int64_t> would_be = 0;
  if (!again.decision.targets.empty()) {
    const rules::Target& target = again.decision.targets.front();
    would_be = ledger::cost_nanousd(row.usage, target.provider, target.model, config);
  }
  const std::optional<std::int64_t> was = row.usage.empty() ? std::optional<std::int64_t>(0) : row.cost_nanousd;
  if (!was || !would_be || (row.usage.empty() && !again.decision.targets.empty())) {
    ++change.unpriced;
    return;
  }
  change.was_nanousd += *was;
  change.would_be_nanousd += *would_be;
}

std::vector<const Change*> by_weight(const Replay& replay) {
  std::vector<const Change*> changes;
  for (const auto& [key, change] : replay.changes) changes.push_back(&change);
  std::stable_sort(changes.begin(), changes.end(),
                   [](const Change* a, const Change* b) { return a->requests > b->requests; });
  return changes;
}

std::string difference(std::int64_t nanousd) {
  return nanousd < 0 ? "-" + usd(-nanousd) : "+" + usd(nanousd);
}

std::int64_t changed(const Replay& replay) {
  std::int64_t count = 0;
  for (const auto& [key, change] : replay.changes) count += change.requests;
  return count;
}

void print_text(Io& io, const Replay& replay) {
  using Align = Table::Align;
  const Paint paint = paint_for_out(io);
  const std::int64_t judged = replay.requests - replay.not_judged;
  io.out << with_commas(replay.requests) << (replay.requests == 1 ? " decision; " : " decisions; ")
         << with_commas(replay.same) << " stay as they are, " << paint.bold(with_commas(changed(replay)) + " change") << ", "
         << with_commas(replay.not_judged) << " could not be judged\n";
  if (!replay.changes.empty()) {
    io.out << "\n";
    Table table({Align::kRight, Align::kLeft, Align::kLeft, Align::kLeft, Align::kRight, Align::kRight, Align::kLeft});
    std::vector<std::string> head = {"requests", "went to", "would go to", "by rule", "cost", "difference", "for example"};
    for (std::string& cell : head) cell = paint.bold(cell);
    table.row(std::move(head));
    std::int64_t total = 0;
    for (const Change* change : by_weight(replay)) {
      const std::int64_t more = change->would_be_nanousd - change->was_nanousd;
      total += more;
      const bool no_price = change->unpriced == change->requests;
      table.row({with_commas(change->requests), change->from, paint.cyan(change->to), change->rule,
                 no_price ? "unknown" : usd(change->would_be_nanousd),
                 no_price ? "" : (more < 0 ? paint.green(difference(more)) : difference(more)), paint.dim(change->example)});
    }
    table.print(io.out);
    io.out << "\nin all " << paint.bold(difference(total)) << "\n";
  }
  io.out << "\n"
         << paint.dim("assumes the same tokens and the same prompt-cache hits at the new target, and answers of the same length;")
         << "\n"
         << paint.dim("retries and fallbacks after failures are not replayed") << "\n";
  std::int64_t unpriced = 0;
  for (const auto& [key, change] : replay.changes) unpriced += change.unpriced;
  if (unpriced > 0) {
    io.out << paint.yellow(with_commas(unpriced) + " of them without a known price or usage: not in the money above") << "\n";
  }
  if (replay.not_judged > 0) {
    io.out << paint.yellow("judged " + std::to_string(judged * 100 / std::max<std::int64_t>(replay.requests, 1)) +
                           " %: the rules ask for what the ledger does not keep:");
    for (const auto& [name, count] : replay.not_kept) io.out << " " << name << " (" << with_commas(count) << ")";
    io.out << "\n";
  }
}

void print_json(Io& io, const Replay& replay) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object().member("schema", "ccrules.replay/1").member("requests", replay.requests).member("same", replay.same);
  writer.member("changed", changed(replay)).member("not_judged", replay.not_judged);
  writer.key("not_kept").begin_object();
  for (const auto& [name, count] : replay.not_kept) writer.member(name, count);
  writer.end_object().key("changes").begin_array();
  for (const Change* change : by_weight(replay)) {
    writer.begin_object().member("from", change->from).member("to", change->to).member("rule", change->rule);
    writer.member("requests", change->requests).member("cost_nanousd", change->was_nanousd);
    writer.member("new_cost_nanousd", change->would_be_nanousd).member("unpriced_requests", change->unpriced);
    writer.member("example", change->example).end_object();
  }
  writer.end_array().key("assumptions").begin_array();
  writer.string("same tokens and prompt-cache hits at the new target").string("answers of the same length");
  writer.string("retries and fallbacks after failures are not replayed").end_array().end_object();
  io.out << text << "\n";
}

Exit run_replay(const Arguments& arguments, Io& io) {
  config::Options options = config_options(arguments, io);
  options.dry_run = true;
  const auto found = load_config(options, io);
  if (!found) return Exit::kUsage;
  const auto since = since_flag(arguments, io, *found, "7d");
  if (!since) return Exit::kUsage;
  config::Snapshot config = *found;
  std::vector<std::string> wanted = arguments.values("rules");
  wanted.insert(wanted.end(), arguments.words().begin(), arguments.words().end());
  if (!wanted.empty()) {
    config.rules.clear();
    for (const std::string& word : wanted) {
      const std::string path = config::resolve_path(word, io.working_directory, io.environment);
      if (!io.files.exists(path) && io.files.list(path).empty()) return usage_error(io, "there is no " + word);
      config.rules.push_back(path);
    }
  }
  const std::string path = arguments.has("ledger") ? arguments.value("ledger") : config.ledger.path;
  if (!io.files.exists(path)) return usage_error(io, "there is no ledger at " + path + " yet");
  std::vector<config::Diagnostic> diagnostics;
  const auto engine = rules::Engine::load(config, io.files, diagnostics);
  if (engine == nullptr) {
    print_diagnostics(diagnostics, io, Where::kErr);
    return Exit::kUsage;
  }
  Replay replay;
  const auto read = ledger::each_decision(path, *since, [&](const ledger::Record& row) {
    const auto again = rules::decide_again(*engine, recorded(row));
    if (!again.ok()) {
      replay.error = row.id + ": " + again.error().message;
      return false;
    }
    ++replay.requests;
    compare(row, *again, config, replay);
    return true;
  });
  if (!read.ok()) return usage_error(io, read.error().message);
  if (!replay.error.empty()) return usage_error(io, replay.error);
  if (arguments.json()) {
    print_json(io, replay);
  } else {
    print_text(io, replay);
  }
  return replay.changes.empty() ? Exit::kOk : Exit::kFailed;
}

}  // namespace

Command replay_command() {
  Command command;
  command.name = "replay";
  command.summary = "Past requests through other rules: what changes, and what it would cost";
  command.arguments = "[PATH...]";
  command.about =
      "Makes the decisions of the ledger again with the rules at PATH (files or folders) instead of the configuration's\n"
      "own, or with the configuration as it is now. Says how many would go elsewhere, from where to where, by which rule,\n"
      "and the difference in money at today's prices; what it assumes; and the share it cannot judge because the rules\n"
      "read texts, which the ledger does not keep. Exit code 1 when something changes.";
  command.flags = {{"since", "TIME", "how far back: 30m, 24h, 7d (default), 2w, all, or a day like 2026-11-01", {}},
                   {"rules", "PATH", "these rules; the same as naming them without the flag, and may be repeated", {}},
                   {"ledger", "FILE", "this ledger instead of the configuration's", {}}};
  command.examples = {{"ccrules replay rules/new.lua --since 24h", "a new rule file against yesterday's requests"},
                      {"ccrules replay --json", "the present configuration against the last week, for scripts"}};
  command.most = 100;
  command.run = &run_replay;
  return command;
}

}  // namespace ccrules::cli
