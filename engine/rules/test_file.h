#pragma once
#include <memory>
#include <string>
#include <vector>

#include "config/load.h"
#include "core/world.h"
#include "rules/api.h"
#include "rules/tree.h"

/// Test files as data: everything in them is read and checked before anything runs.
namespace ccrules::rules {

/// One decision of a test: the facts it is about and what must come of it.
struct TestStep {
  api::On on = api::On::kRequest;
  Spot at;
  Tree given;  ///< facts over the base; a table, maybe empty
  Tree expect;
  std::string sample;   ///< bytes of the file that `request` names; empty: the facts alone
  std::string request;  ///< its path
  std::string golden;   ///< path of the file `expect.upstream` names; empty: none
  Spot golden_at;
};

/// `over = { "session", 20000, "s-%d" }`: a fact and the values it takes.
struct SweepRange {
  std::string fact;
  Spot fact_at;
  std::vector<Tree> values;
};

struct TestCase {
  enum class Kind : std::uint8_t { kCase, kSweep, kFlow };
  Kind kind = Kind::kCase;
  std::shared_ptr<const SourceFile> file;
  std::string name;
  Spot at;
  std::shared_ptr<const Tree> base;  ///< facts in force where the test stands
  std::vector<TestStep> steps;       ///< one, or for a flow any number
  SweepRange over;                   ///< sweeps only
};

/// "case", "sweep", "flow".
const char* kind_name(TestCase::Kind kind) noexcept;

/// Appends the tests of `file` (by its name a .lua or a .jsonl file) in the order they are written. Reads the
/// samples they name. False when something is wrong; all of it is then in `diagnostics`, each at its own
/// place, and no test was appended.
bool read_tests(const std::shared_ptr<const SourceFile>& file, const Files& files,
                std::vector<TestCase>& tests, std::vector<config::Diagnostic>& diagnostics);

/// Test files among `paths`; folders are searched for *_test.lua, *.test.lua and *.jsonl, hidden ones,
/// node_modules, build, and folders with a ccrules.json or pack.json of their own left out. Unreadable files and paths that do not
/// exist are diagnostics.
std::vector<std::shared_ptr<const SourceFile>> find_test_files(const std::vector<std::string>& paths,
                                                               const Files& files,
                                                               std::vector<config::Diagnostic>& diagnostics);

}  // namespace ccrules::rules
