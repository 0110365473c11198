#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/snapshot.h"
#include "core/world.h"
#include "rules/script.h"
#include "rules/test_run.h"

/// Mutation testing: small mistakes are put into the rules one at a time; a test must notice each.
namespace ccrules::rules {

/// One mistake.
struct Mutant {
  std::string file;
  Spot at;
  std::string rule;
  std::string change;  ///< "tokens: gt 60000 became gte 60000"
};

struct MutationReport {
  struct Survivor {
    Mutant mutant;
    std::vector<std::string> tests;  ///< those in which the rule decides something: one of them should have noticed
  };
  std::size_t total = 0;  ///< those that load
  std::vector<Survivor> survivors;  ///< by place
  [[nodiscard]] double percent() const {
    return total == 0 ? 100.0 : 100.0 * static_cast<double>(total - survivors.size()) / static_cast<double>(total);
  }
};

struct MutationOptions {
  RunOptions running;  ///< how tests run
  std::string pack;    ///< whose rules get mistakes; empty: the user's own files
  /// Told before each mutant how many there are and which comes; may be empty.
  std::function<void(std::size_t done, std::size_t total)> progress;
};

/// `tests` must pass on the rules as they are. Every mutant loads the rules anew, changed at one place.
MutationReport mutate(const config::Snapshot& snapshot, const Files& files, const std::vector<TestCase>& tests,
                      const MutationOptions& options);

/// The mistakes one rule can have, each with the changed body.
std::vector<std::pair<Mutant, Tree>> mutants_of(const Declaration& rule);

}  // namespace ccrules::rules
