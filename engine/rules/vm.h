#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

struct lua_State;

namespace ccrules::rules {

/// One LuaJIT state with the JIT off, a memory cap and the sandbox of rules.md, chapter 7. Not thread-safe. Whatever the Lua code
/// does, a call returns: its time is bounded by the CpuBudget that must be alive, its memory by limits::kLuaBytes, the work
/// of library functions by limits::kLuaSteps; afterwards the state is usable again.
class Vm {
 public:
  /// Null when there is no memory.
  static std::unique_ptr<Vm> create();
  ~Vm();
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;
  static Vm& of(lua_State* state) noexcept;

  [[nodiscard]] lua_State* lua() const noexcept { return lua_; }

  /// Compiles and runs a chunk. `name` appears in its messages ("rules/my.lua"). `result`, when given, takes the first value
  /// the chunk returns: a string, number or boolean as text, of anything else its type.
  bool run(std::string_view chunk, const std::string& name, std::string& error, std::string* result = nullptr);
  /// The function and `arguments` values are on the stack; on success `results` values replace them, on failure none.
  bool call(int arguments, int results, std::string& error);
  /// Runs host code that uses the Lua API and might run out of memory. `code` takes lua_State*.
  template <class Code>
  bool protect(Code&& code, std::string& error) {
    auto invoke = [](lua_State* state, void* context) { (*static_cast<std::remove_reference_t<Code>*>(context))(state); };
    return protect_with(invoke, &code, error);
  }

  /// From now on globals cannot be changed. Before, rule files may define their own.
  void freeze() noexcept {
    frozen_ = true;
    keep();
  }
  [[nodiscard]] bool frozen() const noexcept { return frozen_; }
  /// True when the last failure was a limit (time, memory, work), not an error of the code.
  [[nodiscard]] bool stopped() const noexcept { return stopped_; }
  /// The line of the chunk given to run() where the last limit struck; 0 when none did, or in code of another chunk.
  [[nodiscard]] int stopped_line() const noexcept { return stopped_line_; }
  [[nodiscard]] std::size_t used_bytes() const noexcept { return used_bytes_; }
  /// True when calls left behind so much that cannot be collected that little memory remains for others.
  [[nodiscard]] bool hoards() const noexcept { return used_bytes_ > collect_above_; }
  /// What is in use now belongs to the state: only more than that is hoarded.
  void keep() noexcept;

  /// Notes every line that runs, by name of its chunk; null ends it. Slow: for coverage of tests. `lines` must outlive the calls.
  using Lines = std::map<std::string, std::set<int>>;
  void note_lines(Lines* lines) noexcept;
  [[nodiscard]] Lines* lines() const noexcept { return lines_; }

  // --- for the sandbox's own functions
  /// Counts `steps` of work; does not return when that is too much or the code is being stopped.
  void work(std::size_t steps);
  /// True while code is being stopped: nothing may catch that.
  [[nodiscard]] bool stopping() const noexcept { return abort_ != 0 || out_of_memory_; }
  /// Nesting of calls from C into Lua (pcall, gsub and sort callbacks).
  int depth = 0;

  /// Async-signal-safe as LuaJIT's own interrupt handler is: sets a hook.
  void stop_from_signal() noexcept;
  /// Notes where the code is that a limit stops now.
  void note_stop() noexcept;

 private:
  Vm() = default;
  using Invoke = void (*)(lua_State*, void*);
  bool protect_with(Invoke invoke, void* context, std::string& error);
  bool finish(int status, std::string& error);
  bool enter(std::string& error);
  void idle() noexcept;
  static void* allocate(void* context, void* block, std::size_t old_bytes, std::size_t new_bytes);

  lua_State* lua_ = nullptr;
  Lines* lines_ = nullptr;
  std::size_t used_bytes_ = 0;
  std::size_t collect_above_ = 0;  ///< at the end of a call, so that its garbage does not stop the next one; set by keep()
  bool out_of_memory_ = false;
  bool frozen_ = false;
  bool stopped_ = false;
  int stopped_line_ = 0;
  const std::string* chunk_ = nullptr;  ///< "@rules/my.lua" while it runs for the first time
  std::size_t steps_left_ = 0;
  Vm* outer_ = nullptr;
  std::atomic<int> abort_ = 0;  // set in a signal handler; lock-free
};

}  // namespace ccrules::rules
