#pragma once
#include <cstddef>

#include <lua.hpp>

#include "rules/lua_source.h"
#include "rules/problem.h"
#include "rules/tree.h"

namespace ccrules::rules {

/// Reads a Lua value, with its places when it was written as a literal. May raise a Lua error, see lua_stack.h.
class TreeReader {
 public:
  /// `functions`: keep them as references; else they are a problem.
  TreeReader(lua_State* state, Problems& problems, bool functions) : state_(state), problems_(problems), functions_(functions) {}

  Tree read(int index, const Literal* literal, Spot at, std::size_t depth = 0);

 private:
  void table(Tree& tree, int index, const Literal* literal, std::size_t depth);
  void read_items(Tree& tree, int table, const Literal* literal, std::size_t depth);
  void read_members(Tree& tree, int table, const Literal* literal, std::size_t depth);

  lua_State* state_;
  Problems& problems_;
  bool functions_;
  std::size_t nodes_ = 0;
  bool too_large_ = false;
};

}  // namespace ccrules::rules
