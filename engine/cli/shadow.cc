#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "cli/past.h"
#include "core/json.h"
#include "ledger/queries.h"
#include "rules/shadow.h"

namespace ccrules::cli {
namespace {

/// The same difference in several requests.
struct Difference {
  rules::Change change;
  std::string rule;  ///< of the candidate, in the first of them
  std::string example;
  std::string last;  ///< request it was found in
  std::int64_t requests = 0;
};

/// What the ledger tells of one candidate.
struct Findings {
  std::string ruleset;
  std::int64_t requests = 0, differ = 0;
  std::map<std::tuple<std::string, std::string, std::string>, Difference> differences;  ///< by slot, before, after
  std::map<std::string, std::int64_t> failed;                                           ///< rules, how often
};

void take(const ledger::Record& row, const rules::Comparison& comparison, Findings& findings) {
  if (comparison.ruleset != findings.ruleset) {  // an older candidate's say nothing about this one
    findings = Findings();
    findings.ruleset = comparison.ruleset;
  }
  ++findings.requests;
  if (!comparison.changes.empty()) ++findings.differ;
  for (const std::string& rule : comparison.failed_rules) ++findings.failed[rule];
  for (const rules::Change& change : comparison.changes) {
    Difference& difference = findings.differences[{change.slot, change.before, change.after}];
    // Attempts of one request that differ alike are one request that differs.
    if (std::exchange(difference.last, row.id) == row.id || difference.requests++ > 0) continue;
    difference.change = change;
    difference.rule = change.rule.empty() ? comparison.rule : change.rule;
    difference.example = row.id;
  }
}

std::vector<const Difference*> by_weight(const Findings& findings) {
  std::vector<const Difference*> differences;
  for (const auto& [key, difference] : findings.differences) differences.push_back(&difference);
  std::stable_sort(differences.begin(), differences.end(),
                   [](const Difference* a, const Difference* b) { return a->requests > b->requests; });
  return differences;
}

void print_text(Io& io, const Findings& findings) {
  using Align = Table::Align;
  const Paint paint = paint_for_out(io);
  io.out << with_commas(findings.requests) << (findings.requests == 1 ? " request was" : " requests were")
         << " decided by the candidate too; " << paint.bold(with_commas(findings.differ) + " would go otherwise") << "\n";
  if (!findings.differences.empty()) {
    io.out << "\n";
    Table table({Align::kRight, Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft});
    std::vector<std::string> head = {"requests", "what", "now", "candidate", "by rule", "for example"};
    for (std::string& cell : head) cell = paint.bold(cell);
    table.row(std::move(head));
    for (const Difference* difference : by_weight(findings)) {
      const rules::Change& change = difference->change;
      table.row({with_commas(difference->requests), change.slot, change.before.empty() ? "-" : change.before,
                 paint.cyan(change.after.empty() ? "-" : change.after), difference->rule, paint.dim(difference->example)});
    }
    table.print(io.out);
  }
  for (const auto& [rule, count] : findings.failed) {
    io.out << paint.red("the candidate's rule '" + rule + "' failed " + with_commas(count) + (count == 1 ? " time" : " times")) << "\n";
  }
}

void print_json(Io& io, const Findings& findings) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object().member("schema", "ccrules.shadow/1").member("ruleset", findings.ruleset);
  writer.member("requests", findings.requests).member("differ", findings.differ).key("differences").begin_array();
  for (const Difference* difference : by_weight(findings)) {
    writer.begin_object().member("slot", difference->change.slot).member("before", difference->change.before);
    writer.member("after", difference->change.after).member("rule", difference->rule);
    writer.member("requests", difference->requests).member("example", difference->example).end_object();
  }
  writer.end_array().key("failed").begin_object();
  for (const auto& [rule, count] : findings.failed) writer.member(rule, count);
  writer.end_object().end_object();
  io.out << text << "\n";
}

Exit run_shadow(const Arguments& arguments, Io& io) {
  config::Options options = config_options(arguments, io);
  options.dry_run = true;
  const auto config = load_config(options, io);
  if (!config) return Exit::kUsage;
  const auto since = since_flag(arguments, io, *config, "7d");
  if (!since) return Exit::kUsage;
  const std::string path = arguments.has("ledger") ? arguments.value("ledger") : config->ledger.path;
  if (!io.files.exists(path)) return usage_error(io, "there is no ledger at " + path + " yet");
  Findings findings;
  std::string problem;
  const auto read = ledger::each_comparison(path, *since, [&](const ledger::Record& row) {
    const auto comparison = rules::read_comparison(row.shadow_json);
    if (!comparison.ok()) {
      problem = row.id + ": " + comparison.error().message;
      return false;
    }
    take(row, *comparison, findings);
    return true;
  });
  if (!read.ok()) return usage_error(io, read.error().message);
  if (!problem.empty()) return usage_error(io, problem);
  if (findings.requests == 0 && !arguments.json()) {
    return usage_error(io, config->shadow.empty() ? "no candidate rules are compared; name their files in `shadow` of ccrules.json"
                                                  : "no request has been decided by the candidate rules in that time");
  }
  if (arguments.json()) {
    print_json(io, findings);
  } else {
    print_text(io, findings);
  }
  return findings.differ == 0 ? Exit::kOk : Exit::kFailed;
}

}  // namespace

Command shadow_command() {
  Command command;
  command.name = "shadow";
  command.summary = "What candidate rules would do with the requests of now";
  command.about =
      "The rules that `shadow` of ccrules.json names decide every request beside the rules in force, and every failed attempt and\n"
      "reply that those look at. They see all that those see, prompts included, and nothing of their decision reaches the request.\n"
      "This shows what they would have done otherwise, by how many requests. Only the newest candidate counts. Exit code 1 when\n"
      "something differs.";
  command.flags = {{"since", "TIME", "how far back: 30m, 24h, 7d (default), 2w, all, or a day like 2026-11-01", {}},
                   {"ledger", "FILE", "this ledger instead of the configuration's", {}}};
  command.examples = {{"ccrules shadow --since 24h", "since yesterday"},
                      {"ccrules shadow --json", "for scripts"}};
  command.run = &run_shadow;
  return command;
}

}  // namespace ccrules::cli
