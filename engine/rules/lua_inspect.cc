#include "rules/lua_inspect.h"

#include <algorithm>
#include <memory>
#include <tuple>

#include <lua.hpp>

namespace ccrules::rules {
namespace {

// Walks a function and those inside it. Which number an instruction has depends on the version of LuaJIT, so it is read from
// small functions that must contain it. What functions below the file itself write outside themselves stays for the next decision.
constexpr const char* kWalk = R"lua(
local chunk, note_line, note_write = ...
local util = require("jit.util")
local function op_of(source, pc)
  return util.funcbc(util.funck(loadstring(source), -1), pc) % 256
end
local USET = {}
for _, value in ipairs({ "x", "'s'", "1", "nil" }) do
  USET[op_of("local u; return function(x) u = " .. value .. " end", 1)] = true
end
local GSET = op_of("return function(x) g = x end", 1)
local UGET = op_of("local u; return function() return u end", 1)
local MOV = op_of("return function(a, b) a = b end", 1)
local TSET = {}
for _, key in ipairs({ "[k]", ".a", "[1]" }) do
  TSET[op_of("local u; return function(k, x) u" .. key .. " = x end", 2)] = true
end

local function upvalues(f)
  local names = {}
  for i = 0, 59 do
    local name = util.funcuvname(f, i)
    if not name then break end
    names[i] = name
  end
  return names
end
local function has(names, wanted)
  for i = 0, 59 do
    if names[i] == nil then return false end
    if names[i] == wanted then return true end
  end
end
local function walk(f, level, outer)
  local own = upvalues(f)
  local outside = {}
  for i = 0, 59 do
    if own[i] == nil then break end
    outside[i] = level == 1 or (level > 1 and has(outer, own[i]))
  end
  local held = {}   -- register -> name of the outside table in it
  local pc = 1
  while true do
    local ins = util.funcbc(f, pc)
    if not ins then break end
    local line = util.funcinfo(f, pc).currentline
    note_line(line)
    if level > 0 then
      local op = ins % 256
      local a = math.floor(ins / 256) % 256
      local b = math.floor(ins / 16777216) % 256
      local d = math.floor(ins / 65536) % 65536
      if USET[op] then
        if outside[a] then note_write(line, own[a], 0) end
      elseif op == GSET then
        note_write(line, util.funck(f, -d - 1), 1)
      elseif op == UGET then
        held[a] = outside[d] and own[d] or nil
      elseif TSET[op] then
        if held[b] then note_write(line, held[b], 2) end
      elseif op == MOV then
        held[a] = held[d]
      else
        held[a] = nil
      end
    end
    pc = pc + 1
  end
  for k = -1, -65535, -1 do
    local child = util.funck(f, k)
    if child == nil then break end
    if type(child) == "proto" then walk(child, level + 1, own) end
  end
end
walk(chunk, 0, {})
)lua";

struct Closer {
  void operator()(lua_State* state) const { lua_close(state); }
};
using State = std::unique_ptr<lua_State, Closer>;

bool load(lua_State* state, std::string_view source) {
  return (source.empty() || source.front() != LUA_SIGNATURE[0]) &&
         luaL_loadbuffer(state, source.data(), source.size(), "=") == 0;
}

LuaFacts& facts_of(lua_State* state) { return *static_cast<LuaFacts*>(lua_touserdata(state, lua_upvalueindex(1))); }

int note_line(lua_State* state) {
  const int line = static_cast<int>(lua_tointeger(state, 1));
  if (line > 0) facts_of(state).lines.insert(line);
  return 0;
}

int note_write(lua_State* state) {
  const int kind = static_cast<int>(lua_tointeger(state, 3));
  const char* name = lua_tostring(state, 2);
  facts_of(state).writes.push_back({static_cast<int>(lua_tointeger(state, 1)), name == nullptr ? "?" : name, kind == 1, kind == 2});
  return 0;
}

// The bytecode without names and lines; empty when it does not compile. Tables stand in it in an order that differs from state to
// state.
std::string stripped(lua_State* state, std::string_view source) {
  lua_settop(state, 0);
  lua_getglobal(state, "string");
  lua_getfield(state, -1, "dump");
  if (!load(state, source)) return {};
  lua_pushboolean(state, 1);
  if (lua_pcall(state, 2, 1, 0) != 0) return {};
  std::size_t size = 0;
  const char* bytes = lua_tolstring(state, -1, &size);
  return bytes == nullptr ? std::string() : std::string(bytes, size);
}

}  // namespace

LuaFacts inspect_lua(std::string_view source) {
  LuaFacts facts;
  const State state(luaL_newstate());
  if (state == nullptr) return facts;
  luaL_openlibs(state.get());
  if (luaL_loadbuffer(state.get(), kWalk, std::char_traits<char>::length(kWalk), "=walk") != 0) return facts;
  if (!load(state.get(), source)) return facts;
  for (const lua_CFunction function : {note_line, note_write}) {
    lua_pushlightuserdata(state.get(), &facts);
    lua_pushcclosure(state.get(), function, 1);
  }
  if (lua_pcall(state.get(), 3, 0, 0) != 0) return {};
  std::sort(facts.writes.begin(), facts.writes.end(), [](const StateWrite& a, const StateWrite& b) {
    return std::tie(a.line, a.name) < std::tie(b.line, b.name);
  });
  const auto same = [](const StateWrite& a, const StateWrite& b) { return a.line == b.line && a.name == b.name; };
  facts.writes.erase(std::unique(facts.writes.begin(), facts.writes.end(), same), facts.writes.end());
  return facts;
}

std::string lua_syntax_error(std::string_view source) {
  const State state(luaL_newstate());
  if (state == nullptr) return "no memory";
  if (source.empty()) return {};
  if (source.front() == LUA_SIGNATURE[0]) return "1: compiled Lua; only source text is accepted";
  if (luaL_loadbuffer(state.get(), source.data(), source.size(), "=?") == 0) return {};
  const char* message = lua_tostring(state.get(), -1);
  std::string text = message == nullptr ? "?:1: cannot be compiled" : message;
  return text.starts_with("?:") ? text.substr(2) : text;
}

bool same_lua(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const State state(luaL_newstate());
  if (state == nullptr) return false;
  luaL_openlibs(state.get());
  const std::string code = stripped(state.get(), a);
  return !code.empty() && code == stripped(state.get(), b);
}

}  // namespace ccrules::rules
