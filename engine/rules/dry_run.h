#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "rules/coverage.h"
#include "rules/engine.h"
#include "rules/mutate.h"
#include "rules/test_run.h"

/// `ccrules test`, `explain` and `check` without the terminal: everything but printing.
namespace ccrules::rules {

struct TestReport {
  std::vector<CaseResult> cases;  ///< in the order of the files
  std::vector<config::Diagnostic>
      problems;                     ///< a file that cannot be loaded: exit code 2, and nothing was run
  std::vector<FileUpdate> updates;  ///< what `update` is to write
  std::optional<CoverageReport> coverage;
  std::optional<MutationReport> mutation;
  std::int64_t time_us = 0;
  [[nodiscard]] std::size_t failed() const;
};

struct TestOptions {
  /// See RunOptions.
  std::function<Result<std::string>(const Sample&, const Decision&)> upstream;
  bool update = false;
  std::optional<std::uint64_t> shuffle;  ///< seed of another order of running
  std::string pack;                      ///< whose rules the two below are about; empty: the user's own files
  bool coverage = false;
  bool mutate = false;                   ///< only when all tests pass
  /// See MutationOptions.
  std::function<void(std::size_t done, std::size_t total)> progress;
};

/// Runs test files: *.lua (base, case, sweep, flow), *.jsonl (one test a line). Directories are searched for
/// *_test.lua,
/// *.test.lua and *.jsonl. Nothing runs when anything cannot be loaded.
TestReport run_tests(const std::vector<std::string>& paths, const config::Snapshot& snapshot,
                     const Files& files, const TestOptions& options = {});

/// Decides one sample request: Anthropic or OpenAI JSON, or a saved .http file (head and body).
struct Explanation {
  Decision decision;
  Trace trace;
  std::string dialect;
  std::int64_t tokens = 0;
};
Result<Explanation> explain(std::string_view sample, const config::Snapshot& snapshot, const Files& files,
                            std::vector<config::Diagnostic>& diagnostics);

/// Loads configuration and rules and looks for rules that cannot work: unknown models, unreachable rules,
/// unused aliases.
std::vector<config::Diagnostic> check(const config::Snapshot& snapshot, const Files& files);

}  // namespace ccrules::rules
