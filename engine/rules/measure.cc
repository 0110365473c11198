#include "rules/measure.h"

#include <algorithm>
#include <memory>

#include "core/limits.h"
#include "rules/given.h"
#include "rules/ruleset.h"
#include "rules/test_file.h"
#include "rules/test_run.h"
#include "rules/watchdog.h"

namespace ccrules::rules {
namespace {

// CPU time: what else the machine does shall not count.
double ns_since(std::chrono::nanoseconds begin) { return static_cast<double>((thread_cpu_time() - begin).count()); }

/// Requests of all first steps that are about requests.
std::vector<std::unique_ptr<Sample>> samples_of(const std::vector<TestCase>& tests) {
  std::vector<std::unique_ptr<Sample>> samples;
  for (const TestCase& test : tests) {
    if (test.steps.empty() || test.steps.front().on != api::On::kRequest) continue;
    auto sample = std::make_unique<Sample>();
    Problems checked_before;
    if (!test.steps.front().sample.empty()) (void)sample->read(test.steps.front().sample);  // was read once already
    apply_given(*test.base, *sample, checked_before);
    apply_given(test.steps.front().given, *sample, checked_before);
    sample->facts.attempt = 0;
    samples.push_back(std::move(sample));
  }
  return samples;
}

/// Mean time of one call of `work`, which gets every sample in turn, for about `time`.
template <class Work>
double mean_ns(const std::vector<std::unique_ptr<Sample>>& samples, std::chrono::nanoseconds time, Work&& work) {
  constexpr int kBatch = 50;  // reading the clock takes longer than a condition
  const std::chrono::nanoseconds begin = thread_cpu_time();
  std::size_t calls = 0;
  do {
    for (int round = 0; round < kBatch; ++round) {
      for (const auto& sample : samples) work(*sample);
    }
    calls += kBatch * samples.size();
  } while (thread_cpu_time() - begin < time);
  return ns_since(begin) / static_cast<double>(calls);
}

double condition_ns(const Rule& rule, const std::vector<std::unique_ptr<Sample>>& samples, std::chrono::nanoseconds time) {
  return mean_ns(samples, time, [&rule](const Sample& sample) {
    Reader reader(sample.facts);
    if (!rule.when.uses_lua) {
      (void)matches(rule.when, reader);
      return;
    }
    const CpuBudget budget(limits::kRuleTime);
    Evaluation evaluation{reader, rule.script, false, {}, {}, {}, nullptr};
    (void)evaluate(rule.when, evaluation);
  });
}

}  // namespace

std::optional<Measurement> measure(const std::vector<std::string>& paths, const config::Snapshot& snapshot, const Files& files,
                                   std::chrono::milliseconds time, std::vector<config::Diagnostic>& diagnostics) {
  const std::chrono::nanoseconds begin = thread_cpu_time();
  const std::unique_ptr<Engine> engine = Engine::load(snapshot, files, diagnostics);
  Measurement measured;
  measured.load_ns = ns_since(begin);
  std::vector<TestCase> tests;
  for (const auto& source : find_test_files(paths, files, diagnostics)) (void)read_tests(source, files, tests, diagnostics);
  const bool broken = std::any_of(diagnostics.begin(), diagnostics.end(), [](const auto& one) { return !one.warning; });
  if (engine == nullptr || broken) return std::nullopt;
  const auto samples = samples_of(tests);
  measured.samples = samples.size();
  if (samples.empty()) return measured;

  const std::vector<Rule>& rules = engine->rules().on_request;
  const std::chrono::nanoseconds half = std::chrono::nanoseconds(time) / 2;
  measured.decision_ns = mean_ns(samples, half, [&engine](const Sample& sample) { (void)engine->decide(sample.facts); });
  measured.traced_ns = mean_ns(samples, half / 4, [&engine](const Sample& sample) {
    Trace trace;
    (void)engine->decide(sample.facts, &trace);
  });
  const std::chrono::nanoseconds share = half / static_cast<std::int64_t>(std::max<std::size_t>(rules.size(), 1));
  for (const Rule& rule : rules) {
    measured.rules.push_back({rule.name, rule.where, rule.when.uses_lua, condition_ns(rule, samples, share)});
  }
  return measured;
}

}  // namespace ccrules::rules
