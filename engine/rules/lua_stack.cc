#include "rules/lua_stack.h"

namespace ccrules::rules {

void push_value(lua_State* state, const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNone: lua_pushnil(state); break;
    case Value::Kind::kFlag: lua_pushboolean(state, value.flag ? 1 : 0); break;
    case Value::Kind::kNumber: lua_pushnumber(state, value.number); break;
    case Value::Kind::kText: push(state, value.text); break;
    case Value::Kind::kList:
      lua_createtable(state, static_cast<int>(value.list->size()), 0);
      for (std::size_t i = 0; i < value.list->size(); ++i) {
        push(state, (*value.list)[i]);
        lua_rawseti(state, -2, static_cast<int>(i) + 1);
      }
      break;
  }
}

}  // namespace ccrules::rules
