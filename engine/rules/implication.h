#pragma once
#include "rules/conditions.h"

/// What can be said about conditions without a request. Cautious: what cannot be seen (functions, facts of different kinds) is
/// answered with false. Pure.
namespace ccrules::rules {

/// Every request that fulfils `a` fulfils `b` too.
bool implies(const Condition& a, const Condition& b);
/// No request fulfils both.
bool exclude(const Condition& a, const Condition& b);
/// No request fulfils it: tokens > 10 and tokens < 5. What the engine added itself (a provider that is switched off) is not looked at.
bool impossible(const Condition& condition);
/// Every request fulfils it.
bool always(const Condition& condition);

}  // namespace ccrules::rules
