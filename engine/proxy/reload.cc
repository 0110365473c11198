#include "proxy/reload.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "async/tls.h"
#include "core/limits.h"
#include "ledger/queries.h"
#include "proxy/native.h"
#include "proxy/past_request.h"
#include "rules/dry_run.h"
#include "rules/shadow.h"

namespace ccrules::proxy {
namespace {

bool is_error(const config::Diagnostic& diagnostic) { return !diagnostic.warning; }

/// Without the line it quotes, which may hold a key.
std::string one_line(const config::Diagnostic& diagnostic) {
  std::string line = diagnostic.where.file;
  if (diagnostic.where.line > 0) {
    line += ":" + std::to_string(diagnostic.where.line) + ":" + std::to_string(diagnostic.where.column);
  }
  line += ": " + diagnostic.message;
  return diagnostic.hint.empty() ? line : line + " (" + diagnostic.hint + ")";
}

void tell_errors(const std::vector<config::Diagnostic>& diagnostics, std::vector<std::string>& why) {
  for (const config::Diagnostic& diagnostic : diagnostics) {
    if (is_error(diagnostic)) why.push_back(one_line(diagnostic));
  }
}

Result<std::unique_ptr<rules::Engine>> load_rules(const config::Snapshot& config, const Files& files,
                                                  std::vector<std::string>& why) {
  std::vector<config::Diagnostic> diagnostics;
  std::unique_ptr<rules::Engine> engine = rules::Engine::load(config, files, diagnostics);
  if (engine != nullptr) return engine;
  tell_errors(diagnostics, why);
  return bad_request("the rules cannot be loaded");
}

/// The candidate of `shadow`, for one worker; null when there is none, or it does not load.
std::unique_ptr<rules::Shadow> load_shadow(const config::Snapshot& config, const Files& files, std::vector<std::string>& why) {
  if (config.shadow.empty()) return nullptr;
  config::Snapshot other = config;
  other.rules = config.shadow;
  auto engine = load_rules(other, files, why);
  return engine.ok() ? std::make_unique<rules::Shadow>(*std::move(engine)) : nullptr;
}

/// The tests of the rules: all below the folders that `rules` names, and the files beside its files.
std::vector<std::string> tests_of(const config::Snapshot& config, const Files& files) {
  std::vector<std::string> paths;
  const auto add = [&paths](std::string path) {
    if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(std::move(path));
  };
  for (const std::string& path : config.rules) {
    if (!files.list(path).empty()) {
      add(path);
      continue;
    }
    const std::string folder = path.substr(0, path.find_last_of('/') + 1);
    if (folder.empty()) continue;
    for (const std::string& name : files.list(folder.substr(0, folder.size() - 1))) {
      if (name.ends_with("_test.lua") || name.ends_with(".test.lua")) add(folder + name);
      if (!name.ends_with(".jsonl")) continue;
      const Result<std::string> text = files.read(folder + name);  // other files of that kind may stand there
      if (text.ok() && text->find("\"expect\"") != std::string::npos) add(folder + name);
    }
  }
  return paths;
}

/// Runs the tests beside the rules; false when something is wrong with them or with the rules.
bool tests_pass(const config::Snapshot& config, const Files& files, ReloadReport& report) {
  const std::vector<std::string> paths = tests_of(config, files);
  if (paths.empty()) return true;
  rules::TestOptions options;
  options.upstream = [&config](const rules::Sample& sample, const rules::Decision& decision) {
    return upstream_body(config, sample, decision);
  };
  const rules::TestReport tests = rules::run_tests(paths, config, files, options);
  report.tests = static_cast<std::int64_t>(tests.cases.size());
  report.failed_tests = static_cast<std::int64_t>(tests.failed());
  const bool broken = std::any_of(tests.problems.begin(), tests.problems.end(), is_error);
  if (broken) {
    report.why.emplace_back("the tests of the rules do not load:");
    tell_errors(tests.problems, report.why);
  }
  if (tests.failed() > 0) {
    report.why.push_back(std::to_string(tests.failed()) + " of " + std::to_string(tests.cases.size()) +
                         " tests of the rules failed:");
  }
  for (const rules::CaseResult& result : tests.cases) {
    if (result.passed) continue;
    report.why.push_back(result.file + ":" + std::to_string(result.line) + ": " + result.name + ": expected " + result.expected +
                         ", came " + result.actual);
  }
  return !broken && tests.failed() == 0;
}

/// Decides recent requests once more, by the rules in force and by the new ones; false when too many change.
bool impact_is_small(const config::Snapshot& config, rules::Engine& live, rules::Engine& next, ReloadReport& report) {
  if (config.reload.decisions == 0 || config.ledger.path.empty()) return true;
  rules::Impact impact(live, next);
  const auto began = std::chrono::steady_clock::now();
  const Result<void> read =
      ledger::last_decisions(config.ledger.path, config.reload.decisions, [&impact, began](const ledger::Record& row) {
        impact.judge(recorded(row), row.id);
        return std::chrono::steady_clock::now() - began < limits::kImpactTime;
      });
  report.judged = impact.judged();
  report.not_judged = impact.not_judged();
  report.changed = impact.changed();
  report.moves = impact.moves();
  if (report.moves.size() > limits::kImpactMoves) report.moves.resize(limits::kImpactMoves);
  if (!read.ok() || report.judged < limits::kImpactLeast) return true;  // no past to speak of
  if (impact.changed_percent() <= config.reload.max_change_percent) return true;
  report.why.push_back(std::to_string(report.changed) + " of the last " + std::to_string(report.judged) +
                       " decisions would change, more than reload.max_change_percent (" +
                       std::to_string(config.reload.max_change_percent) + ") allows:");
  for (const rules::Impact::Move& move : report.moves) {
    report.why.push_back(std::to_string(move.requests) + " times " + move.from + " -> " + move.to + " by rule '" + move.rule +
                         "', for example " + move.example);
  }
  return false;
}

Result<void> check_certificate(const config::Listen& listen) {
  if (listen.tls_cert.empty()) return {};
  auto context = TlsContext::server(listen.tls_cert, listen.tls_key);
  if (!context) return std::move(context).error();
  return {};
}

}  // namespace

Result<Candidate> build(std::shared_ptr<const config::Snapshot> config, const Files& files, std::size_t workers,
                        std::vector<std::string>& why) {
  CCR_CHECK(check_certificate(config->listen));
  Candidate out;
  CCR_TRY(witness, load_rules(*config, files, why));
  out.witness = std::move(witness);
  for (std::size_t i = 0; i < workers; ++i) {
    auto policy = std::make_shared<Policy>();
    policy->config = config;
    CCR_TRY(rules, load_rules(*config, files, why));
    policy->rules = std::move(rules);
    std::vector<std::string> trouble;
    policy->shadow = load_shadow(*config, files, trouble);
    if (i == 0 && !trouble.empty()) {
      why.emplace_back("the candidate rules of `shadow` do not load and are left out:");
      why.insert(why.end(), trouble.begin(), trouble.end());
    }
    out.policies.push_back(std::move(policy));
  }
  out.config = std::move(config);
  return out;
}

ReloadReport prepare(const ReloadOrder& order, Candidate& out) {
  ReloadReport report;
  report.at_us = order.now_us;
  config::Options options = order.config;
  // An editor may have moved one away for a moment. What else would be found then, or nothing at all, may ask for no key.
  for (const std::string& path : {order.file, order.dotenv}) {
    if (path.empty() || order.files->exists(path)) continue;
    report.why.push_back(path + " is no longer there; put it back, or restart without it");
    return report;
  }
  if (!order.file.empty()) options.config_path = order.file;
  config::Loaded loaded = config::load(*order.files, order.environment, options);
  if (!loaded.snapshot) {
    report.why.emplace_back("the configuration has errors:");
    tell_errors(loaded.diagnostics, report.why);
    return report;
  }
  const std::shared_ptr<const config::Snapshot> config = std::move(loaded.snapshot);
  Result<Candidate> built = build(config, *order.files, order.workers, report.why);
  if (!built.ok()) {
    report.why.insert(report.why.begin(), built.error().message + ":");
    return report;
  }
  report.ruleset = built->witness->hash();
  const bool passed = !config->reload.tests || tests_pass(*config, *order.files, report);
  const bool small = order.live == nullptr || impact_is_small(*config, *order.live, *built->witness, report);
  if ((!passed || !small) && order.accept != report.ruleset) {
    report.outcome = ReloadReport::Outcome::kHeld;
    report.why.push_back("if that is meant: ccrules reload --accept " + report.ruleset);
    return report;
  }
  report.outcome = ReloadReport::Outcome::kLive;
  out = *std::move(built);
  return report;
}

}  // namespace ccrules::proxy
