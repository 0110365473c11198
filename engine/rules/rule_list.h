#pragma once
#include <string>
#include <vector>

#include "rules/ruleset.h"

namespace ccrules::rules {

/// One rule as lists and comparisons show it.
struct RuleLine {
  std::string pack;  ///< empty: the user's own files
  std::string name;
  std::string layer;
  std::string on;      ///< "request", "error", "response"
  std::string when;    ///< "tokens > 60000"; empty: always
  std::string effect;  ///< "to ollama,qwen3; tag.experiment"
  std::vector<std::string> slots;  ///< what it may claim: "to", "deny", "set.max_tokens", "headers.x-team", "set.*" by a function
  std::string where;   ///< "packs/cost/rules/cost.lua:12"
  std::string text;    ///< the rule as it is written, without the comment lines before the next one
  [[nodiscard]] bool always() const { return when.empty(); }
};

/// All rules in order of precedence, those on requests first.
std::vector<RuleLine> list_rules(const RuleSet& set);

/// A rule that differs between two versions of a pack.
struct RuleChange {
  enum class Kind : std::uint8_t { kAdded, kRemoved, kChanged, kMoved };
  Kind kind = Kind::kAdded;
  RuleLine before;  ///< empty when added
  RuleLine after;   ///< empty when removed
};
/// By name. A rule that only stands in another order is kMoved: the first claim wins, so that matters.
std::vector<RuleChange> compare_rules(const std::vector<RuleLine>& before, const std::vector<RuleLine>& after);

/// A rule below that another one keeps from a slot, always or when its condition holds.
struct Shadow {
  std::string by;
  std::string rule;  ///< "default#think"
  std::string slot;
  bool always = false;
};
/// What the rules of `pack` take from rules below them.
std::vector<Shadow> shadows_of(const std::string& pack, const std::vector<RuleLine>& rules);

}  // namespace ccrules::rules
