#include "rules/vm.h"

#include <algorithm>
#include <cstdlib>

#include <lua.hpp>

#include "core/limits.h"
#include "rules/sandbox.h"
#include "rules/tree.h"
#include "rules/watchdog.h"

namespace ccrules::rules {
namespace {

constexpr int kCollectAtPercent = 120;  // collect soon: the cap counts garbage too

void abort_hook(lua_State* state, lua_Debug*) {
  Vm::of(state).note_stop();
  lua_pushliteral(state, "stopped");
  lua_error(state);
}

void line_hook(lua_State* state, lua_Debug* frame) {
  Vm::Lines* lines = Vm::of(state).lines();
  if (lines == nullptr || lua_getinfo(state, "Sl", frame) == 0 || frame->source[0] != '@') return;
  (*lines)[frame->source + 1].insert(frame->currentline);
}

struct Trampoline {
  void (*invoke)(lua_State*, void*);
  void* context;
};

int run_trampoline(lua_State* state) {
  auto* trampoline = static_cast<Trampoline*>(lua_touserdata(state, 1));
  lua_settop(state, 0);
  trampoline->invoke(state, trampoline->context);
  return 0;
}

}  // namespace

void* Vm::allocate(void* context, void* block, std::size_t old_bytes, std::size_t new_bytes) {
  Vm& vm = *static_cast<Vm*>(context);
  if (new_bytes == 0) {
    vm.used_bytes_ -= old_bytes;
    std::free(block);
    return nullptr;
  }
  if (new_bytes > old_bytes && vm.used_bytes_ - old_bytes + new_bytes > limits::kLuaBytes) {
    vm.out_of_memory_ = true;
    vm.note_stop();
    return nullptr;
  }
  void* moved = std::realloc(block, new_bytes);
  if (moved != nullptr) vm.used_bytes_ += new_bytes - old_bytes;
  return moved;
}

std::unique_ptr<Vm> Vm::create() {
  std::unique_ptr<Vm> vm(new Vm);
  vm->lua_ = lua_newstate(&Vm::allocate, vm.get());
  if (vm->lua_ == nullptr) return nullptr;
  // A compiled loop never looks at hooks, so it could not be stopped.
  luaJIT_setmode(vm->lua_, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
  lua_gc(vm->lua_, LUA_GCSETPAUSE, kCollectAtPercent);
  std::string error;
  vm->collect_above_ = limits::kLuaBytes / 2;
  if (!vm->protect([](lua_State* state) { install_sandbox(state); }, error)) return nullptr;
  return vm;
}

Vm::~Vm() {
  if (lua_ != nullptr) lua_close(lua_);
}

Vm& Vm::of(lua_State* state) noexcept {
  void* context = nullptr;
  lua_getallocf(state, &context);
  return *static_cast<Vm*>(context);
}

bool Vm::run(std::string_view chunk, const std::string& name, std::string& error, std::string* result) {
  if (!chunk.empty() && chunk.front() == LUA_SIGNATURE[0]) {
    error = name + " is compiled Lua; only source text is accepted";
    return false;
  }
  if (!enter(error)) return false;
  const std::string label = "@" + name;
  int status = luaL_loadbuffer(lua_, chunk.data(), chunk.size(), label.c_str());
  chunk_ = &label;
  if (status == 0) status = lua_pcall(lua_, 0, result != nullptr ? 1 : 0, 0);
  chunk_ = nullptr;
  if (!finish(status, error)) return false;
  if (result == nullptr) return true;
  switch (lua_type(lua_, -1)) {
    case LUA_TSTRING: *result = lua_tostring(lua_, -1); break;
    case LUA_TNUMBER: *result = number_text(lua_tonumber(lua_, -1)); break;
    case LUA_TBOOLEAN: *result = lua_toboolean(lua_, -1) != 0 ? "true" : "false"; break;
    default: *result = luaL_typename(lua_, -1); break;
  }
  lua_pop(lua_, 1);
  return true;
}

bool Vm::call(int arguments, int results, std::string& error) {
  if (!enter(error)) {
    lua_pop(lua_, arguments + 1);
    return false;
  }
  return finish(lua_pcall(lua_, arguments, results, 0), error);
}

bool Vm::protect_with(Invoke invoke, void* context, std::string& error) {
  if (!enter(error)) return false;
  Trampoline trampoline{invoke, context};
  return finish(lua_cpcall(lua_, run_trampoline, &trampoline), error);
}

void Vm::work(std::size_t steps) {
  if (abort_ == 0 && steps <= steps_left_) {
    steps_left_ -= steps;
    return;
  }
  steps_left_ = 0;
  abort_ = 1;
  note_stop();
  lua_sethook(lua_, abort_hook, LUA_MASKCOUNT, 1);
  lua_pushliteral(lua_, "stopped");
  lua_error(lua_);
}

void Vm::stop_from_signal() noexcept {
  abort_ = 1;
  lua_sethook(lua_, abort_hook, LUA_MASKCOUNT, 1);
}

// The frame nearest to where it stopped that belongs to the chunk: others are of the prelude, or of functions of other files.
void Vm::note_stop() noexcept {
  if (chunk_ == nullptr || stopped_line_ != 0) return;
  lua_Debug frame;
  for (int level = 0; lua_getstack(lua_, level, &frame) != 0; ++level) {
    if (lua_getinfo(lua_, "Sl", &frame) == 0 || *chunk_ != frame.source) continue;
    stopped_line_ = std::max(frame.currentline, 0);
    return;
  }
}

void Vm::keep() noexcept {
  lua_gc(lua_, LUA_GCCOLLECT, 0);
  const std::size_t half_of_the_rest = used_bytes_ + (limits::kLuaBytes - std::min(used_bytes_, limits::kLuaBytes)) / 2;
  collect_above_ = std::max(limits::kLuaBytes / 2, half_of_the_rest);
}

void Vm::note_lines(Lines* lines) noexcept {
  lines_ = lines;
  idle();
}

// The hook while nothing is being stopped.
void Vm::idle() noexcept {
  if (lines_ != nullptr) {
    lua_sethook(lua_, line_hook, LUA_MASKLINE, 0);
  } else {
    lua_sethook(lua_, nullptr, 0, 0);
  }
}

bool Vm::enter(std::string& error) {
  stopped_line_ = 0;
  stopped_ = CpuBudget::spent();
  if (stopped_) {
    error = "the decision's CPU time was used up before";
    return false;
  }
  if (abort_ != 0) {  // a stop that came too late for the call it was meant for
    abort_ = 0;
    idle();
  }
  steps_left_ = limits::kLuaSteps;
  depth = 0;
  outer_ = CpuBudget::set_running(this);
  return true;
}

bool Vm::finish(int status, std::string& error) {
  CpuBudget::set_running(outer_);
  const bool memory = out_of_memory_;
  const bool aborted = abort_ != 0;
  if (aborted) {
    idle();
    abort_ = 0;
  }
  out_of_memory_ = false;
  if (status == 0) {
    if (used_bytes_ > collect_above_) lua_gc(lua_, LUA_GCCOLLECT, 0);
    return true;
  }

  stopped_ = memory || aborted;
  if (memory) {
    error = "used more than " + std::to_string(limits::kLuaBytes >> 20U) + " MiB of memory";
  } else if (aborted && steps_left_ != 0) {
    error = "used more than its CPU time";
  } else if (aborted) {
    error = "did too much work in library functions";
  } else if (lua_type(lua_, -1) == LUA_TSTRING) {
    std::size_t size = 0;
    const char* text = lua_tolstring(lua_, -1, &size);
    error.assign(text, size);
  } else {
    error = std::string("raised ") + lua_typename(lua_, lua_type(lua_, -1)) + " instead of a message";
  }
  lua_pop(lua_, 1);
  if (stopped_) lua_gc(lua_, LUA_GCCOLLECT, 0);
  return false;
}

}  // namespace ccrules::rules
