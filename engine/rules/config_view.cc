#include "rules/config_view.h"

#include <map>
#include <string>

#include "rules/lua_stack.h"
#include "rules/sandbox.h"

namespace ccrules::rules {
namespace {

// A value the engine knows: a word of the prelude with a name.
void push_named(lua_State* state, const char* word, const std::string& name) {
  lua_newtable(state);
  lua_pushlightuserdata(state, marker_key());
  lua_pushstring(state, word);
  lua_rawset(state, -3);
  lua_newtable(state);
  push(state, name);
  lua_setfield(state, -2, "name");
  lua_setfield(state, -2, "body");
}

void push_route(lua_State* state, const std::string& name, const config::Route& route) {
  push_named(state, "route", name);
  push(state, route.provider);
  lua_setfield(state, -2, "provider");
  push(state, route.model);
  lua_setfield(state, -2, "model");
  make_read_only(state);
}

void push_target(lua_State* state, const std::string& target) {
  push_named(state, "configured", target);
  make_read_only(state);
}

void push_targets(lua_State* state, const std::map<std::string, std::string>& targets) {
  lua_newtable(state);
  for (const auto& [name, target] : targets) {
    push_target(state, target);
    lua_setfield(state, -2, name.c_str());
  }
  make_read_only(state);
}

}  // namespace

void define_config(lua_State* state, const config::Snapshot& snapshot) {
  lua_newtable(state);
  lua_newtable(state);
  for (const auto& [name, route] : snapshot.routes) {
    push_route(state, name, route);
    lua_setfield(state, -2, name.c_str());
  }
  make_read_only(state);
  lua_setfield(state, -2, "routes");

  lua_newtable(state);
  lua_pushnumber(state, static_cast<lua_Number>(snapshot.long_context_tokens));
  lua_setfield(state, -2, "longContext");
  make_read_only(state);
  lua_setfield(state, -2, "thresholds");

  push_targets(state, snapshot.agents);
  lua_setfield(state, -2, "agents");
  push_targets(state, snapshot.tiers);
  lua_setfield(state, -2, "tiers");

  // { { "claude-opus-*", { "anthropic,claude-sonnet-5-5" } }, ... }: the order counts
  lua_newtable(state);
  int row = 0;
  for (const auto& [glob, targets] : snapshot.fallbacks) {
    lua_newtable(state);
    push(state, glob);
    lua_rawseti(state, -2, 1);
    lua_newtable(state);
    int item = 0;
    for (const std::string& target : targets) {
      push_target(state, target);
      lua_rawseti(state, -2, ++item);
    }
    make_read_only(state);
    lua_rawseti(state, -2, 2);
    make_read_only(state);
    lua_rawseti(state, -2, ++row);
  }
  make_read_only(state);
  lua_setfield(state, -2, "fallbacks");
  make_read_only(state);
  set_builtin(state, "config");
}

}  // namespace ccrules::rules
