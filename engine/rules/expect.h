#pragma once
#include <map>
#include <string>
#include <vector>

#include "rules/engine.h"
#include "rules/script.h"
#include "rules/tree.h"

namespace ccrules::rules {

/// What a test expects against what was decided: one entry for each difference.
struct Difference {
  std::string expected;
  std::string actual;
};

/// What an `expect` may not hold, each at its own place. `on_error`: of a failed attempt; `sweep`: shares may
/// be wanted.
void check_expect(const Tree& expect, api::On on, bool sweep, Problems& problems);

/// Compares a decision with an `expect` that check_expect() found good.
std::vector<Difference> differences(const Tree& expect, const Decision& decision, const Trace& trace,
                                    const Engine& engine);
std::vector<Difference> differences(const Tree& expect, const AttemptDecision& decision, const Engine& engine);

/// How often each target and each rule came in a sweep.
struct Shares {
  std::size_t total = 0;
  std::map<std::string, std::size_t> targets;  ///< "provider,model", "denied", "none"
  std::map<std::string, std::size_t> rules;
};
/// Compares `share` and `rules` of a sweep's `expect`: percent, exact or { from, to }.
std::vector<Difference> differences(const Tree& expect, const Shares& shares, const Engine& engine);

/// A percentage with at most two decimals: "9.97 %".
std::string percent_text(double percent);

}  // namespace ccrules::rules
