#include "rules/sandbox.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include <lua.hpp>

#include "core/limits.h"
#include "rules/vm.h"

namespace ccrules::rules {
namespace {

constexpr std::size_t kBytesPerStep = 64;
const char kMarkerKey = 0;
const char kReadOnlyKey = 0;
const char kBuiltinsKey = 0;

void* key(const char& address) { return const_cast<char*>(&address); }

int read_only_error(lua_State* state) { return luaL_error(state, "this table is read-only"); }

bool is_read_only(lua_State* state, int index) {
  if (lua_getmetatable(state, index) == 0) return false;
  lua_pushlightuserdata(state, key(kReadOnlyKey));
  lua_rawget(state, -2);
  const bool yes = lua_toboolean(state, -1) != 0;
  lua_pop(state, 2);
  return yes;
}

void check_writable(lua_State* state, int index) {
  luaL_checktype(state, index, LUA_TTABLE);
  if (is_read_only(state, index)) read_only_error(state);
}

// --- base

int base_pcall(lua_State* state) {
  luaL_checkany(state, 1);
  Vm& vm = Vm::of(state);
  if (vm.depth >= limits::kLuaCallDepth) return luaL_error(state, "calls nested too deep");
  const int depth = vm.depth;
  vm.depth = depth + 1;
  const int status = lua_pcall(state, lua_gettop(state) - 1, LUA_MULTRET, 0);
  vm.depth = depth;
  // Being stopped is not an error that a rule may catch.
  if (vm.stopping() || status == LUA_ERRMEM || status == LUA_ERRERR) return lua_error(state);
  lua_pushboolean(state, status == 0 ? 1 : 0);
  lua_insert(state, 1);
  return lua_gettop(state);
}

int base_tostring(lua_State* state) {
  luaL_checkany(state, 1);
  switch (lua_type(state, 1)) {
    case LUA_TSTRING:
    case LUA_TNUMBER:
      lua_tolstring(state, 1, nullptr);
      lua_settop(state, 1);
      return 1;
    case LUA_TBOOLEAN: lua_pushstring(state, lua_toboolean(state, 1) != 0 ? "true" : "false"); return 1;
    case LUA_TNIL: lua_pushliteral(state, "nil"); return 1;
    default: break;
  }
  if (luaL_getmetafield(state, 1, "__tostring") != 0) {
    lua_pushvalue(state, 1);
    call_lua(state, 1, 1);
    if (lua_type(state, -1) != LUA_TSTRING) return luaL_error(state, "__tostring must return a string");
    return 1;
  }
  // No address: the same facts must give the same text.
  lua_pushstring(state, luaL_typename(state, 1));
  return 1;
}

int base_setmetatable(lua_State* state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  const int type = lua_type(state, 2);
  luaL_argcheck(state, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table expected");
  if (luaL_getmetafield(state, 1, "__metatable") != 0) return luaL_error(state, "cannot change a protected metatable");
  if (type == LUA_TTABLE) {
    for (const char* refused : {"__gc", "__mode"}) {
      lua_pushstring(state, refused);
      lua_rawget(state, 2);
      if (!lua_isnil(state, -1)) return luaL_error(state, "%s is not available to rules", refused);
      lua_pop(state, 1);
    }
  }
  lua_settop(state, 2);
  lua_setmetatable(state, 1);
  return 1;
}

int base_unpack(lua_State* state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  push_behind(state, 1);
  const int table = lua_gettop(state);
  const lua_Number first = luaL_optnumber(state, 2, 1);
  const lua_Number last = luaL_optnumber(state, 3, static_cast<lua_Number>(lua_objlen(state, table)));
  if (!(first <= last)) return 0;
  if (!(last - first < limits::kLuaUnpack)) return luaL_error(state, "too many results to unpack");
  const int count = static_cast<int>(last - first) + 1;
  luaL_checkstack(state, count, "too many results to unpack");
  for (int i = 0; i < count; ++i) {
    lua_pushnumber(state, first + i);
    lua_rawget(state, table);
  }
  return count;
}

int next_item(lua_State* state) {
  const lua_Integer i = luaL_checkinteger(state, 2) + 1;
  lua_pushinteger(state, i);
  lua_pushinteger(state, i);
  lua_rawget(state, lua_upvalueindex(1));
  return lua_isnil(state, -1) ? 0 : 2;
}

// The same for a view of the host, such as req.messages: only the host makes userdata.
int next_of_view(lua_State* state) {
  const lua_Integer i = luaL_checkinteger(state, 2) + 1;
  lua_pushinteger(state, i);
  lua_pushinteger(state, i);
  lua_gettable(state, lua_upvalueindex(1));
  return lua_isnil(state, -1) ? 0 : 2;
}

int base_ipairs(lua_State* state) {
  if (lua_type(state, 1) == LUA_TUSERDATA) {
    lua_pushvalue(state, 1);
    lua_pushcclosure(state, next_of_view, 1);
    lua_pushvalue(state, 1);
    lua_pushinteger(state, 0);
    return 3;
  }
  luaL_checktype(state, 1, LUA_TTABLE);
  push_behind(state, 1);
  lua_pushcclosure(state, next_item, 1);
  lua_pushvalue(state, 1);
  lua_pushinteger(state, 0);
  return 3;
}

// Upvalues: the table, its sorted keys, how many were given out.
int next_pair(lua_State* state) {
  const auto keys = static_cast<lua_Integer>(lua_objlen(state, lua_upvalueindex(2)));
  for (lua_Integer i = lua_tointeger(state, lua_upvalueindex(3)) + 1; i <= keys; ++i) {
    lua_pushinteger(state, i);
    lua_replace(state, lua_upvalueindex(3));
    lua_rawgeti(state, lua_upvalueindex(2), static_cast<int>(i));
    lua_pushvalue(state, -1);
    lua_rawget(state, lua_upvalueindex(1));
    if (!lua_isnil(state, -1)) return 2;
    lua_pop(state, 2);  // removed since
  }
  return 0;
}

/// A key as pairs() orders it; the text belongs to Lua, which keeps it as long as the table.
struct OrderedKey {
  int type;
  lua_Number number;
  std::string_view text;
};

bool before(const OrderedKey& a, const OrderedKey& b) {
  if (a.type != b.type) return a.type < b.type;  // booleans, numbers, strings
  return a.type == LUA_TSTRING ? a.text < b.text : a.number < b.number;
}

int base_pairs(lua_State* state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  Vm& vm = Vm::of(state);
  push_behind(state, 1);
  const int table = lua_gettop(state);
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (lua_pushnil(state); lua_next(state, table) != 0; lua_pop(state, 1)) {
    const int type = lua_type(state, -2);
    if (type == LUA_TLIGHTUSERDATA) continue;  // the prelude's own
    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN) {
      return luaL_error(state, "pairs() needs keys that can be sorted: strings, numbers or booleans, not a %s",
                        lua_typename(state, type));
    }
    if (type == LUA_TSTRING) bytes += lua_objlen(state, -2);
    ++count;
  }
  if (count > limits::kLuaSort) return luaL_error(state, "pairs() over more than %d members", static_cast<int>(limits::kLuaSort));
  vm.work(count * 16 + bytes / kBytesPerStep);
  // Plain memory of the state: it is freed whatever happens next.
  auto* keys = static_cast<OrderedKey*>(lua_newuserdata(state, (count + 1) * sizeof(OrderedKey)));
  std::size_t n = 0;
  for (lua_pushnil(state); lua_next(state, table) != 0; lua_pop(state, 1)) {
    const int type = lua_type(state, -2);
    if (type == LUA_TLIGHTUSERDATA) continue;
    OrderedKey& entry = keys[n++];
    entry.type = type;
    entry.number = type == LUA_TBOOLEAN ? lua_toboolean(state, -2) : 0;
    entry.text = {};
    if (type == LUA_TNUMBER) entry.number = lua_tonumber(state, -2);
    if (type == LUA_TSTRING) {
      std::size_t size = 0;
      const char* text = lua_tolstring(state, -2, &size);
      entry.text = {text, size};
    }
  }
  std::sort(keys, keys + n, before);
  lua_pushvalue(state, table);
  lua_createtable(state, static_cast<int>(n), 0);
  for (std::size_t i = 0; i < n; ++i) {
    const OrderedKey& entry = keys[i];
    if (entry.type == LUA_TSTRING) {
      lua_pushlstring(state, entry.text.data(), entry.text.size());
    } else if (entry.type == LUA_TNUMBER) {
      lua_pushnumber(state, entry.number);
    } else {
      lua_pushboolean(state, entry.number != 0 ? 1 : 0);
    }
    lua_rawseti(state, -2, static_cast<int>(i) + 1);
  }
  lua_pushinteger(state, 0);
  lua_pushcclosure(state, next_pair, 3);
  return 1;
}

// A linear string function of the C library: pay for the bytes of its first argument, then call it (upvalue 1).
int charged(lua_State* state) {
  if (lua_type(state, 1) == LUA_TSTRING) Vm::of(state).work(lua_objlen(state, 1) / kBytesPerStep + 1);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_insert(state, 1);
  lua_call(state, lua_gettop(state) - 1, LUA_MULTRET);
  return lua_gettop(state);
}

// --- string

int string_rep(lua_State* state) {
  std::size_t size = 0;
  std::size_t between_size = 0;
  const char* text = luaL_checklstring(state, 1, &size);
  const lua_Number count = luaL_checknumber(state, 2);
  const char* between = luaL_optlstring(state, 3, "", &between_size);
  if (!(count >= 1) || size + between_size == 0) {
    lua_pushliteral(state, "");
    return 1;
  }
  if (!(count * static_cast<lua_Number>(size + between_size) <= static_cast<lua_Number>(limits::kLuaTextBytes))) {
    return luaL_error(state, "string.rep: the result is longer than 1 MiB");
  }
  const auto times = static_cast<std::size_t>(count);
  const std::size_t total = times * size + (times - 1) * between_size;
  Vm::of(state).work(total / kBytesPerStep + 1);
  // Doubles what is there: piece by piece, a megabyte of single bytes would take longer than the budget.
  auto* out = static_cast<char*>(lua_newuserdata(state, total + 1));
  std::memcpy(out, text, size);
  std::memcpy(out + size, between, std::min(between_size, total - size));
  for (std::size_t done = std::min(size + between_size, total); done < total;) {
    const std::size_t more = std::min(done, total - done);
    std::memcpy(out + done, out, more);
    done += more;
  }
  lua_pushlstring(state, out, total);
  return 1;
}

// string.format without addresses: upvalue 1 is the C library's.
int string_format(lua_State* state) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(state, 1, &size);
  const std::string_view format(text, size);
  std::size_t bytes = size;
  int argument = 1;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') continue;
    if (++i < format.size() && format[i] == '%') continue;
    while (i < format.size() && std::strchr("-+ #0123456789.", format[i]) != nullptr) ++i;
    if (i >= format.size()) break;  // the C library says what is wrong
    ++argument;
    if (format[i] == 'p') return luaL_error(state, "string.format: %%p is not available to rules");
    if ((format[i] == 's' || format[i] == 'q') && argument <= lua_gettop(state)) {
      if (lua_type(state, argument) != LUA_TSTRING && lua_type(state, argument) != LUA_TNUMBER) {
        lua_pushcfunction(state, base_tostring);
        lua_pushvalue(state, argument);
        lua_call(state, 1, 1);
        lua_replace(state, argument);
      }
      bytes += lua_objlen(state, argument);
    }
    if (bytes > limits::kLuaTextBytes) return luaL_error(state, "string.format: the result is longer than 1 MiB");
  }
  Vm::of(state).work(bytes / kBytesPerStep + 1);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_insert(state, 1);
  lua_call(state, lua_gettop(state) - 1, 1);
  return 1;
}

// --- table

int table_concat(lua_State* state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  std::size_t between_size = 0;
  const char* between = luaL_optlstring(state, 2, "", &between_size);
  const lua_Number first = luaL_optnumber(state, 3, 1);
  push_behind(state, 1);
  const int table = lua_gettop(state);
  const lua_Number last = luaL_optnumber(state, 4, static_cast<lua_Number>(lua_objlen(state, table)));
  Vm& vm = Vm::of(state);
  luaL_Buffer out;
  luaL_buffinit(state, &out);
  std::size_t bytes = 0;
  for (lua_Number i = first; i <= last; ++i) {
    vm.work(1);
    lua_pushnumber(state, i);
    lua_rawget(state, table);
    if (lua_isstring(state, -1) == 0) return luaL_error(state, "table.concat: item %d is not a string", static_cast<int>(i));
    bytes += lua_objlen(state, -1) + between_size;
    if (bytes > limits::kLuaTextBytes) return luaL_error(state, "table.concat: the result is longer than 1 MiB");
    luaL_addvalue(&out);
    if (i < last) luaL_addlstring(&out, between, between_size);
  }
  luaL_pushresult(&out);
  return 1;
}

int table_sort(lua_State* state) {
  check_writable(state, 1);
  const std::size_t count = lua_objlen(state, 1);
  if (count > limits::kLuaSort) {
    return luaL_error(state, "table.sort: more than %d items", static_cast<int>(limits::kLuaSort));
  }
  Vm& vm = Vm::of(state);
  if (vm.depth >= limits::kLuaCallDepth) return luaL_error(state, "calls nested too deep");
  std::size_t longest = 0;
  for (std::size_t i = 1; i <= count; ++i) {
    lua_rawgeti(state, 1, static_cast<int>(i));
    if (lua_type(state, -1) == LUA_TSTRING) longest = std::max(longest, lua_objlen(state, -1));
    lua_pop(state, 1);
  }
  // Comparing long strings cannot be interrupted, so it is paid for before: n log n comparisons.
  std::size_t rounds = 1;
  while ((count >> rounds) != 0) ++rounds;
  vm.work(count * rounds * (longest / kBytesPerStep + 1));
  const int depth = vm.depth;
  vm.depth = depth + 1;
  lua_settop(state, 2);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_insert(state, 1);
  lua_call(state, lua_isnoneornil(state, 3) ? 1 : 2, 0);
  vm.depth = depth;
  return 0;
}

// table.insert and table.remove of the C library (upvalue 1), paid for by the items they move.
int table_shift(lua_State* state) {
  check_writable(state, 1);
  Vm::of(state).work(lua_objlen(state, 1) / 8 + 1);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_insert(state, 1);
  lua_call(state, lua_gettop(state) - 1, LUA_MULTRET);
  return lua_gettop(state);
}

// --- globals

// __newindex of the environment: upvalue 1 holds the built-ins, 2 the rule files' own globals.
int set_global(lua_State* state) {
  if (Vm::of(state).frozen()) return luaL_error(state, "globals cannot be changed after the rules were loaded");
  lua_pushvalue(state, 2);
  lua_rawget(state, lua_upvalueindex(1));
  if (!lua_isnil(state, -1)) {
    return luaL_error(state, "'%s' is built in and cannot be replaced",
                      lua_type(state, 2) == LUA_TSTRING ? lua_tostring(state, 2) : luaL_typename(state, 2));
  }
  lua_settop(state, 3);
  lua_rawset(state, lua_upvalueindex(2));
  return 0;
}

void set_function(lua_State* state, const char* name, lua_CFunction function) {
  lua_pushcfunction(state, function);
  lua_setfield(state, -2, name);
}

// Wraps member `name` of the table on top in `wrapper`, which finds the old one as upvalue 1.
void wrap(lua_State* state, const char* name, lua_CFunction wrapper) {
  lua_getfield(state, -1, name);
  lua_pushcclosure(state, wrapper, 1);
  lua_setfield(state, -2, name);
}

void remove_members(lua_State* state, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    lua_pushnil(state);
    lua_setfield(state, -2, name);
  }
}

void open_library(lua_State* state, const char* name, lua_CFunction open) {
  lua_pushcfunction(state, open);
  lua_pushstring(state, name);
  lua_call(state, 1, 0);
}

void restrict_string(lua_State* state) {
  lua_getfield(state, LUA_GLOBALSINDEX, "string");
  remove_members(state, {"dump", "gfind"});
  install_patterns(state);
  set_function(state, "rep", string_rep);
  wrap(state, "format", string_format);
  for (const char* name : {"byte", "lower", "upper", "reverse", "sub"}) wrap(state, name, charged);
  lua_pop(state, 1);
  lua_pushliteral(state, "");
  lua_getmetatable(state, -1);
  lua_pushliteral(state, "locked");
  lua_setfield(state, -2, "__metatable");
  lua_pop(state, 2);
}

void restrict_table(lua_State* state) {
  lua_getfield(state, LUA_GLOBALSINDEX, "table");
  remove_members(state, {"foreach", "foreachi", "getn", "maxn", "move", "new", "clear"});
  set_function(state, "concat", table_concat);
  set_function(state, "unpack", base_unpack);
  wrap(state, "sort", table_sort);
  wrap(state, "insert", table_shift);
  wrap(state, "remove", table_shift);
  lua_pop(state, 1);
}

void restrict_math(lua_State* state) {
  lua_getfield(state, LUA_GLOBALSINDEX, "math");
  remove_members(state, {"random", "randomseed"});
  lua_pop(state, 1);
}

// Everything that stays; what is not named here is gone.
constexpr const char* kGlobals[] = {"assert", "error",  "getmetatable", "ipairs",   "pairs",    "pcall", "rawequal",
                                    "rawget", "select", "setmetatable", "tonumber", "tostring", "type",  "unpack",
                                    "string", "table",  "math",         "bit"};

void build_environment(lua_State* state) {
  lua_newtable(state);
  const int builtins = lua_gettop(state);
  for (const char* name : kGlobals) {
    lua_getfield(state, LUA_GLOBALSINDEX, name);
    if (lua_istable(state, -1)) make_read_only(state);
    lua_setfield(state, builtins, name);
  }
  lua_pushlightuserdata(state, key(kBuiltinsKey));
  lua_pushvalue(state, builtins);
  lua_rawset(state, LUA_REGISTRYINDEX);

  lua_newtable(state);  // the rule files' own globals, behind them the built-ins
  const int own = lua_gettop(state);
  lua_newtable(state);
  lua_pushvalue(state, builtins);
  lua_setfield(state, -2, "__index");
  lua_setmetatable(state, own);

  lua_newtable(state);  // what code sees as its globals: always empty, so every write is seen
  lua_newtable(state);
  lua_pushvalue(state, own);
  lua_setfield(state, -2, "__index");
  lua_pushvalue(state, builtins);
  lua_pushvalue(state, own);
  lua_pushcclosure(state, set_global, 2);
  lua_setfield(state, -2, "__newindex");
  lua_pushliteral(state, "locked");
  lua_setfield(state, -2, "__metatable");
  lua_pushlightuserdata(state, key(kReadOnlyKey));
  lua_pushboolean(state, 1);
  lua_rawset(state, -3);
  lua_setmetatable(state, -2);
  lua_pushvalue(state, -1);
  lua_setfield(state, builtins, "_G");
  lua_replace(state, LUA_GLOBALSINDEX);
  lua_settop(state, builtins - 1);
}

}  // namespace

void* marker_key() noexcept { return key(kMarkerKey); }

void call_lua(lua_State* state, int arguments, int results) {
  Vm& vm = Vm::of(state);
  if (vm.depth >= limits::kLuaCallDepth) luaL_error(state, "calls nested too deep");
  const int depth = vm.depth;
  vm.depth = depth + 1;
  lua_call(state, arguments, results);
  vm.depth = depth;
}

void make_read_only(lua_State* state) {
  lua_newtable(state);  // the view: always empty
  lua_newtable(state);  // its metatable
  lua_pushvalue(state, -3);
  lua_setfield(state, -2, "__index");
  lua_pushcfunction(state, read_only_error);
  lua_setfield(state, -2, "__newindex");
  lua_pushliteral(state, "locked");
  lua_setfield(state, -2, "__metatable");
  lua_pushlightuserdata(state, key(kReadOnlyKey));
  lua_pushboolean(state, 1);
  lua_rawset(state, -3);
  lua_setmetatable(state, -2);
  lua_remove(state, -2);
}

void push_behind(lua_State* state, int index) {
  if (is_read_only(state, index)) {
    lua_getmetatable(state, index);
    lua_getfield(state, -1, "__index");
    lua_remove(state, -2);
    return;
  }
  lua_pushvalue(state, index);
}

void set_builtin(lua_State* state, const char* name) {
  lua_pushlightuserdata(state, key(kBuiltinsKey));
  lua_rawget(state, LUA_REGISTRYINDEX);
  lua_insert(state, -2);
  lua_setfield(state, -2, name);
  lua_pop(state, 1);
}

void install_sandbox(lua_State* state) {
  open_library(state, "", luaopen_base);
  open_library(state, LUA_TABLIBNAME, luaopen_table);
  open_library(state, LUA_STRLIBNAME, luaopen_string);
  open_library(state, LUA_MATHLIBNAME, luaopen_math);
  open_library(state, LUA_BITLIBNAME, luaopen_bit);
  lua_pushvalue(state, LUA_GLOBALSINDEX);
  set_function(state, "pcall", base_pcall);
  set_function(state, "tostring", base_tostring);
  set_function(state, "setmetatable", base_setmetatable);
  set_function(state, "unpack", base_unpack);
  set_function(state, "ipairs", base_ipairs);
  set_function(state, "pairs", base_pairs);
  wrap(state, "tonumber", charged);
  lua_pop(state, 1);
  restrict_string(state);
  restrict_table(state);
  restrict_math(state);
  build_environment(state);
}

}  // namespace ccrules::rules
