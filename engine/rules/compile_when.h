#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "rules/api.h"
#include "rules/conditions.h"
#include "rules/problem.h"
#include "rules/source.h"
#include "rules/targets.h"
#include "rules/tree.h"
#include "rules/zone.h"

namespace ccrules::rules {

/// What a rule may use where it stands.
struct RuleContext {
  api::On on = api::On::kRequest;
  Grants grants;
  const Targets* targets = nullptr;
  Zones* zones = nullptr;  ///< for loading; null: only UTC and offsets
};

/// Compiles `when`. Problems are at the places where things were written.
Condition compile_when(const Tree& when, const RuleContext& context, Problems& problems);
/// The condition that one fact is among names (globs allowed): of `pick`.
Condition compile_names(const api::FactRow& fact, const std::vector<std::string>& names);
/// Finds a fact usable in such rules, or says what is wrong.
const api::FactRow* usable_fact(std::string_view name, Spot at, const RuleContext& context, Problems& problems);

}  // namespace ccrules::rules
