#pragma once
#include <vector>

#include "rules/ruleset.h"

namespace ccrules::rules {

/// Functions of the user's own Lua files that keep something from one decision to the next: variables outside them that they
/// change (a warning: the same facts would no longer give the same decision) and globals that they set (an error: it fails
/// when it runs). Read from the bytecode, nothing is run.
std::vector<config::Diagnostic> review_state(const RuleSet& set);

}  // namespace ccrules::rules
