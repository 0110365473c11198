#pragma once
#include <string>
#include <vector>

#include "rules/decision.h"

namespace ccrules::rules {

/// What two decisions about the same request do differently in one slot.
struct Change {
  /// "to", "fallback", "set.max_tokens", "headers.x-team", "tag.experiment", "cache", "budget", "strict"; of a failed attempt or a reply
  /// with that in front: "error.retry", "response.next_fallback"
  std::string slot;
  std::string before;  ///< as text; empty: nothing. What headers are set to is not told: it may be a credential
  std::string after;
  std::string rule = {};  ///< that asks for `after`; empty: the one that chose the target
  /// Somebody outside notices: all but tags and who pays.
  [[nodiscard]] bool outside() const;
};

/// Where a request goes: "openai,gpt-6.1-sol", "denied (403)", "bad request", "no target".
std::string destination(const Decision& decision);
/// "min 5", "remove", ...: what an edit does to its field.
std::string edit_text(const FieldEdit& edit);

/// `to` first, then by slot. Names of rules, reasons and messages do not count.
std::vector<Change> changes_between(const Decision& before, const Decision& after);
/// About the same attempt: "deny", "to", "retry", "next_fallback", "tag.NAME". What no rule claims is the built-in policy's, and
/// empty here.
std::vector<Change> changes_between(const AttemptDecision& before, const AttemptDecision& after);

}  // namespace ccrules::rules
