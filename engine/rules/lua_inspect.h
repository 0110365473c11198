#pragma once
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "rules/tree.h"

/// Reads compiled Lua without running it.
namespace ccrules::rules {

/// A function of a rule file that keeps something from one decision to the next.
struct StateWrite {
  int line = 0;
  std::string name;     ///< of the variable
  bool global = false;  ///< an error when it runs: globals are frozen
  bool table = false;   ///< a member of a table from outside the function
};

struct LuaFacts {
  std::set<int> lines;  ///< with code that can run
  std::vector<StateWrite> writes;
};

/// What LuaJIT's bytecode of `source` says; nothing of it runs. Empty when it does not compile.
LuaFacts inspect_lua(std::string_view source);

/// Error message of LuaJIT's parser ("4: unexpected symbol near 'x'"), empty when the source is Lua.
std::string lua_syntax_error(std::string_view source);

/// True when both sources compile to the same code, lines apart.
bool same_lua(std::string_view a, std::string_view b);

}  // namespace ccrules::rules
