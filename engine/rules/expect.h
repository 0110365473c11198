#pragma once
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

/// Checks `expect` of a case. Unknown members are problems at their own place.
std::vector<Difference> differences(const Tree& expect, const Decision& decision, const Trace& trace, const Engine& engine,
                                    Problems& problems);
std::vector<Difference> differences(const Tree& expect, const ErrorDecision& decision, const Engine& engine, Problems& problems);

}  // namespace ccrules::rules
