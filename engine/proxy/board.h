#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/json.h"
#include "rules/engine.h"
#include "rules/impact.h"

namespace ccrules::proxy {

/// What became of a try to bring configuration and rules in force.
struct ReloadReport {
  enum class Outcome : std::uint8_t {
    kLive,     ///< they decide from now on
    kRefused,  ///< they have errors; the last good ones stay
    kHeld      ///< they load, and a gate keeps them out until a person accepts them; the last good ones stay
  };
  Outcome outcome = Outcome::kRefused;
  std::int64_t at_us = 0;
  std::string ruleset;           ///< hash of the rules that were tried; empty when they do not load
  std::vector<std::string> why;  ///< lines for people
  std::int64_t tests = 0, failed_tests = 0;
  std::int64_t judged = 0, not_judged = 0, changed = 0;  ///< recent decisions, see rules/impact.h
  std::vector<rules::Impact::Move> moves;
};
const char* outcome_name(ReloadReport::Outcome outcome) noexcept;
/// {"schema":"ccrules.reload/1","outcome": live|refused|held,"at_us","ruleset","why":[...],"tests","failed_tests",
///  "impact":{"judged","not_judged","changed","moves":[{"from","to","rule","example","requests"}]}}.
std::string to_json(const ReloadReport& report);

/// What operators see of the rules: which are in force, which of them are in trouble, what became of the last reload. One
/// for the process; any thread.
class Board {
 public:
  struct InForce {
    std::shared_ptr<const rules::RuleSetRef> rule_set;
    std::int64_t since_us = 0;
    std::string candidate;  ///< hash of the rules of `shadow`; empty: none
  };
  void in_force(InForce rules);
  void tried(ReloadReport report);
  /// A worker's rules in trouble, whenever one failed. `worker` tells workers apart.
  void troubled(const void* worker, const rules::EngineStatus& status);

  /// Members for GET /status: "since_us","packs":[...],"candidate"?,
  /// "troubled":[{"rule","pack"?,"where","layer","may_deny","quarantined","failures","stops","last_error"}],
  /// "last_reload"?: to_json(ReloadReport).
  void write(json::Writer& out) const;

 private:
  mutable std::mutex mutex_;
  InForce in_force_;
  std::unique_ptr<ReloadReport> last_;
  std::map<const void*, rules::EngineStatus> workers_;
};

}  // namespace ccrules::proxy
