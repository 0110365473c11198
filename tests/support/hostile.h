#pragma once

/// What hostile rules try, for tests of the Lua state, of the engine and of the whole proxy.
namespace ccrules::test {

/// A function's body.
struct Attack {
  const char* name;
  const char* code;
};

// What a hostile rule might try: to run for ever, to eat memory, or to hide in code that no hook interrupts.
inline constexpr Attack kAttacks[] = {
    {"endless loop", "while true do end"},
    {"endless loop with goto", "::top:: goto top"},
    {"endless repeat", "local i = 0 repeat i = i + 1 until false"},
    {"endless calls", "local function f() end while true do f() end"},
    {"endless tail calls", "local function f() return f() end f()"},
    {"pcall around a loop", "while true do pcall(function() while true do end end) end"},
    {"pcall of pcall", "local function f() pcall(f) return f() end f()"},
    {"pcall in a loop of recursions", "local function g() while true do pcall(g) end end g()"},
    {"pcall of error for ever", "while true do pcall(error, 'x') end"},
    {"sort with an endless comparator", "table.sort({3, 1, 2}, function() while true do end end)"},
    {"sorting for ever", "local t = {} for i = 1, 1000 do t[i] = -i end while true do table.sort(t, function(a, b) return a < b end) end"},
    {"gsub with an endless callback", "(('x'):rep(10)):gsub('.', function() while true do end end)"},
    {"gsub callbacks for ever", "while true do (('x'):rep(1000)):gsub('.', function() end) end"},
    {"gsub inside gsub", "local function f(s) return (s:gsub('.', f)) end return f('x')"},
    {"sort inside sort", "local function f(a, b) table.sort({2, 1}, f) return a < b end table.sort({2, 1}, f)"},
    {"endless __index chain", "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return t[1]"},
    {"endless __tostring", "tostring(setmetatable({}, {__tostring = function() while true do end end}))"},
    {"__tostring inside __tostring", "local mt = {} mt.__tostring = function() return tostring(setmetatable({}, mt)) end return tostring(setmetatable({}, mt))"},
    {"endless __eq, __lt, __concat", "local mt = {} mt.__concat = function(a, b) return a .. b end local t = setmetatable({}, mt) return t .. t"},
    {"huge strings by rep", "for i = 1, 1e9 do local s = ('x'):rep(1e6) end"},
    {"rep of an empty string", "local n = 0 while true do n = n + #(''):rep(2e9) end"},
    {"rep with a separator", "return #(''):rep(3e7, 'a')"},
    {"rep overflow", "return ('ab'):rep(2^53)"},
    {"exponential pattern", "return (('a'):rep(30)):find(('a?'):rep(30) .. ('a'):rep(30) .. 'b')"},
    {"polynomial pattern", "return (('a'):rep(1e4)):find('.-.-.-.-b$')"},
    {"quadratic pattern", "return (('a'):rep(2e5)):find('a*a*b')"},
    {"quadratic gsub", "return (('a'):rep(2e5)):gsub('a-b', 'x')"},
    {"quadratic plain find", "local s, p = ('a'):rep(1e6), ('a'):rep(5e5) .. 'b' while true do s:find(p, 1, true) end"},
    {"balanced pattern", "return ((('('):rep(2e5))):gsub('%b()', '')"},
    {"frontier pattern for ever", "while true do (('a '):rep(1e5)):gsub('%f[%w]%w+', '') end"},
    {"gmatch for ever", "while true do for w in (('a '):rep(1e4)):gmatch('%w') do end end"},
    {"concat for ever", "local t = {} for i = 1, 1e5 do t[i] = 'abcdefgh' end while true do table.concat(t) end"},
    {"concat of large strings", "local s, t = ('x'):rep(1e6), {} for i = 1, 25 do t[i] = s end return #table.concat(t)"},
    {"concat over a huge range", "return table.concat({}, 'x', 1, 1e15)"},
    {"large sort", "local t = {} for i = 1, 1e6 do t[i] = (i * 7919) % 1000003 end table.sort(t)"},
    {"sort of long strings", "local a, b, t = ('x'):rep(1e6) .. 'a', ('x'):rep(1e6) .. 'b', {} for i = 1, 10000 do t[i] = i % 2 == 0 and a or b end table.sort(t)"},
    {"insert at the front", "local t = {} for i = 1, 1e6 do table.insert(t, 1, i) end"},
    {"remove from the front", "local t = {} for i = 1, 3e5 do t[i] = i end while true do table.remove(t, 1) table.insert(t, 1) end"},
    {"unpack of everything", "while true do pcall(unpack, {}, 1, 7000) end"},
    {"unpack over a huge range", "return unpack({}, -2^31, 2^31)"},
    {"format for ever", "while true do string.format('%099d', 1) end"},
    {"tonumber for ever", "local s = ('9'):rep(1e6) while true do tonumber(s) end"},
    {"string chain", "local s = '' for i = 1, 1e9 do s = s .. i end"},
    {"reverse for ever", "local s = ('x'):rep(1e6) while true do s:reverse() end"},
    {"upper for ever", "local s = ('x'):rep(1e6) while true do s:upper() end"},
    {"long strings with near hashes", "local t = {} for i = 1, 2e5 do t[i] = ('a'):rep(200) .. i end"},
    {"table as large as it gets", "local t = {} for i = 1, 1e9 do t[i] = i end"},
    {"tables in tables", "local t = {} for i = 1, 1e9 do t = {t} end"},
    {"closures for ever", "local t = {} for i = 1, 1e9 do t[i] = function() return i end end"},
    {"pairs over a large table", "local t = {} for i = 1, 1e5 do t['k' .. i] = 1 end while true do pairs(t) end"},
    {"deep recursion", "local function f(n) return 1 + f(n + 1) end return f(1)"},
    {"many arguments", "local t = {} for i = 1, 200 do t[i] = i end while true do select('#', unpack(t)) end"},
    {"error with a hostile object", "error(setmetatable({}, {__tostring = function() while true do end end}))"},
};

}  // namespace ccrules::test
