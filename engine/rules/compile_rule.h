#pragma once
#include <string>

#include "rules/problem.h"
#include "rules/ruleset.h"

namespace ccrules::rules {

/// Compiles rules as they were declared. Marks the aliases that they name as used.
class RuleCompiler {
 public:
  /// @param set its targets and aliases
  explicit RuleCompiler(RuleSet& set) : set_(set) {}
  /// Fills in what the declaration says; the rule's name, layer and context are there already.
  /// @return true when the rule is switched off where it is written
  bool compile(Rule& rule, const Declaration& declaration, Problems& problems);

 private:
  void read_effect(Rule& rule, const Tree::Member& member, Problems& problems);
  void note_aliases(const Tree& value);
  void refine(Rule& rule);
  void drop_disabled(TargetEffect& effect);

  RuleSet& set_;
};

/// Only for requests of one working directory, its folders included.
void confine(Rule& rule, const std::string& directory);

}  // namespace ccrules::rules
