#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "config/snapshot.h"
#include "rules/lua_diagnostics.h"
#include "rules/lua_source.h"
#include "rules/problem.h"
#include "rules/reader.h"
#include "rules/request_view.h"
#include "rules/source.h"
#include "rules/targets.h"
#include "rules/tree.h"
#include "rules/vm.h"

namespace ccrules::rules {

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
  /// `grants`: facts that are not granted do not exist in it.
  static std::unique_ptr<Script> create(std::string_view words, std::string& error, const Grants& grants = Grants());
  ~Script();
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;

  /// Defines the read-only global `config`: what the built-in pack makes rules from. No keys, no addresses.
  bool set_config(const config::Snapshot& snapshot, std::string& error);
  /// Runs the file, which must outlive the script; false when it stopped with an error. Declarations come in the order they were made.
  bool load(const SourceFile& file, std::vector<Declaration>& declarations, std::vector<config::Diagnostic>& diagnostics);
  void freeze() { vm_->freeze(); }
  /// See Vm::note_lines; the names are those of chunk_name().
  void note_lines(Vm::Lines* lines) {
    lines_ = lines;
    vm_->note_lines(lines);
  }
  /// What names of targets mean to req.warm(); must outlive the script.
  void set_targets(const Targets* targets) { request_.set_targets(targets); }
  /// The zones of req.time_in(); must outlive the script.
  void set_zones(Zones* zones) {
    zones_ = zones;
    request_.set_zones(zones);
  }

  /// Calls a function value of a rule: with `req`, and before it the fact's value when that is given.
  bool test(int ref, Reader& reader, const Value* value, bool& yes, std::string& error);
  bool evaluate(int ref, Reader& reader, Tree& result, std::string& error);
  /// True when the last failure was a limit.
  [[nodiscard]] bool stopped() const { return vm_->stopped(); }
  /// True when the state keeps so much memory that its rules can hardly run: functions hoard it in their upvalues.
  [[nodiscard]] bool hoards() const { return vm_->hoards(); }
  /// Replaces the state by a fresh one that loaded the same files; functions keep their references. When that would take too long
  /// or gives something else, the old state goes on, as far as it can. Precondition: no function runs.
  void renew();

 private:
  struct Loading;
  struct Binding;
  explicit Script(const Grants& grants) : request_(grants), grants_(grants) {}
  bool start(std::string& error);
  bool load_again();
  bool call(int ref, Reader& reader, const Value* value, std::string& error);

  RequestView request_;
  std::unique_ptr<Vm> vm_;
  Vm::Lines* lines_ = nullptr;
  Loading* loading_ = nullptr;  // during load()
  Grants grants_;
  Zones* zones_ = nullptr;
  // What it takes to load everything again.
  std::string words_;
  std::unique_ptr<const config::Snapshot> config_;  // only what rules may see
  std::vector<const SourceFile*> files_;
  std::size_t declarations_ = 0;
  std::chrono::nanoseconds load_time_{0};
  // What the two helpers below work on. They exist from the start because making a function may run out of memory.
  const Value* argument_ = nullptr;
  Tree* result_ = nullptr;
  Problems* problems_ = nullptr;
  int push_argument_ref_ = 0;
  int read_result_ref_ = 0;
};

}  // namespace ccrules::rules
