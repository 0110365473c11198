#include "rules/request_view.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lua.hpp>

#include "core/limits.h"
#include "core/text.h"
#include "rules/api.h"
#include "rules/lua_stack.h"
#include "rules/tree.h"

namespace ccrules::rules {
namespace {

constexpr lua_Number kMostMessages = 1e6;
constexpr std::size_t kKeptTextBytes = 1024;

}  // namespace

/// The functions Lua code reaches; all find their RequestView as upvalue 1.
struct RequestView::Binding {
  static RequestView& self(lua_State* state) {
    return *static_cast<RequestView*>(lua_touserdata(state, lua_upvalueindex(1)));
  }

  static Reader& reader(lua_State* state) {
    RequestView& view = self(state);
    if (view.reader_ == nullptr) luaL_error(state, "req can only be read while the rule is being decided");
    return *view.reader_;
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

  static bool read_local_time(const RequestView& view, Reader& facts, const char* name, LocalTime& local) {
    Zones offsets(system_files());
    offsets.seal();
    const Result<Zone> zone = (view.zones_ != nullptr ? *view.zones_ : offsets).load(name);
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
    RequestView& view = self(state);
    lua_rawgeti(state, LUA_REGISTRYINDEX, view.kept_facts_ref_);
    lua_pushvalue(state, 2);
    lua_pushvalue(state, -3);
    view.kept_.push_back(static_cast<int>(&row - api::facts().data()));
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

  static int read_only(lua_State* state) { return luaL_error(state, "facts are read-only: return effects instead"); }

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
  static void make_request(lua_State* state, RequestView* view) {
    const std::size_t facts = api::facts().size();
    view->kept_.clear();
    view->kept_.reserve(facts);
    lua_createtable(state, static_cast<int>(facts), 0);
    for (std::size_t i = 0; i < facts; ++i) {
      lua_pushstring(state, api::facts()[i].name);
      lua_rawseti(state, -2, static_cast<int>(i) + 1);
    }
    view->fact_names_ref_ = luaL_ref(state, LUA_REGISTRYINDEX);
    push_request_index(state, view);
    lua_createtable(state, 0, static_cast<int>(facts));
    lua_createtable(state, 0, 1);
    lua_pushvalue(state, -3);
    lua_setfield(state, -2, "__index");
    lua_setmetatable(state, -2);
    lua_remove(state, -2);
    lua_pushvalue(state, -1);
    view->kept_facts_ref_ = luaL_ref(state, LUA_REGISTRYINDEX);
    push_view(state);
    view->request_ref_ = luaL_ref(state, LUA_REGISTRYINDEX);
  }

  static void push_request_index(lua_State* state, RequestView* view) {
    lua_pushlightuserdata(state, view);
    lua_newtable(state);
    for (std::size_t i = 0; i < api::facts().size(); ++i) {
      if (!view->grants_.allows(api::facts()[i].need)) continue;
      lua_pushinteger(state, static_cast<lua_Integer>(i));
      lua_setfield(state, -2, api::facts()[i].name);
    }
    lua_newtable(state);
    constexpr std::pair<const char*, lua_CFunction> kFunctions[] = {
        {"bucket", bucket}, {"spend", spend},   {"budget_left", budget_left}, {"rate", rate},
        {"health", health}, {"warm", warm},     {"time_in", time_in}};
    const auto granted = [view](const char* name) {
      const api::FactRow* row = api::find_fact(name);
      return row == nullptr || view->grants_.allows(row->need);
    };
    for (const auto& [name, function] : kFunctions) {
      if (!granted(name)) continue;
      push_function(state, view, function);
      lua_setfield(state, -2, name);
    }
    constexpr std::pair<const char*, lua_CFunction> kViews[] = {
        {"text", text_index}, {"headers", header_index}, {"body", body_index}};
    for (const auto& [name, function] : kViews) {
      if (!granted(name)) continue;
      push_function(state, view, function);
      push_view(state);
      lua_setfield(state, -2, name);
    }
    if (granted("messages")) {
      push_function(state, view, message_index);
      push_view(state);
      lua_getmetatable(state, -1);
      push_function(state, view, message_count);
      lua_setfield(state, -2, "__len");
      lua_pop(state, 1);
      lua_setfield(state, -2, "messages");
    }
    lua_pushcclosure(state, request_index, 3);
  }
};

void RequestView::make(lua_State* state) { Binding::make_request(state, this); }

void RequestView::push_onto(lua_State* state) const { lua_rawgeti(state, LUA_REGISTRYINDEX, request_ref_); }

void RequestView::open(lua_State* state, Reader& reader) {
  reader_ = &reader;
  if (kept_for_ == reader.id()) return;
  if (!kept_.empty()) forget_facts(state);
  kept_for_ = reader.id();
}

// Needs no memory, so it cannot fail.
void RequestView::forget_facts(lua_State* state) {
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

}  // namespace ccrules::rules
