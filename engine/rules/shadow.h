#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"
#include "core/result.h"
#include "rules/api.h"
#include "rules/change.h"
#include "rules/engine.h"
#include "rules/time_share.h"

namespace ccrules::rules {

/// What candidate rules would have done with a request that the live ones decided.
struct Comparison {
  std::string ruleset;          ///< hash of the candidate
  std::string rule;             ///< that chose the target, in the candidate
  std::vector<Change> changes;  ///< empty: nothing
  std::vector<std::string> failed_rules;
};
/// As the ledger keeps it: {"ruleset","rule"?,"changes"?:[{"slot","before"?,"after"?,"rule"?}],"failed"?:[name]}.
std::string to_json(const Comparison& comparison);
Result<Comparison> read_comparison(std::string_view json);

/// Candidate rules beside the live ones: they decide the same requests, and nothing of it reaches the request. They get a
/// fiftieth of the worker's time; requests that come when it is used up are not compared. One per worker, not thread-safe.
class Shadow {
 public:
  explicit Shadow(std::unique_ptr<Engine> candidate) : candidate_(std::move(candidate)) {}
  /// to_json() of the comparison; empty when there was no time for it. Call after the live decision, with the same facts.
  std::string compare(const Facts& facts, const Decision& live);
  /// True when it matters what the candidate makes of a failed attempt, or of a reply.
  [[nodiscard]] bool asks(api::On on) const {
    return on == api::On::kError ? candidate_->has_error_rules() : candidate_->has_response_rules();
  }
  /// What the candidate would have done about the attempt, added to what compare() told of its request. That one went where the
  /// live rules sent it: what it would have met elsewhere nobody knows.
  void compare(api::On on, const Facts& facts, const AttemptDecision& live, std::string& told);
  [[nodiscard]] const Engine& candidate() const { return *candidate_; }

 private:
  std::unique_ptr<Engine> candidate_;
  TimeShare share_{limits::kShadowPart, limits::kShadowReserve.count()};
};

}  // namespace ccrules::rules
