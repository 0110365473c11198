#pragma once
#include <cstdint>
#include <vector>

#include "rules/reader.h"
#include "rules/source.h"
#include "rules/targets.h"
#include "rules/zone.h"

struct lua_State;

namespace ccrules::rules {

/// `req`, as the functions of rules see it: facts that are read when they are asked for, and kept for the other functions of the same
/// decision. Belongs to one Lua state, which must not outlive it. Not thread-safe.
class RequestView {
 public:
  /// `grants`: facts that are not granted do not exist in it.
  explicit RequestView(const Grants& grants) : grants_(grants) {}
  RequestView(const RequestView&) = delete;
  RequestView& operator=(const RequestView&) = delete;

  /// What names of targets mean to req.warm(); must outlive the view.
  void set_targets(const Targets* targets) { targets_ = targets; }
  /// The zones of req.time_in(); must outlive the view.
  void set_zones(Zones* zones) { zones_ = zones; }

  /// Makes `req` in a new state. Within Vm::protect().
  void make(lua_State* state);
  void push_onto(lua_State* state) const;
  /// `req` tells of this request until close(). Needs no memory.
  void open(lua_State* state, Reader& reader);
  void close() { reader_ = nullptr; }
  /// Takes the facts it has kept out of the state again, which must be the one of the last make(). Needs no memory.
  void forget_facts(lua_State* state);

 private:
  struct Binding;

  Grants grants_;
  const Targets* targets_ = nullptr;
  Zones* zones_ = nullptr;
  Reader* reader_ = nullptr;  ///< between open() and close()
  int request_ref_ = 0;
  // Facts that `req` keeps for the functions of one decision: rows of api::facts().
  int kept_facts_ref_ = 0;
  int fact_names_ref_ = 0;
  std::vector<int> kept_;
  std::uint64_t kept_for_ = 0;  ///< Reader::id()
};

}  // namespace ccrules::rules
