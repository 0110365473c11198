#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ccrules::rules {

struct Target {
  std::string provider;
  std::string model;
  bool operator==(const Target&) const = default;
};

/// One change of a request member, asked for by `set.<field>` or a route's parameters.
struct FieldEdit {
  enum class Kind : std::uint8_t { kSet, kAtMost, kAtLeast, kDefault, kRemove };
  std::string field;  ///< neutral dotted name: "max_tokens", "thinking.budget_tokens", "temperature", "effort"
  Kind kind = Kind::kSet;
  std::string value_json;
};

struct HeaderEdit {
  std::string name;
  std::optional<std::string> value;  ///< nullopt: remove
};

struct Deny {
  int status = 403;
  std::string message;
  std::string type;  ///< error type shown to the client; empty: by status
};

/// What the rules want done with a request. Slots nobody claimed are empty.
struct Decision {
  std::string rule;    ///< name of the rule that won `to` (or `deny`)
  std::string reason;  ///< "token count (72000) exceeds threshold"
  std::optional<Deny> deny;
  std::vector<Target> targets;  ///< the choice, then its fallbacks, without repeats; empty only with deny or no_target
  std::string no_target;        ///< why nothing fits (a 404 that lists what exists)
  std::string bad_request;      ///< a 400 ("provider,model" with an empty half); empty otherwise
  std::vector<FieldEdit> edits;
  std::vector<HeaderEdit> headers;
  std::map<std::string, std::string> tags;
  std::vector<std::string> failed_rules;  ///< rules skipped because they threw or ran out of budget
};

/// What the rules want done about a failed attempt. Defaults: the built-in policy of proxy/attempts.cc.
struct ErrorDecision {
  std::string rule;
  std::optional<bool> retry;  ///< same target again
  std::chrono::milliseconds retry_after{-1};      ///< -1: what the upstream asked for, else backoff
  std::chrono::milliseconds retry_at_most{10000};
  std::optional<bool> next_fallback;
  std::optional<Target> to;  ///< go there instead
};

struct Claim {
  std::string slot;   ///< "to", "fallback", "deny", "set.max_tokens", "headers.x-team", "tag.experiment"
  std::string value;  ///< as text
  std::string rule;
  std::string where;  ///< "rules/my.lua:12"
  bool shadowed = false;
};

/// Why one rule did or did not take part.
struct RuleTrace {
  std::string rule;
  std::string where;
  bool matched = false;
  std::string failed_condition;  ///< "spend_today >= 25"
  std::string actual;            ///< "0"
  std::string error;             ///< the rule threw or was stopped
};

/// The full story of one decision; only built when asked for (explain, test, and later the ledger).
struct Trace {
  std::string ruleset;  ///< hash of all rule sources
  std::vector<Claim> claims;
  std::vector<RuleTrace> rules;
  std::map<std::string, std::string> facts_read;  ///< name -> JSON value
  std::int64_t time_ns = 0;
};

/// Stable JSON of a decision with its trace; members are only ever added:
/// {"v":1, "id", "ruleset", "rule", "reason", "deny"?: {"status","message","type"?}, "no_target"?, "bad_request"?,
///  "targets": [{"provider","model"}], "set": [{"field","kind": set|max|min|default|remove,"value"?}],
///  "headers": {name: value or null for remove}, "tags": {name: value}, "failed_rules": [name],
///  "claims": [{"slot","value","rule","where","shadowed"}],
///  "rules": [{"rule","where","matched","failed_condition"?,"actual"?,"error"?}], "facts_read": {name: value}, "time_ns"}
std::string to_json(const Decision& decision, const Trace& trace, std::string_view decision_id);

}  // namespace ccrules::rules
