#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ccrules::rules {

struct Target {
  std::string provider;
  std::string model;
  bool operator==(const Target&) const = default;
};

/// "provider,model".
std::string target_text(const Target& target);
/// Words with commas between them: "tools*, !cache_control".
std::string listed(const std::vector<std::string>& words);

/// One change of a request member, asked for by `set.<field>` or a route's parameters.
struct FieldEdit {
  enum class Kind : std::uint8_t {
    kSet, kAtMost, kAtLeast, kDefault, kRemove,
    kOneOf  ///< value_json is a list: a value that is not in it becomes its first
  };
  std::string field;  ///< neutral dotted name: "max_tokens", "thinking.budget_tokens", "temperature", "effort"
  Kind kind = Kind::kSet;
  std::string value_json;
  bool operator==(const FieldEdit&) const = default;
};

struct HeaderEdit {
  std::string name;
  std::optional<std::string> value;  ///< nullopt: remove
  bool operator==(const HeaderEdit&) const = default;
};

struct Deny {
  int status = 403;
  std::string message;
  std::string type;  ///< error type shown to the client; empty: by status
  bool operator==(const Deny&) const = default;
};

/// What the response cache may do with a request. Unset: what the configuration says.
struct CachePolicy {
  bool use = true;
  std::chrono::milliseconds ttl{-1};  ///< -1: the configuration's
  std::string scope;                  ///< who shares answers: "session", "user", "project", "all"; empty: the configuration's
  std::vector<std::string> keep;      ///< stop reasons whose answers are kept, too: some of kept_on_request(), in its order
  bool operator==(const CachePolicy&) const = default;
};

/// The stop reasons whose answers the cache keeps only when a rule says so. "pause_turn" is none of them: such an answer is to be
/// gone on with at the provider that gave it.
std::span<const std::string_view> kept_on_request() noexcept;

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
  std::optional<CachePolicy> cache;
  std::optional<std::vector<std::string>> strict;  ///< globs of what must not be lost (config::Snapshot::strict)
  std::string budget;  ///< scope of the budget that pays, such as "project:web"; empty: the usual ones
  std::vector<std::string> failed_rules;  ///< rules skipped because they threw or ran out of budget
  bool operator==(const Decision&) const = default;
};

/// Whether both do the same with a request, whatever their reasons and the rules that failed on the way.
bool same_effect(Decision one, const Decision& other);

/// What the rules want done about a failed attempt, or about a reply before its first content goes to the client. Slots nobody
/// claimed: the built-in policy of proxy/verdict.cc.
struct AttemptDecision {
  std::string rule;
  std::optional<Deny> deny;   ///< no further attempt: the client gets this
  std::optional<bool> retry;  ///< same target again
  std::chrono::milliseconds retry_after{-1};      ///< -1: what the upstream asked for, else backoff
  std::chrono::milliseconds retry_at_most{10000};
  std::optional<bool> next_fallback;
  std::optional<Target> to;  ///< go there instead
  std::map<std::string, std::string> tags;
  std::vector<std::string> failed_rules;
  /// True when the reply or failure at hand is not what the client shall get.
  [[nodiscard]] bool moves_on() const { return deny || to || retry == true || next_fallback == true; }
};

struct Claim {
  std::string slot;   ///< "to", "fallback", "deny", "set.max_tokens", "headers.x-team", "tag.experiment"
  std::string value;  ///< as text
  std::string rule;
  std::string where;  ///< "rules/my.lua:12"
  bool shadowed = false;
  std::string pack;   ///< empty: the user's own files
};

/// Why one rule did or did not take part.
struct RuleTrace {
  std::string rule;
  std::string where;
  bool matched = false;
  std::string failed_condition;  ///< "spend_today >= 25"
  std::string actual;            ///< "0"
  std::string error;             ///< the rule threw or was stopped
  std::string pack;              ///< empty: the user's own files
  const char* layer = "user";    ///< layer_name()
  bool quarantined = false;
  std::int64_t time_ns = 0;
};

/// Where rules come from, for traces.
struct PackRef {
  std::string name;
  std::string version;
  std::string layer;
};

/// A rule that another one's `override` switched off.
struct OverrideRef {
  std::string rule;   ///< "default#background"
  std::string where;  ///< of the override
};

/// What every trace of a rule set says about it.
struct RuleSetRef {
  std::string hash;
  std::vector<PackRef> packs;
  std::vector<OverrideRef> overrides;
};

/// The full story of one decision; only built when asked for.
struct Trace {
  std::string ruleset;  ///< hash of all rule sources
  std::shared_ptr<const RuleSetRef> rule_set;
  const char* on = "request";
  std::vector<Claim> claims;
  std::vector<RuleTrace> rules;
  std::map<std::string, std::string> facts_read;  ///< name -> JSON value; long texts are cut
  std::int64_t time_ns = 0;
};

/// Stable JSON of a decision with its trace; members are only ever added:
/// {"v":1, "id", "on": request|error|response, "ruleset", "packs": [{"name","version","layer"}],
///  "overrides": [{"rule","where"}], "rule", "reason", "deny"?: {"status","message","type"?}, "no_target"?, "bad_request"?,
///  "targets": [{"provider","model"}], "set": [{"field","kind": set|max|min|default|remove|values,"value"?}],
///  "headers": {name: value or null for remove}, "tags": {name: value}, "cache"?: {"use","ttl_ms"?,"scope"?}, "budget"?,
///  "strict"?: [glob],
///  "failed_rules": [name],
///  "claims": [{"slot","value","rule","where","pack"?,"shadowed"}],
///  "rules": [{"rule","where","layer","pack"?,"matched","failed_condition"?,"actual"?,"error"?,"quarantined"?,"time_ns"}],
///  "facts_read": {name: value}, "time_ns"}
std::string trace_json(const Decision& decision, const Trace& trace, std::string_view decision_id);
/// The same of a decision on an attempt: instead of reason, targets, set, headers, cache, budget and strict it has
/// "retry"?, "retry_after_ms"?, "retry_at_most_ms"?, "next_fallback"?, "to"?: {"provider","model"}.
std::string trace_json(const AttemptDecision& decision, const Trace& trace, std::string_view decision_id);

}  // namespace ccrules::rules
