#pragma once

struct lua_State;

namespace ccrules::rules {

/// Fills a fresh state with what rules may use and nothing else (rules.md, chapter 7). May raise a memory error.
void install_sandbox(lua_State* state);

/// Makes `name` a built-in global: the value on top of the stack, which is popped.
void set_builtin(lua_State* state, const char* name);

/// Replaces the table on top of the stack by a read-only view of it: reading, pairs and ipairs work, writing is an error.
void make_read_only(lua_State* state);
/// The table behind a read-only view at `index`, or the table itself; pushes it.
void push_behind(lua_State* state, int index);

/// lua_call from a library function, with bounded nesting.
void call_lua(lua_State* state, int arguments, int results);

/// Key of the member that makes a table one of the prelude's words (any, none, remove ...); its value is the word.
void* marker_key() noexcept;

/// find, match, gmatch and gsub on the top-most table: Lua patterns with a step budget.
void install_patterns(lua_State* state);

}  // namespace ccrules::rules
