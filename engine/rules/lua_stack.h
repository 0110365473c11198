#pragma once
#include <string_view>

#include <lua.hpp>

#include "rules/reader.h"

/// What the engine's C++ functions put on a Lua stack and read from it. Each may raise a Lua error: only within Vm::protect() or a
/// function that Lua calls, with nothing to destroy in the frame.
namespace ccrules::rules {

inline void push(lua_State* state, std::string_view text) { lua_pushlstring(state, text.data(), text.size()); }

/// The string there (numbers become one); valid as long as the value is.
inline std::string_view text_at(lua_State* state, int index) {
  std::size_t size = 0;
  const char* text = lua_tolstring(state, index, &size);
  return {text, size};
}

void push_value(lua_State* state, const Value& value);

/// A function that finds `self` as its upvalue 1.
inline void push_function(lua_State* state, void* self, lua_CFunction function) {
  lua_pushlightuserdata(state, self);
  lua_pushcclosure(state, function, 1);
}

}  // namespace ccrules::rules
