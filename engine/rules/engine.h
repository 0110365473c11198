#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "config/snapshot.h"
#include "core/world.h"
#include "rules/decision.h"
#include "rules/facts.h"
#include "rules/source.h"

namespace ccrules::rules {

/// A rule that failed since the rules were loaded.
struct RuleStatus {
  std::string rule;
  std::string pack;   ///< empty: the user's own files
  std::string where;  ///< "rules/my.lua:12"
  const char* layer = "user";
  bool may_deny = false;
  bool quarantined = false;  ///< its functions no longer run; what it may deny is denied
  std::int64_t quarantined_since_us = 0;
  std::uint64_t failures = 0;
  std::uint64_t stops = 0;  ///< failures by a limit
  std::string last_error;
};

/// What /status shows of one worker's rules.
struct EngineStatus {
  std::shared_ptr<const RuleSetRef> rule_set;
  std::size_t rules = 0;
  std::vector<RuleStatus> troubled;  ///< in order of precedence
};

struct LoadHooks;
struct RuleSet;

/// All rules of one worker, by layers: enforced, user, project, packs, built-in. Owns its LuaJIT states. Not thread-safe;
/// each worker has its own, built from the same sources.
class Engine {
 public:
  /// Null when a file cannot be loaded; `diagnostics` then says why, each at its own line.
  static std::unique_ptr<Engine> load(const config::Snapshot& snapshot, const Files& files,
                                      std::vector<config::Diagnostic>& diagnostics, const LoadHooks* hooks = nullptr);
  /// The same from sources that the caller gathered (a pack on its own, rules that are not installed yet).
  static std::unique_ptr<Engine> load(const config::Snapshot& snapshot, const Files& files, std::vector<RuleSource> sources,
                                      std::vector<config::Diagnostic>& diagnostics, const LoadHooks* hooks = nullptr);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Bounded time, no I/O. A rule that fails is skipped and named in Decision::failed_rules (one that may deny: fails closed).
  /// `trace` may be null: then nothing is recorded and it costs nothing.
  Decision decide(const Facts& facts, Trace* trace = nullptr);
  /// Rules with on = "error". Empty decision when none matches.
  AttemptDecision decide_error(const Facts& facts, Trace* trace = nullptr);
  /// Rules with on = "response".
  AttemptDecision decide_response(const Facts& facts, Trace* trace = nullptr);
  [[nodiscard]] bool has_error_rules() const noexcept;
  [[nodiscard]] bool has_response_rules() const noexcept;
  [[nodiscard]] std::string_view hash() const noexcept;
  [[nodiscard]] std::size_t rule_count() const noexcept;
  /// What rules mean by a name: an alias, a route, "provider,model". Nothing when it is no target.
  [[nodiscard]] std::optional<Target> resolve(std::string_view name) const;
  /// Warnings about rules that load and cannot work as written; see check() in dry_run.h.
  [[nodiscard]] std::vector<config::Diagnostic> review() const;

  /// On the engine's own thread.
  [[nodiscard]] EngineStatus status() const;

  /// For coverage and measurements; lives as long as the engine.
  [[nodiscard]] const RuleSet& rules() const noexcept;

  struct Impl;

 private:
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ccrules::rules
