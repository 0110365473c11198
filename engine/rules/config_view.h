#pragma once
#include <lua.hpp>

#include "config/snapshot.h"

namespace ccrules::rules {

/// Defines the read-only global `config`: routes, thresholds, agents, tiers and fallbacks, what the built-in pack makes rules from. No
/// keys, no addresses. Within Vm::protect(), before the state is frozen.
void define_config(lua_State* state, const config::Snapshot& snapshot);

}  // namespace ccrules::rules
