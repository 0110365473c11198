#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/snapshot.h"
#include "rules/engine.h"
#include "rules/expect.h"
#include "rules/sample.h"
#include "rules/test_file.h"

namespace ccrules::rules {

/// A file that a test run wants to write (`--update`).
struct FileUpdate {
  std::string path;
  std::string bytes;
};

/// What came of one test.
struct CaseResult {
  std::string file;
  std::string name;
  int line = 0;
  const char* kind = "case";
  bool passed = false;
  std::string expected;  ///< one line; empty when passed
  std::string actual;
  std::string hint;  ///< what to do, when there is something special
  std::string note;  ///< of a sweep: the shares; of a flow that failed: its step
  std::size_t decisions = 1;
  std::int64_t time_ns = 0;
  Decision decision;  ///< of the step that failed, else of the first request
  Trace trace;
};

/// Looks at every decision of a test run.
class DecisionWatcher {
 public:
  virtual ~DecisionWatcher() = default;
  virtual void decided(const Trace& trace) = 0;
};

struct RunOptions {
  /// The body that would go to the decision's target, in its provider's dialect. Empty: tests with `upstream`
  /// fail.
  std::function<Result<std::string>(const Sample&, const Decision&)> upstream;
  const Files* files = nullptr;  ///< where golden bodies are read
  bool update = false;           ///< golden bodies that differ are to be written, not failures
  DecisionWatcher* watcher = nullptr;
  bool brief = false;  ///< only whether it passes: no traces are kept, a failed step ends the test
};

/// Runs checked tests against an engine, one at a time, in any order. Not thread-safe.
class TestRunner {
 public:
  TestRunner(Engine& engine, const config::Snapshot& snapshot, RunOptions options)
      : engine_(engine), snapshot_(snapshot), options_(std::move(options)) {}

  CaseResult run(const TestCase& test);
  /// What `--update` is to write, in the order it was found.
  std::vector<FileUpdate> updates;

 private:
  struct Journey;
  std::vector<Difference> step(const TestCase& test, const TestStep& step, Sample& sample, CaseResult& result,
                               Journey* journey);
  AttemptDecision decide_attempt(api::On on, Sample& sample, Trace& trace);
  AttemptDecision next_attempt(const TestStep& wanted, Sample& sample, Trace& trace, Journey& journey);
  void fill(const TestCase& test, const TestStep& step, Sample& sample);
  void compare_upstream(const TestStep& step, const Sample& sample, const Decision& decision,
                        std::vector<Difference>& found, CaseResult& result);
  void run_case(const TestCase& test, CaseResult& result);
  void run_flow(const TestCase& test, CaseResult& result);
  void run_sweep(const TestCase& test, CaseResult& result);

  Engine& engine_;
  const config::Snapshot& snapshot_;
  RunOptions options_;
};

/// Where two JSON texts first differ, as a path with both values; empty when they mean the same.
struct JsonDifference {
  std::string path;
  std::string expected, actual;
};
JsonDifference first_difference(std::string_view expected, std::string_view actual);

}  // namespace ccrules::rules
