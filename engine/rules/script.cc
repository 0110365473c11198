#include "rules/script.h"

#include <algorithm>
#include <utility>

#include <lua.hpp>

#include "core/embedded.h"
#include "core/limits.h"
#include "rules/config_view.h"
#include "rules/lua_stack.h"
#include "rules/lua_tree.h"
#include "rules/sandbox.h"
#include "rules/watchdog.h"

namespace ccrules::rules {

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

  static int push_argument(lua_State* state) {
    push_value(state, *self(state).argument_);
    return 1;
  }

  static int read_result(lua_State* state) {
    const Script& script = self(state);
    *script.result_ = TreeReader(state, *script.problems_, false).read(1, nullptr, {});
    return 0;
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
  std::unique_ptr<Script> script(new Script(grants));
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
        request_.make(state);
        push_function(state, this, Binding::push_argument);
        push_argument_ref_ = luaL_ref(state, LUA_REGISTRYINDEX);
        push_function(state, this, Binding::read_result);
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
  return vm_->protect([this](lua_State* state) { define_config(state, *config_); }, error);
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
  request_.forget_facts(vm_->lua());  // of the state that may go on: from start() on, the list of them is the new one's
  std::unique_ptr<Vm> old = std::move(vm_);
  const std::vector<const SourceFile*> files = std::move(files_);
  const std::size_t declared = std::exchange(declarations_, 0);
  const std::chrono::nanoseconds first_load_time = load_time_;
  files_.clear();
  std::string error;
  bool same = start(error) && vm_->protect([this](lua_State* state) { define_config(state, *config_); }, error);
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

bool Script::call(int ref, Reader& reader, const Value* value, std::string& error) {
  lua_State* state = vm_->lua();
  request_.open(state, reader);
  lua_rawgeti(state, LUA_REGISTRYINDEX, ref);
  bool ready = true;
  if (value != nullptr) {
    argument_ = value;
    lua_rawgeti(state, LUA_REGISTRYINDEX, push_argument_ref_);
    ready = vm_->call(0, 1, error);
  }
  if (ready) {
    request_.push_onto(state);
    ready = vm_->call(value != nullptr ? 2 : 1, 1, error);
  } else {
    lua_pop(state, 1);
  }
  request_.close();
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
