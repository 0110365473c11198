#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "rules/lua_source.h"
#include "rules/reader.h"
#include "rules/tree.h"
#include "rules/vm.h"

namespace ccrules::rules {

/// Something wrong at a place of a file that the context knows.
struct Problem {
  Spot at;
  std::string message;
  std::string hint;
};
using Problems = std::vector<Problem>;

/// `rule "name" { }` and its like, as a Lua file called it.
struct Declaration {
  std::string callee;
  std::string name;
  Tree body;
  Spot at;
  const SourceFile* file = nullptr;
};

/// Lua files in one Vm: loads them, keeps their functions, calls those with `req`. Not thread-safe.
class Script {
 public:
  /// `words`: the prelude file whose words the files may use ("rules/prelude/rules.lua").
  static std::unique_ptr<Script> create(std::string_view words, std::string& error);
  ~Script();
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;

  /// Defines the read-only global `config`: what the built-in pack makes rules from. No keys, no addresses.
  bool set_config(const config::Snapshot& snapshot, std::string& error);
  /// Runs the file; false when it stopped with an error. Declarations come in the order they were made.
  bool load(const SourceFile& file, std::vector<Declaration>& declarations, std::vector<config::Diagnostic>& diagnostics);
  void freeze() { vm_->freeze(); }

  /// Calls a function value of a rule: with `req`, and before it the fact's value when that is given.
  bool test(int ref, Reader& reader, const Value* value, bool& yes, std::string& error);
  bool evaluate(int ref, Reader& reader, Tree& result, std::string& error);
  /// True when the last failure was a limit.
  [[nodiscard]] bool stopped() const { return vm_->stopped(); }

 private:
  struct Loading;
  struct Binding;
  Script() = default;
  bool call(int ref, Reader& reader, const Value* value, std::string& error);

  std::unique_ptr<Vm> vm_;
  Reader* reader_ = nullptr;    // during a call
  Loading* loading_ = nullptr;  // during load()
  int request_ref_ = 0;
  // What the two helpers below work on. They exist from the start because making a function may run out of memory.
  const Value* argument_ = nullptr;
  Tree* result_ = nullptr;
  Problems* problems_ = nullptr;
  int push_argument_ref_ = 0;
  int read_result_ref_ = 0;
};

}  // namespace ccrules::rules
