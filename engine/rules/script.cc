#include "rules/script.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <map>
#include <utility>

#include <lua.hpp>

#include "core/embedded.h"
#include "core/limits.h"
#include "core/text.h"
#include "rules/sandbox.h"
#include "rules/watchdog.h"

namespace ccrules::rules {
namespace {

constexpr lua_Number kMostMessages = 1e6;
constexpr std::size_t kKeptTextBytes = 1024;

void push(lua_State* state, std::string_view text) { lua_pushlstring(state, text.data(), text.size()); }

std::string_view text_at(lua_State* state, int index) {
  std::size_t size = 0;
  const char* text = lua_tolstring(state, index, &size);
  return {text, size};
}

/// Whether a function written in place reads what is only known once the targets are.
bool reads_target(const Literal::Entry& entry) {
  return std::any_of(entry.uses.begin(), entry.uses.end(), [](const Literal::FactUse& use) {
    return use.name == "target_provider" || use.name == "provider_class";
  });
}

/// Reads a Lua value, with its places when it was written as a literal.
class TreeReader {
 public:
  /// `functions`: keep them as references; else they are a problem.
  TreeReader(lua_State* state, Problems& problems, bool functions) : state_(state), problems_(problems), functions_(functions) {}

  Tree read(int index, const Literal* literal, Spot at, std::size_t depth = 0) {
    Tree tree;
    tree.at = at;
    if (++nodes_ > limits::kRuleTreeNodes || depth > limits::kRuleTreeDepth) {
      if (!too_large_) problems_.push_back({at, "this table is too large or nested too deep", {}});
      too_large_ = true;
      return tree;
    }
    switch (lua_type(state_, index)) {
      case LUA_TNIL: break;
      case LUA_TBOOLEAN:
        tree.kind = Tree::Kind::kFlag;
        tree.flag = lua_toboolean(state_, index) != 0;
        break;
      case LUA_TNUMBER:
        tree.kind = Tree::Kind::kNumber;
        tree.number = lua_tonumber(state_, index);
        break;
      case LUA_TSTRING:
        tree.kind = Tree::Kind::kText;
        tree.text = text_at(state_, index);
        break;
      case LUA_TFUNCTION:
        if (!functions_) {
          problems_.push_back({at, "a function returned a function instead of a value", {}});
          break;
        }
        tree.kind = Tree::Kind::kFunction;
        lua_pushvalue(state_, index);
        tree.ref = luaL_ref(state_, LUA_REGISTRYINDEX);
        break;
      case LUA_TTABLE: table(tree, index, literal, depth); break;
      default:
        problems_.push_back({at, std::string("a ") + luaL_typename(state_, index) + " cannot be part of a rule", {}});
    }
    return tree;
  }

 private:
  void table(Tree& tree, int index, const Literal* literal, std::size_t depth) {
    tree.kind = Tree::Kind::kTable;
    if (literal != nullptr) tree.at = literal->at;
    luaL_checkstack(state_, 8, "nested too deep");
    push_behind(state_, index);
    int table = lua_gettop(state_);
    lua_pushlightuserdata(state_, marker_key());
    lua_rawget(state_, table);
    if (lua_type(state_, -1) == LUA_TSTRING) {
      tree.kind = Tree::Kind::kMarker;
      tree.text = text_at(state_, -1);
      push(state_, "body");
      lua_rawget(state_, table);
      if (!lua_istable(state_, -1)) {
        lua_pop(state_, 3);
        return;
      }
      push_behind(state_, lua_gettop(state_));
      lua_replace(state_, table);
      lua_pop(state_, 1);
    }
    lua_pop(state_, 1);
    read_items(tree, table, literal, depth);
    read_members(tree, table, literal, depth);
    lua_settop(state_, table - 1);
  }

  void read_items(Tree& tree, int table, const Literal* literal, std::size_t depth) {
    const std::size_t count = lua_objlen(state_, table);
    for (std::size_t i = 0; i < count && !too_large_; ++i) {
      const Literal::Entry* entry = literal != nullptr ? literal->item(i) : nullptr;
      lua_rawgeti(state_, table, static_cast<int>(i) + 1);
      tree.items.push_back(read(lua_gettop(state_), entry != nullptr ? entry->table.get() : nullptr,
                                entry != nullptr ? entry->value_at : tree.at, depth + 1));
      tree.items.back().about_target = entry != nullptr && reads_target(*entry);
      lua_pop(state_, 1);
    }
  }

  void read_members(Tree& tree, int table, const Literal* literal, std::size_t depth) {
    for (lua_pushnil(state_); lua_next(state_, table) != 0 && !too_large_; lua_pop(state_, 1)) {
      const int type = lua_type(state_, -2);
      if (type == LUA_TNUMBER) {
        const lua_Number i = lua_tonumber(state_, -2);
        if (i >= 1 && i <= static_cast<lua_Number>(tree.items.size())) continue;
      }
      if (type == LUA_TLIGHTUSERDATA) continue;
      if (type != LUA_TSTRING) {
        problems_.push_back({tree.at, "a list here has holes or keys that are not names", {}});
        continue;
      }
      Tree::Member member;
      member.key = text_at(state_, -2);
      const Literal::Entry* entry = literal != nullptr ? literal->find(member.key) : nullptr;
      member.at = entry != nullptr ? entry->at : tree.at;
      member.value = read(lua_gettop(state_), entry != nullptr ? entry->table.get() : nullptr,
                          entry != nullptr ? entry->value_at : tree.at, depth + 1);
      member.value.about_target = entry != nullptr && reads_target(*entry);
      tree.members.push_back(std::move(member));
    }
    std::sort(tree.members.begin(), tree.members.end(), [](const Tree::Member& a, const Tree::Member& b) {
      if (a.at.line != b.at.line) return a.at.line < b.at.line;
      if (a.at.column != b.at.column) return a.at.column < b.at.column;
      return a.key < b.key;
    });
  }

  lua_State* state_;
  Problems& problems_;
  bool functions_;
  std::size_t nodes_ = 0;
  bool too_large_ = false;
};

bool is_for_tests(std::string_view word) { return word == "base" || word == "case" || word == "sweep" || word == "flow"; }

/// "rules/my.lua:12: unexpected symbol near 'x'" as a diagnostic at line 12, and at x when the line shows it.
config::Diagnostic lua_error_diagnostic(const SourceFile& file, const std::string& error) {
  const std::string prefix = chunk_name(file) + ":";
  const std::size_t begin = error.find(prefix);
  Spot at{1, 1};
  std::string message = error;
  if (begin != std::string::npos) {
    const std::size_t digits = begin + prefix.size();
    const std::size_t colon = error.find(':', digits);
    if (colon != std::string::npos) {
      at.line = static_cast<int>(text::to_int(std::string_view(error).substr(digits, colon - digits)).value_or(1));
      message = text::trim(std::string_view(error).substr(colon + 1));
    }
  }
  // What is missing at the end of the file is missing behind its last word, not on the empty line behind it.
  if (message.ends_with("near '<eof>'")) {
    const std::string_view text = text::trim(file.text);
    const std::size_t end = static_cast<std::size_t>(text.data() - file.text.data()) + text.size();
    const std::string_view before = std::string_view(file.text).substr(0, end);
    at.line = static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1;
    at.column = static_cast<int>(end - (before.rfind('\n') + 1)) + 1;
    message.replace(message.size() - std::string_view("near '<eof>'").size(), std::string::npos, "before the file ends");
    return file.error(at, message);
  }
  // Point at the word the message quotes last.
  const std::size_t close = message.rfind('\'');
  const std::size_t open = close == std::string::npos || close == 0 ? std::string::npos : message.rfind('\'', close - 1);
  if (open != std::string::npos) {
    const std::string_view word = std::string_view(message).substr(open + 1, close - open - 1);
    const std::size_t column = word.empty() ? std::string_view::npos : file.line(at.line).find(word);
    if (column != std::string_view::npos) at.column = static_cast<int>(column) + 1;
    if (message.starts_with("attempt to call global") || message.starts_with("attempt to index global")) {
      static const std::vector<std::string> kWords = {"rule", "alias", "override", "remove", "any",    "none",
                                                      "base", "case",  "sweep",    "flow",    "pick",   "serving", "requested"};
      const std::string near = text::did_you_mean(word, kWords);
      std::string hint = near.empty() ? std::string() : "did you mean '" + near + "'?";
      if (near == word) {
        hint = is_for_tests(word) ? "tests have files of their own: NAME_test.lua"
                                  : "this was read as a file of tests; rules have files of their own";
      }
      for (const char* gone : {"os", "io", "require", "load", "loadstring", "dofile", "print", "debug", "next", "coroutine"}) {
        if (word == gone) hint = "rules have no I/O, no clock and no code loading; see docs/rules.md";
      }
      return file.error(at, "'" + std::string(word) + "' is not defined", hint);
    }
  }
  return file.error(at, message);
}

void check_uses(const SourceFile& file, const Literal& literal, const Grants& grants,
                std::vector<config::Diagnostic>& diagnostics) {
  for (const Literal::Entry& entry : literal.entries) {
    for (const Literal::FactUse& use : entry.uses) {
      const api::FactRow* row = api::find_fact(use.name);
      if (row == nullptr && use.name != "time_in") {
        diagnostics.push_back(file.error(use.at, "unknown fact '" + use.name + "'", api::fact_hint(use.name)));
      } else if (row != nullptr && !grants.allows(row->need)) {
        const std::string need = api::need_name(row->need);
        diagnostics.push_back(file.error(
            use.at, "fact '" + use.name + "' does not exist for this pack: it was not granted '" + need + "'",
            "name it in \"needs\" of pack.json and grant it when installing"));
      }
    }
    if (entry.table != nullptr) check_uses(file, *entry.table, grants, diagnostics);
  }
}

/// Reads the zones that functions name in place: time_in("Europe/Berlin").
void read_zones(const SourceFile& file, Zones& zones, std::vector<config::Diagnostic>& diagnostics) {
  constexpr std::string_view kCall = "time_in(";
  for (std::size_t at = file.text.find(kCall); at != std::string::npos; at = file.text.find(kCall, at)) {
    at += kCall.size();
    const char quote = at < file.text.size() ? file.text[at] : ' ';
    const std::size_t close = quote == '"' || quote == '\'' ? file.text.find(quote, at + 1) : std::string::npos;
    if (close == std::string::npos) continue;
    const Result<Zone> zone = zones.load(std::string_view(file.text).substr(at + 1, close - at - 1));
    if (zone.ok()) continue;
    const auto line_begin = file.text.rfind('\n', at) + 1;  // npos + 1 is 0
    Spot spot;
    spot.line = static_cast<int>(std::count(file.text.begin(), file.text.begin() + static_cast<std::ptrdiff_t>(at), '\n')) + 1;
    spot.column = static_cast<int>(at - line_begin) + 1;
    diagnostics.push_back(file.error(spot, zone.error().message));
  }
}

}  // namespace

std::string chunk_name(const SourceFile& file) {
  constexpr std::size_t kLongest = 48;
  const std::string& name = file.shown;
  return name.size() <= kLongest ? name : "..." + name.substr(name.size() - kLongest + 3);
}

/// What a running load() collects.
struct Script::Loading {
  const SourceFile& file;
  std::vector<Construct> constructs;
  std::vector<Declaration>& declarations;
  std::vector<config::Diagnostic>& diagnostics;
  std::vector<std::pair<std::string, int>> announced;  ///< `rule "name"` seen, its table not yet
};

/// The functions Lua code reaches; all find their Script as upvalue 1.
struct Script::Binding {
  static Script& self(lua_State* state) {
    return *static_cast<Script*>(lua_touserdata(state, lua_upvalueindex(1)));
  }

  // declare(kind, name, body, line)
  static int declare(lua_State* state) {
    Script& script = self(state);
    if (script.loading_ == nullptr) return luaL_error(state, "rules are declared while their file loads, not later");
    Loading& loading = *script.loading_;
    if (loading.declarations.size() >= limits::kRules) return luaL_error(state, "too many rules in one file");
    Declaration declaration;
    declaration.callee = text_at(state, 1);
    const int line = static_cast<int>(lua_tointeger(state, 4));
    declaration.at = Spot{line, 1};
    declaration.file = &loading.file;
    const bool named = declaration.callee != "alias" && declaration.callee != "base";
    const std::string form = declaration.callee + (named ? " \"name\" { ... }" : " { ... }");
    if (named && lua_type(state, 2) != LUA_TSTRING) {
      if (lua_isnil(state, 3)) {
        loading.diagnostics.push_back(loading.file.error(declaration.at, declaration.callee + " needs a name: " + form));
      }
      return 0;
    }
    if (named) {
      declaration.name = text_at(state, 2);
      const std::pair<std::string, int> announced{declaration.name, line};
      const auto pending = std::find(loading.announced.begin(), loading.announced.end(), announced);
      if (lua_isnil(state, 3)) {
        loading.announced.push_back(announced);
        return 0;
      }
      if (pending != loading.announced.end()) loading.announced.erase(pending);
    }
    if (!lua_istable(state, 3)) {
      loading.diagnostics.push_back(loading.file.error(declaration.at, declaration.callee + " needs a table: " + form));
      return 0;
    }
    const Construct* construct = match(loading.constructs, declaration.callee, declaration.name, line);
    if (construct != nullptr) {
      declaration.at = construct->named ? construct->name_at : construct->at;
      check_uses(loading.file, construct->body, script.grants_, loading.diagnostics);
    }
    Problems problems;
    TreeReader reader(state, problems, true);
    declaration.body = reader.read(3, construct != nullptr ? &construct->body : nullptr, declaration.at);
    for (const Problem& problem : problems) {
      loading.diagnostics.push_back(loading.file.error(problem.at, problem.message, problem.hint));
    }
    if (problems.empty()) loading.declarations.push_back(std::move(declaration));
    return 0;
  }

  // mark(word, body)
  static int mark(lua_State* state) {
    lua_settop(state, 2);
    if (!lua_isnil(state, 2) && !lua_istable(state, 2)) {
      return luaL_error(state, "'%s' needs a table: %s { ... }", lua_tostring(state, 1), lua_tostring(state, 1));
    }
    lua_newtable(state);
    lua_pushlightuserdata(state, marker_key());
    lua_pushvalue(state, 1);
    lua_rawset(state, 3);
    lua_pushvalue(state, 2);
    lua_setfield(state, 3, "body");
    return 1;
  }

  // line(): of the caller's caller, 0 when it is not in the file being loaded.
  static int line(lua_State* state) {
    lua_Debug frame;
    const bool found = lua_getstack(state, 2, &frame) != 0 && lua_getinfo(state, "Sl", &frame) != 0;
    lua_pushinteger(state, found ? std::max(frame.currentline, 0) : 0);
    return 1;
  }

  static Reader& reader(lua_State* state) {
    Script& script = self(state);
    if (script.reader_ == nullptr) luaL_error(state, "req can only be read while the rule is being decided");
    return *script.reader_;
  }

  static void push_value(lua_State* state, const Value& value) {
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

  // req.bucket(name, key)
  static int bucket(lua_State* state) {
    const char* name = luaL_checkstring(state, 1);
    const std::string_view key = lua_isnoneornil(state, 2) ? std::string_view() : std::string_view(luaL_checkstring(state, 2));
    push_value(state, reader(state).bucket(name, key));
    return 1;
  }

  // req.headers[name]; upvalue 1 as ever.
  static int header_index(lua_State* state) {
    const char* name = luaL_checkstring(state, 2);
    push_value(state, reader(state).header(text::lower(name)));
    return 1;
  }

  // req.text.last_user
  static int text_index(lua_State* state) {
    const std::string_view name = luaL_checkstring(state, 2);
    if (name == "last_user") {
      push_value(state, reader(state).read(api::Fact::kTextLastUser));
    } else if (name == "first_user") {
      push_value(state, reader(state).read(api::Fact::kTextFirstUser));
    } else if (name == "system") {
      push_value(state, reader(state).read(api::Fact::kTextSystem));
    } else {
      return luaL_error(state, "unknown fact 'text.%s': text has last_user, first_user and system", lua_tostring(state, 2));
    }
    return 1;
  }

  // req.body["metadata.tier"]
  static int body_index(lua_State* state) {
    push_value(state, reader(state).body(luaL_checkstring(state, 2)));
    return 1;
  }

  // req.messages[n]; nil beyond the end.
  static int message_index(lua_State* state) {
    if (lua_type(state, 2) != LUA_TNUMBER) return luaL_error(state, "messages are numbered: req.messages[1]");
    const lua_Number n = lua_tonumber(state, 2);
    if (!(n >= 1 && n <= kMostMessages)) {
      lua_pushnil(state);
      return 1;
    }
    push_message(state, reader(state), static_cast<std::size_t>(n) - 1);
    return 1;
  }

  static void push_message(lua_State* state, Reader& facts, std::size_t index) {
    const MessageView* view = facts.message(index);
    if (view == nullptr) {
      lua_pushnil(state);
      return;
    }
    lua_createtable(state, 0, 3);
    lua_pushstring(state, view->role);
    lua_setfield(state, -2, "role");
    push(state, view->text);
    lua_setfield(state, -2, "text");
    lua_createtable(state, static_cast<int>(view->tools.size()), 0);
    for (std::size_t i = 0; i < view->tools.size(); ++i) {
      push(state, view->tools[i]);
      lua_rawseti(state, -2, static_cast<int>(i) + 1);
    }
    lua_setfield(state, -2, "tools");
  }

  static int message_count(lua_State* state) {
    const std::optional<std::size_t> count = reader(state).message_count();
    if (!count) return luaL_error(state, "the messages of this request cannot be read");
    lua_pushnumber(state, static_cast<lua_Number>(*count));
    return 1;
  }

  // req.spend(by, per)
  static int spend(lua_State* state) {
    const char* by = luaL_optstring(state, 1, "all");
    const char* per = luaL_optstring(state, 2, "day");
    const std::optional<Period> period = period_by_name(per);
    if (!period) return luaL_error(state, "spend: per is hour, day, week or month");
    push_value(state, reader(state).spend(by, *period));
    return 1;
  }

  // req.budget_left(scope)
  static int budget_left(lua_State* state) {
    push_value(state, reader(state).budget_left(luaL_optstring(state, 1, "all")));
    return 1;
  }

  // req.rate(key, per)
  static int rate(lua_State* state) {
    const char* by = luaL_optstring(state, 1, "all");
    const auto window = parse_duration(luaL_optstring(state, 2, "1m"));
    if (!window || window->count() <= 0 || *window > limits::kRateWindow) {
      return luaL_error(state, "rate: per is a time such as \"10s\", \"1m\" or \"1h\", at most 24h");
    }
    push_value(state, reader(state).rate(by, *window));
    return 1;
  }

  // req.health(provider)
  static int health(lua_State* state) {
    push_value(state, reader(state).health(luaL_checkstring(state, 1)));
    return 1;
  }

  // req.warm(target), req.warm(target, to)
  static int warm(lua_State* state) {
    const char* name = luaL_checkstring(state, 1);
    const char* to = luaL_optstring(state, 2, nullptr);
    std::optional<Warmth> warmth;
    std::optional<Move> move;
    if (!find_warmth(state, name, warmth)) return luaL_error(state, "warm: there is no target '%s'", name);
    if (to != nullptr && !find_move(state, name, to, move)) return luaL_error(state, "warm: there is no target '%s'", to);
    if (!warmth) {
      lua_pushnil(state);
      return 1;
    }
    lua_createtable(state, 0, 5);
    if (move) {
      lua_pushnumber(state, move->turns);
      lua_setfield(state, -2, "turns");
      lua_pushnumber(state, move->cost_usd);
      lua_setfield(state, -2, "move_usd");
    }
    lua_pushboolean(state, warmth->warm ? 1 : 0);
    lua_setfield(state, -2, "warm");
    lua_pushnumber(state, static_cast<lua_Number>(warmth->tokens));
    lua_setfield(state, -2, "tokens");
    lua_pushnumber(state, warmth->cost_usd);
    lua_setfield(state, -2, "cost_usd");
    return 1;
  }

  static bool find_warmth(lua_State* state, const char* name, std::optional<Warmth>& warmth) {
    const Targets* targets = self(state).targets_;
    Reader& facts = reader(state);
    TargetProblem problem;
    const std::optional<Choice> choice = targets != nullptr ? targets->resolve(name, problem) : std::nullopt;
    if (choice) warmth = facts.warm(choice->target);
    return choice.has_value();
  }

  static bool find_move(lua_State* state, const char* from_name, const char* to_name, std::optional<Move>& move) {
    const Targets* targets = self(state).targets_;
    if (targets == nullptr) return false;
    Reader& facts = reader(state);
    TargetProblem problem;
    const std::optional<Choice> from = targets->resolve(from_name, problem);
    const std::optional<Choice> to = targets->resolve(to_name, problem);
    if (from && to) move = facts.move(from->target, to->target);
    return from && to;
  }

  // req.time_in("Europe/Berlin")
  static int time_in(lua_State* state) {
    const char* name = luaL_checkstring(state, 1);
    if (!push_local_time(state, name)) {
      return luaL_error(state, "time_in: zone '%s' was not read when the rules were loaded; write its name in place", name);
    }
    return 1;
  }

  static bool push_local_time(lua_State* state, const char* name) {
    LocalTime local;
    if (!read_local_time(self(state), reader(state), name, local)) return false;
    lua_createtable(state, 0, 3);
    lua_pushinteger(state, local.hour);
    lua_setfield(state, -2, "hour");
    lua_pushinteger(state, local.minute % 60);
    lua_setfield(state, -2, "minute");
    lua_pushinteger(state, local.wday);
    lua_setfield(state, -2, "wday");
    return true;
  }

  static bool read_local_time(const Script& script, Reader& facts, const char* name, LocalTime& local) {
    Zones offsets(system_files());
    offsets.seal();
    const Result<Zone> zone = (script.zones_ != nullptr ? *script.zones_ : offsets).load(name);
    if (!zone.ok()) return false;
    facts.clock(api::Fact::kTimeHour, *zone);  // for the trace
    local = local_time(*zone, facts.wall_us());
    return true;
  }

  static void push_clock(lua_State* state, const Value& hour, const Value& wday) {
    lua_createtable(state, 0, 3);
    push_value(state, hour);
    lua_setfield(state, -2, "hour");
    push_value(state, wday);
    lua_setfield(state, -2, "wday");
  }

  static void push_usage(lua_State* state, Reader& facts) {
    lua_createtable(state, 0, 5);
    for (const api::Fact part : {api::Fact::kUsageInput, api::Fact::kUsageOutput, api::Fact::kUsageCacheRead,
                                 api::Fact::kUsageCacheWrite, api::Fact::kUsageReasoning}) {
      push_value(state, facts.read(part));
      lua_setfield(state, -2, api::fact_row(part).name + sizeof("usage.") - 1);
    }
  }

  // req[name]; upvalue 2: name -> row number, upvalue 3: what is made once.
  static int request_index(lua_State* state) {
    lua_pushvalue(state, 2);
    lua_rawget(state, lua_upvalueindex(2));
    if (lua_type(state, -1) != LUA_TNUMBER) {
      lua_pushvalue(state, 2);
      lua_rawget(state, lua_upvalueindex(3));
      return lua_isnil(state, -1) ? unknown_fact(state) : 1;
    }
    const api::FactRow& row = api::facts()[static_cast<std::size_t>(lua_tointeger(state, -1))];
    Reader& facts = reader(state);
    if (row.phase != api::Phase::kAlways && !api::exists(row, facts.on())) {
      return luaL_error(state, "fact '%s' does not exist in rules with on = \"%s\"", row.name, api::on_name(facts.on()));
    }
    switch (row.id) {
      case api::Fact::kBucket:
      case api::Fact::kText:
      case api::Fact::kHeaders:
      case api::Fact::kBody:
      case api::Fact::kMessages:
      case api::Fact::kSpend:
      case api::Fact::kBudgetLeft:
      case api::Fact::kRate:
      case api::Fact::kHealth:
      case api::Fact::kWarm: lua_getfield(state, lua_upvalueindex(3), row.name); return 1;
      case api::Fact::kUsage: push_usage(state, facts); return 1;
      case api::Fact::kTime:
        push_clock(state, facts.read(api::Fact::kTimeHour), facts.read(api::Fact::kTimeWday));
        push_value(state, facts.read(api::Fact::kTimeIso));
        lua_setfield(state, -2, "iso");
        return 1;
      case api::Fact::kTargetProvider:
      case api::Fact::kProviderClass:
        // Too early it would be nil, and a rule that denies would let everything pass.
        if (!facts.targets_known()) {
          return luaL_error(state, "'%s' is known once the targets are: read it in a function written inside `when` or `deny` "
                                   "of a rule that denies or tags", row.name);
        }
        break;
      default: break;
    }
    const Value value = facts.read(row.id);
    push_value(state, value);
    if (is_kept(row.id, value)) keep(state, row);
    return 1;
  }

  // Scalars that stay as they are until the decision is made; nothing that holds on to much memory.
  static bool is_kept(api::Fact fact, const Value& value) {
    if (fact == api::Fact::kTargetModel || fact == api::Fact::kTargetProvider || fact == api::Fact::kProviderClass) return false;
    return value.kind == Value::Kind::kFlag || value.kind == Value::Kind::kNumber ||
           (value.kind == Value::Kind::kText && value.text.size() <= kKeptTextBytes);
  }

  // The fact's value is on top of the stack, and stays there.
  static void keep(lua_State* state, const api::FactRow& row) {
    Script& script = self(state);
    lua_rawgeti(state, LUA_REGISTRYINDEX, script.kept_facts_ref_);
    lua_pushvalue(state, 2);
    lua_pushvalue(state, -3);
    script.kept_.push_back(static_cast<int>(&row - api::facts().data()));
    lua_rawset(state, -3);
    lua_pop(state, 1);
  }

  static int unknown_fact(lua_State* state) {
    const bool named = lua_type(state, 2) == LUA_TSTRING;
    const std::string_view name = named ? text_at(state, 2) : std::string_view("?");
    std::string message = "unknown fact '" + std::string(name) + "'; " + api::fact_hint(name);
    push(state, message);
    std::string().swap(message);  // nothing to destroy when the error leaves
    luaL_where(state, 1);
    lua_insert(state, -2);
    lua_concat(state, 2);
    return lua_error(state);
  }

  static int push_argument(lua_State* state) {
    push_value(state, *self(state).argument_);
    return 1;
  }

  static int read_result(lua_State* state) {
    const Script& script = self(state);
    *script.result_ = TreeReader(state, *script.problems_, false).read(1, nullptr, {});
    return 0;
  }

  static int read_only(lua_State* state) { return luaL_error(state, "facts are read-only: return effects instead"); }

  static void push_function(lua_State* state, Script* script, lua_CFunction function) {
    lua_pushlightuserdata(state, script);
    lua_pushcclosure(state, function, 1);
  }

  // A userdata whose members are found by the function or table on top of the stack (popped).
  static void push_view(lua_State* state) {
    lua_newuserdata(state, 1);
    lua_newtable(state);
    lua_pushvalue(state, -3);
    lua_setfield(state, -2, "__index");
    lua_pushcfunction(state, read_only);
    lua_setfield(state, -2, "__newindex");
    lua_pushliteral(state, "locked");
    lua_setfield(state, -2, "__metatable");
    lua_setmetatable(state, -2);
    lua_remove(state, -2);
  }

  // `req` is an empty thing whose members are found in a table of facts that were read already, and then by request_index.
  static void make_request(lua_State* state, Script* script) {
    const std::size_t facts = api::facts().size();
    script->kept_.clear();
    script->kept_.reserve(facts);
    lua_createtable(state, static_cast<int>(facts), 0);
    for (std::size_t i = 0; i < facts; ++i) {
      lua_pushstring(state, api::facts()[i].name);
      lua_rawseti(state, -2, static_cast<int>(i) + 1);
    }
    script->fact_names_ref_ = luaL_ref(state, LUA_REGISTRYINDEX);
    push_request_index(state, script);
    lua_createtable(state, 0, static_cast<int>(facts));
    lua_createtable(state, 0, 1);
    lua_pushvalue(state, -3);
    lua_setfield(state, -2, "__index");
    lua_setmetatable(state, -2);
    lua_remove(state, -2);
    lua_pushvalue(state, -1);
    script->kept_facts_ref_ = luaL_ref(state, LUA_REGISTRYINDEX);
    push_view(state);
    script->request_ref_ = luaL_ref(state, LUA_REGISTRYINDEX);
  }

  static void push_request_index(lua_State* state, Script* script) {
    lua_pushlightuserdata(state, script);
    lua_newtable(state);
    for (std::size_t i = 0; i < api::facts().size(); ++i) {
      if (!script->grants_.allows(api::facts()[i].need)) continue;
      lua_pushinteger(state, static_cast<lua_Integer>(i));
      lua_setfield(state, -2, api::facts()[i].name);
    }
    lua_newtable(state);
    constexpr std::pair<const char*, lua_CFunction> kFunctions[] = {
        {"bucket", bucket}, {"spend", spend},   {"budget_left", budget_left}, {"rate", rate},
        {"health", health}, {"warm", warm},     {"time_in", time_in}};
    const auto granted = [script](const char* name) {
      const api::FactRow* row = api::find_fact(name);
      return row == nullptr || script->grants_.allows(row->need);
    };
    for (const auto& [name, function] : kFunctions) {
      if (!granted(name)) continue;
      push_function(state, script, function);
      lua_setfield(state, -2, name);
    }
    constexpr std::pair<const char*, lua_CFunction> kViews[] = {
        {"text", text_index}, {"headers", header_index}, {"body", body_index}};
    for (const auto& [name, function] : kViews) {
      if (!granted(name)) continue;
      push_function(state, script, function);
      push_view(state);
      lua_setfield(state, -2, name);
    }
    if (granted("messages")) {
      push_function(state, script, message_index);
      push_view(state);
      lua_getmetatable(state, -1);
      push_function(state, script, message_count);
      lua_setfield(state, -2, "__len");
      lua_pop(state, 1);
      lua_setfield(state, -2, "messages");
    }
    lua_pushcclosure(state, request_index, 3);
  }

  // A value the engine knows: a word of the prelude with a name.
  static void push_named(lua_State* state, const char* word, const std::string& name) {
    lua_newtable(state);
    lua_pushlightuserdata(state, marker_key());
    lua_pushstring(state, word);
    lua_rawset(state, -3);
    lua_newtable(state);
    push(state, name);
    lua_setfield(state, -2, "name");
    lua_setfield(state, -2, "body");
  }

  static void push_route(lua_State* state, const std::string& name, const config::Route& route) {
    push_named(state, "route", name);
    push(state, route.provider);
    lua_setfield(state, -2, "provider");
    push(state, route.model);
    lua_setfield(state, -2, "model");
    make_read_only(state);
  }

  static void push_target(lua_State* state, const std::string& target) {
    push_named(state, "configured", target);
    make_read_only(state);
  }

  static void push_targets(lua_State* state, const std::map<std::string, std::string>& targets) {
    lua_newtable(state);
    for (const auto& [name, target] : targets) {
      push_target(state, target);
      lua_setfield(state, -2, name.c_str());
    }
    make_read_only(state);
  }

  static void push_config(lua_State* state, const config::Snapshot& snapshot) {
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

  // Runs the prelude file and makes its words built-ins.
  static void install_words(lua_State* state, Script* script, std::string_view words) {
    const std::string_view source = embedded::file(words);
    if (source.empty() || luaL_loadbuffer(state, source.data(), source.size(), "=prelude") != 0) lua_error(state);
    push_function(state, script, declare);
    push_function(state, script, mark);
    push_function(state, script, line);
    lua_call(state, 3, 1);
    const int table = lua_gettop(state);
    for (lua_pushnil(state); lua_next(state, table) != 0;) {
      set_builtin(state, lua_tostring(state, -2));  // pops the value
    }
    lua_pop(state, 1);
  }
};

std::unique_ptr<Script> Script::create(std::string_view words, std::string& error, const Grants& grants) {
  std::unique_ptr<Script> script(new Script);
  script->grants_ = grants;
  script->words_ = words;
  return script->start(error) ? std::move(script) : nullptr;
}

Script::~Script() = default;

bool Script::start(std::string& error) {
  vm_ = Vm::create();
  if (vm_ == nullptr) {
    error = "no memory for a Lua state";
    return false;
  }
  vm_->note_lines(lines_);
  return vm_->protect(
      [this](lua_State* state) {
        Binding::install_words(state, this, words_);
        Binding::make_request(state, this);
        Binding::push_function(state, this, Binding::push_argument);
        push_argument_ref_ = luaL_ref(state, LUA_REGISTRYINDEX);
        Binding::push_function(state, this, Binding::read_result);
        read_result_ref_ = luaL_ref(state, LUA_REGISTRYINDEX);
      },
      error);
}

bool Script::set_config(const config::Snapshot& snapshot, std::string& error) {
  auto seen = std::make_unique<config::Snapshot>();
  seen->routes = snapshot.routes;
  seen->long_context_tokens = snapshot.long_context_tokens;
  seen->agents = snapshot.agents;
  seen->tiers = snapshot.tiers;
  seen->fallbacks = snapshot.fallbacks;
  config_ = std::move(seen);
  return vm_->protect([this](lua_State* state) { Binding::push_config(state, *config_); }, error);
}

bool Script::load(const SourceFile& file, std::vector<Declaration>& declarations,
                  std::vector<config::Diagnostic>& diagnostics) {
  const std::size_t before = diagnostics.size();
  const std::size_t declared_before = declarations.size();
  if (file.text.size() > limits::kRuleFileBytes) {
    diagnostics.push_back(file.error({}, "the file is larger than " + std::to_string(limits::kRuleFileBytes >> 20U) + " MiB"));
    return false;
  }
  const std::chrono::nanoseconds begin = thread_cpu_time();  // what a busy machine does meanwhile does not count
  Loading loading{file, scan(file.text), declarations, diagnostics, {}};
  loading_ = &loading;
  std::string error;
  bool ran = false;
  {
    const CpuBudget budget(limits::kRuleLoadTime);
    ran = vm_->run(file.text, chunk_name(file), error);
  }
  loading_ = nullptr;
  for (const auto& [name, line] : loading.announced) {
    if (ran) diagnostics.push_back(file.error({line, 1}, "'" + name + "' has no table: a name is followed by { ... }"));
  }
  if (!ran) {
    const Spot line{std::max(vm_->stopped_line(), 1), 1};
    diagnostics.push_back(vm_->stopped() ? file.error(line, "loading this file was stopped here: it " + error)
                                         : lua_error_diagnostic(file, error));
  }
  if (ran && zones_ != nullptr) read_zones(file, *zones_, diagnostics);
  files_.push_back(&file);
  declarations_ += declarations.size() - declared_before;
  load_time_ += thread_cpu_time() - begin;
  return diagnostics.size() == before;
}

void Script::renew() {
  if (!load_again()) vm_->keep();
}

bool Script::load_again() {
  if (load_time_ > limits::kRuleRenewTime || config_ == nullptr) return false;
  std::unique_ptr<Vm> old = std::move(vm_);
  const std::vector<const SourceFile*> files = std::move(files_);
  const std::size_t declared = std::exchange(declarations_, 0);
  const std::chrono::nanoseconds first_load_time = load_time_;
  files_.clear();
  std::string error;
  bool same = start(error) && vm_->protect([this](lua_State* state) { Binding::push_config(state, *config_); }, error);
  std::vector<Declaration> declarations;
  std::vector<config::Diagnostic> diagnostics;
  // The same code in the same order makes the same references; what it declares tells whether it was the same.
  for (const SourceFile* file : files) same = same && load(*file, declarations, diagnostics);
  same = same && declarations_ == declared;
  load_time_ = first_load_time;
  if (same) {
    vm_->freeze();
    return true;
  }
  vm_ = std::move(old);
  files_ = files;
  declarations_ = declared;
  return false;
}

// Needs no memory, so it cannot fail.
void Script::forget_facts() {
  lua_State* state = vm_->lua();
  lua_rawgeti(state, LUA_REGISTRYINDEX, kept_facts_ref_);
  lua_rawgeti(state, LUA_REGISTRYINDEX, fact_names_ref_);
  for (const int row : kept_) {
    lua_rawgeti(state, -1, row + 1);
    lua_pushnil(state);
    lua_rawset(state, -4);
  }
  lua_pop(state, 2);
  kept_.clear();
}

bool Script::call(int ref, Reader& reader, const Value* value, std::string& error) {
  reader_ = &reader;
  if (kept_for_ != reader.id()) {
    if (!kept_.empty()) forget_facts();
    kept_for_ = reader.id();
  }
  lua_State* state = vm_->lua();
  lua_rawgeti(state, LUA_REGISTRYINDEX, ref);
  bool ready = true;
  if (value != nullptr) {
    argument_ = value;
    lua_rawgeti(state, LUA_REGISTRYINDEX, push_argument_ref_);
    ready = vm_->call(0, 1, error);
  }
  if (ready) {
    lua_rawgeti(state, LUA_REGISTRYINDEX, request_ref_);
    ready = vm_->call(value != nullptr ? 2 : 1, 1, error);
  } else {
    lua_pop(state, 1);
  }
  reader_ = nullptr;
  return ready;
}

bool Script::test(int ref, Reader& reader, const Value* value, bool& yes, std::string& error) {
  if (!call(ref, reader, value, error)) return false;
  yes = lua_toboolean(vm_->lua(), -1) != 0;
  lua_pop(vm_->lua(), 1);
  return true;
}

bool Script::evaluate(int ref, Reader& reader, Tree& result, std::string& error) {
  if (!call(ref, reader, nullptr, error)) return false;
  lua_State* state = vm_->lua();
  Problems problems;
  result_ = &result;
  problems_ = &problems;
  lua_rawgeti(state, LUA_REGISTRYINDEX, read_result_ref_);
  lua_insert(state, -2);
  if (!vm_->call(1, 0, error)) return false;
  if (!problems.empty()) error = problems.front().message;
  return problems.empty();
}

}  // namespace ccrules::rules
