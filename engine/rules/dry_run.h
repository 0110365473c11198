#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "rules/engine.h"

/// `ccrules test`, `explain` and `check` without the terminal: everything but printing.
namespace ccrules::rules {

struct CaseResult {
  std::string file;
  std::string name;
  int line = 0;
  bool passed = false;
  std::string expected;  ///< one line; empty when passed
  std::string actual;
  Decision decision;
  Trace trace;
};

struct TestReport {
  std::vector<CaseResult> cases;
  std::vector<config::Diagnostic> problems;  ///< a file that cannot be loaded: exit code 2
  std::int64_t time_us = 0;
  [[nodiscard]] std::size_t failed() const;
};

/// Runs test files: *.lua (base, case), *.jsonl (one case a line). Directories are searched for *_test.lua, *.test.lua and *.jsonl.
TestReport run_tests(const std::vector<std::string>& paths, const config::Snapshot& snapshot, const Files& files);

/// Decides one sample request: Anthropic or OpenAI JSON, or a saved .http file (head and body).
struct Explanation {
  Decision decision;
  Trace trace;
  std::string dialect;
  std::int64_t tokens = 0;
};
Result<Explanation> explain(std::string_view sample, const config::Snapshot& snapshot, const Files& files,
                            std::vector<config::Diagnostic>& diagnostics);

/// Loads configuration and rules and looks for rules that cannot work: unknown models, unreachable rules, unused aliases.
std::vector<config::Diagnostic> check(const config::Snapshot& snapshot, const Files& files);

}  // namespace ccrules::rules
