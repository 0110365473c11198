#pragma once
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "config/load.h"
#include "config/snapshot.h"
#include "core/world.h"

namespace ccrules::rules {

/// How fast rules decide. Times are means, in nanoseconds.
struct Measurement {
  struct RuleTime {
    std::string name;
    std::string where;
    bool lua = false;
    double ns = 0;  ///< of its condition
  };
  std::size_t samples = 0;
  double decision_ns = 0;
  double traced_ns = 0;
  double load_ns = 0;
  std::vector<RuleTime> rules;  ///< in order of precedence
  [[nodiscard]] double decisions_per_second() const { return decision_ns > 0 ? 1e9 / decision_ns : 0; }
};

/// Decides the requests of the test files in `paths` for about `time`. Nothing when rules or tests cannot be loaded; why stands in
/// `diagnostics`.
std::optional<Measurement> measure(const std::vector<std::string>& paths, const config::Snapshot& snapshot, const Files& files,
                                   std::chrono::milliseconds time, std::vector<config::Diagnostic>& diagnostics);

}  // namespace ccrules::rules
