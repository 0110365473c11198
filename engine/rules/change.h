#pragma once
#include <string>
#include <vector>

#include "rules/decision.h"

namespace ccrules::rules {

/// What two decisions about the same request do differently in one slot.
struct Change {
  std::string slot;    ///< "to", "fallback", "set.max_tokens", "headers.x-team", "tag.experiment", "cache", "budget"
  std::string before;  ///< as text; empty: nothing. What headers are set to is not told: it may be a credential
  std::string after;
  /// Somebody outside notices: all but tags and who pays.
  [[nodiscard]] bool outside() const;
};

/// Where a request goes: "openai,gpt-6.1-sol", "denied (403)", "bad request", "no target".
std::string destination(const Decision& decision);
/// "min 5", "remove", ...: what an edit does to its field.
std::string edit_text(const FieldEdit& edit);

/// `to` first, then by slot. Names of rules, reasons and messages do not count.
std::vector<Change> changes_between(const Decision& before, const Decision& after);

}  // namespace ccrules::rules
