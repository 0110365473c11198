#pragma once
#include <vector>

#include "rules/ruleset.h"

namespace ccrules::rules {

/// Rules that load and cannot work as written: without effect, never reached, to an unknown model; aliases nobody uses.
std::vector<config::Diagnostic> review_rules(const RuleSet& set);

}  // namespace ccrules::rules
