#include "rules/dry_run.h"

#include <algorithm>
#include <chrono>

#include "rules/review_state.h"
#include "rules/ruleset.h"
#include "rules/sample.h"
#include "rules/test_file.h"

namespace ccrules::rules {
namespace {

// Fisher-Yates with SplitMix64, so that a seed means the same order everywhere.
std::vector<std::size_t> order_of(std::size_t count, const std::optional<std::uint64_t>& seed) {
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = i;
  if (!seed) return order;
  std::uint64_t state = *seed;
  for (std::size_t i = count; i > 1; --i) {
    std::uint64_t x = (state += 0x9e3779b97f4a7c15ULL);
    x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
    std::swap(order[i - 1], order[(x ^ (x >> 31U)) % i]);
  }
  return order;
}

/// A request as it comes every day, and one that asks for all there is. Two, since a third stop would quarantine a rule, aloud.
void make_plain(Sample& sample, bool big) {
  sample.outline.model = big ? "claude-opus-5-5" : "claude-sonnet-5-5";
  sample.outline.messages = big ? 40 : 1;
  sample.outline.max_tokens = 8000;
  sample.outline.stream = big;
  sample.outline.last_role = "user";
  sample.outline.last_user_json = "\"Hello\"";
  sample.outline.first_user_json = "\"Hello\"";
  if (big) sample.outline.thinking.kind = chat::ThinkingKind::kAdaptive;
  sample.facts.tokens = big ? 150000 : 1200;
  sample.identity.session = "session-1";
  sample.identity.client = "claude-code";
  sample.identity.project = "/srv/project";
  sample.identity.user = "user";
  sample.refresh();
}

/// Rules whose functions fail on plain requests: what they return can only be seen by calling them.
std::vector<config::Diagnostic> try_out(Engine& engine) {
  std::vector<config::Diagnostic> found;
  std::vector<std::size_t> told;
  for (const bool big : {false, true}) {
    Sample sample;
    make_plain(sample, big);
    Trace trace;
    (void)engine.decide(sample.facts, &trace);  // for its trace
    for (const RuleTrace& row : trace.rules) {
      if (row.error.empty()) continue;
      for (const std::vector<Rule>* rules : rule_lists(engine.rules())) {
        for (const Rule& rule : *rules) {
          if (rule.name != row.rule || rule.where != row.where || std::find(told.begin(), told.end(), rule.number) != told.end()) continue;
          told.push_back(rule.number);
          found.push_back(rule.file->error(rule.at, "rule '" + rule.name + "' fails on a plain request: " + row.error,
                                           big ? "of 150000 tokens, with thinking" : "of 1200 tokens, nothing special about it"));
          found.back().warning = true;
        }
      }
    }
  }
  return found;
}

// The user's own files may hold none.
bool has_rules_of(const RuleSet& set, const std::string& pack) {
  const auto lists = rule_lists(set);
  return pack.empty() || std::any_of(lists.begin(), lists.end(), [&pack](const std::vector<Rule>* rules) {
           return std::any_of(rules->begin(), rules->end(), [&pack](const Rule& rule) { return rule.pack == pack; });
         });
}

}  // namespace

std::size_t TestReport::failed() const {
  return static_cast<std::size_t>(
      std::count_if(cases.begin(), cases.end(), [](const CaseResult& result) { return !result.passed; }));
}

TestReport run_tests(const std::vector<std::string>& paths, const config::Snapshot& snapshot,
                     const Files& files, const TestOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  TestReport report;
  Vm::Lines lines;
  LoadHooks hooks;
  OutcomeLog outcomes;
  MatchedRules matched;
  if (options.coverage) {
    hooks.pack = options.pack;
    hooks.lines = &lines;
    hooks.log = &outcomes;
  }
  const std::unique_ptr<Engine> engine = Engine::load(snapshot, files, report.problems, &hooks);
  const auto sources = find_test_files(paths, files, report.problems);
  std::vector<TestCase> tests;
  for (const auto& source : sources) (void)read_tests(source, files, tests, report.problems);
  if (engine != nullptr && !has_rules_of(engine->rules(), options.pack)) {
    config::Diagnostic none;
    none.where.file = snapshot.file;
    none.message = "no rules of a pack '" + options.pack + "' are loaded";
    report.problems.push_back(std::move(none));
  }
  const bool broken = std::any_of(report.problems.begin(), report.problems.end(),
                                  [](const config::Diagnostic& problem) { return !problem.warning; });
  if (engine == nullptr || broken) return report;

  RunOptions running;
  running.upstream = options.upstream;
  running.files = &files;
  running.update = options.update;
  if (options.coverage) running.watcher = &matched;
  TestRunner runner(*engine, snapshot, running);
  report.cases.resize(tests.size());
  for (const std::size_t i : order_of(tests.size(), options.shuffle)) report.cases[i] = runner.run(tests[i]);
  report.updates = std::move(runner.updates);
  if (options.coverage) report.coverage = coverage_of(engine->rules(), options.pack, matched, outcomes, lines);
  if (options.mutate && report.failed() == 0 && report.updates.empty()) {
    MutationOptions mutating;
    mutating.running = std::move(running);
    mutating.running.watcher = nullptr;
    mutating.pack = options.pack;
    mutating.progress = options.progress;
    report.mutation = mutate(snapshot, files, tests, mutating);
  }
  report.time_us =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

Result<Explanation> explain(std::string_view bytes, const config::Snapshot& snapshot, const Files& files,
                            std::vector<config::Diagnostic>& diagnostics) {
  const std::unique_ptr<Engine> engine = Engine::load(snapshot, files, diagnostics);
  if (engine == nullptr) return bad_request("the rules could not be loaded");
  Sample sample;
  CCR_CHECK(sample.read(bytes));
  Explanation explanation;
  sample.facts.wall_us = system_clock().wall_us();
  explanation.decision = engine->decide(sample.facts, &explanation.trace);
  explanation.dialect = sample.dialect;
  explanation.tokens = sample.facts.tokens;
  return explanation;
}

std::vector<config::Diagnostic> check(const config::Snapshot& snapshot, const Files& files) {
  std::vector<config::Diagnostic> diagnostics;
  const std::unique_ptr<Engine> engine = Engine::load(snapshot, files, diagnostics);
  if (engine == nullptr) return diagnostics;
  for (config::Diagnostic& warning : engine->review()) diagnostics.push_back(std::move(warning));
  for (config::Diagnostic& found : review_state(engine->rules())) diagnostics.push_back(std::move(found));
  if (std::any_of(diagnostics.begin(), diagnostics.end(), [](const config::Diagnostic& one) { return !one.warning; })) return diagnostics;
  for (config::Diagnostic& found : try_out(*engine)) diagnostics.push_back(std::move(found));  // of what is not known to fail
  return diagnostics;
}

}  // namespace ccrules::rules
