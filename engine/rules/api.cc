#include "rules/api.h"

#include <vector>

#include "core/text.h"

namespace ccrules::rules::api {
namespace {

constexpr FactRow kFacts[] = {
    {"model", Fact::kModel, Kind::kText, Phase::kBoth, "string", "The model the client asked for, verbatim."},
    {"tokens", Fact::kTokens, Kind::kNumber, Phase::kBoth, "number", "Prompt size in tokens as the provider will bill it."},
    {"tokens_exact", Fact::kTokensExact, Kind::kFlag, Phase::kBoth, "boolean", "False when `tokens` is an estimate."},
    {"max_tokens", Fact::kMaxTokens, Kind::kNumber, Phase::kBoth, "number or nil", "The answer's limit as the client set it."},
    {"stream", Fact::kStream, Kind::kFlag, Phase::kBoth, "boolean", "The client wants the answer as a stream."},
    {"thinking", Fact::kThinking, Kind::kFlag, Phase::kBoth, "boolean",
     "A thinking object of type enabled or adaptive is present."},
    {"thinking_budget", Fact::kThinkingBudget, Kind::kNumber, Phase::kBoth, "number or nil", "thinking.budget_tokens."},
    {"effort", Fact::kEffort, Kind::kText, Phase::kBoth, "string or nil", "Reasoning effort: low, medium, high, max ..."},
    {"agent", Fact::kAgent, Kind::kText, Phase::kBoth, "string or nil",
     "The subagent's name, 'main' for the main loop, nil when a subagent's name is not known."},
    {"request_class", Fact::kRequestClass, Kind::kText, Phase::kBoth, "string or nil",
     "main, subagent, background, auxiliary, compaction ... as far as the client says."},
    {"session", Fact::kSession, Kind::kText, Phase::kBoth, "string or nil", "The conversation's id."},
    {"user", Fact::kUser, Kind::kText, Phase::kBoth, "string or nil", "Who asks."},
    {"project", Fact::kProject, Kind::kText, Phase::kBoth, "string or nil", "Working directory, or the x-ccrules-project header."},
    {"client", Fact::kClient, Kind::kText, Phase::kBoth, "string or nil", "claude-code, anthropic-sdk, openai-sdk ..."},
    {"dialect", Fact::kDialect, Kind::kText, Phase::kBoth, "string", "The dialect the client speaks: anthropic, openai_chat."},
    {"path", Fact::kPath, Kind::kText, Phase::kBoth, "string", "The request's path without query."},
    {"turns", Fact::kTurns, Kind::kNumber, Phase::kBoth, "number", "How many messages the request carries."},
    {"images", Fact::kImages, Kind::kNumber, Phase::kBoth, "number", "How many images, those in tool results too."},
    {"documents", Fact::kDocuments, Kind::kNumber, Phase::kBoth, "number", "How many documents."},
    {"tools", Fact::kTools, Kind::kList, Phase::kBoth, "list of strings", "Names of the tools on offer."},
    {"tool_count", Fact::kToolCount, Kind::kNumber, Phase::kBoth, "number", "How many tools are on offer."},
    {"tool_results", Fact::kToolResults, Kind::kNumber, Phase::kBoth, "number", "How many tool results the history holds."},
    {"system_hash", Fact::kSystemHash, Kind::kText, Phase::kBoth, "string",
     "Hash of the system prompt without Claude Code's attribution line; the same prompt has the same hash."},
    {"last_role", Fact::kLastRole, Kind::kText, Phase::kBoth, "string", "Role of the last message."},
    {"target_model", Fact::kTargetModel, Kind::kText, Phase::kBoth, "string or nil",
     "The model chosen by the rules above this one; nil while none has chosen."},
    {"time", Fact::kTime, Kind::kObject, Phase::kBoth, "{hour, wday, iso}", "When the request came, in UTC."},
    {"time.hour", Fact::kTimeHour, Kind::kNumber, Phase::kBoth, "number", "0 to 23, UTC."},
    {"time.wday", Fact::kTimeWday, Kind::kNumber, Phase::kBoth, "number", "1 (Monday) to 7 (Sunday), UTC."},
    {"time.iso", Fact::kTimeIso, Kind::kText, Phase::kBoth, "string", "2026-11-21T14:00:00Z"},
    {"bucket", Fact::kBucket, Kind::kFunction, Phase::kBoth, "function(name, key) -> number",
     "A number from 0 to below 100 that is always the same for the same name and key: for gradual roll-outs."},
    {"text", Fact::kText, Kind::kObject, Phase::kBoth, "{last_user, system}", "Decoded texts of the request."},
    {"text.last_user", Fact::kTextLastUser, Kind::kText, Phase::kBoth, "string", "The last user message's last text."},
    {"text.system", Fact::kTextSystem, Kind::kText, Phase::kBoth, "string", "The system prompt, blocks joined by newlines."},
    {"headers", Fact::kHeaders, Kind::kObject, Phase::kBoth, "table", "Request headers by lower-case name."},
    {"attempt", Fact::kAttempt, Kind::kNumber, Phase::kError, "number", "Which attempt failed: 1 for the first."},
    {"status", Fact::kStatus, Kind::kNumber, Phase::kError, "number", "The upstream's HTTP status, 0 when it gave none."},
    {"error", Fact::kError, Kind::kText, Phase::kError, "string",
     "What failed: context_exceeded, upstream_overloaded, upstream_timeout ..."},
    {"provider", Fact::kProvider, Kind::kText, Phase::kError, "string", "The provider of the failed attempt."},
    // Planned: their names are taken, using them says so.
    {"messages", Fact::kUnavailable, Kind::kList, Phase::kLater, "list", "Views of the messages; `turns` counts them."},
    {"spend_today", Fact::kUnavailable, Kind::kNumber, Phase::kLater, "number", "US dollars spent today."},
    {"spend_month", Fact::kUnavailable, Kind::kNumber, Phase::kLater, "number", "US dollars spent this month."},
    {"budget_left", Fact::kUnavailable, Kind::kFunction, Phase::kLater, "function(scope) -> number", "US dollars left."},
    {"rate", Fact::kUnavailable, Kind::kObject, Phase::kLater, "number", "Requests per time."},
    {"health", Fact::kUnavailable, Kind::kFunction, Phase::kLater, "function(provider) -> string", "Circuit state."},
    {"warm", Fact::kUnavailable, Kind::kFunction, Phase::kLater, "function(target) -> table", "Prompt cache held there."},
    {"provider_class", Fact::kUnavailable, Kind::kText, Phase::kLater, "string", "local or external."},
    {"stop_reason", Fact::kUnavailable, Kind::kText, Phase::kLater, "string", "Why the answer ended."},
    {"usage", Fact::kUnavailable, Kind::kObject, Phase::kLater, "table", "Tokens of the answer."},
    {"ttft_ms", Fact::kUnavailable, Kind::kNumber, Phase::kLater, "number", "Time to the first content."},
};

constexpr EffectRow kEffects[] = {
    {"to", Effect::kTo, true, true, "target or function", "Where the request goes: 'provider,model', an alias or a model."},
    {"fallback", Effect::kFallback, true, false, "target, list of targets or function", "Tried in order when `to` fails."},
    {"deny", Effect::kDeny, true, false, "true, message, {status, message, type} or function",
     "Refuses the request. A rule with deny that fails refuses too."},
    {"set", Effect::kSet, true, false, "table or function", "Changes request members: value, {max=}, {min=}, {default=}, remove."},
    {"headers", Effect::kHeaders, true, false, "table or function", "Headers of the upstream request: value or remove."},
    {"tag", Effect::kTag, true, false, "table or function", "Notes kept in the ledger."},
    {"retry", Effect::kRetry, false, true, "boolean or {after, at_most}", "Tries the same target again."},
    {"next_fallback", Effect::kNextFallback, false, true, "boolean", "Goes on to the next fallback."},
    {"cache", Effect::kUnavailable, true, false, "boolean or table", "Response cache."},
    {"budget", Effect::kUnavailable, true, false, "string", "Which budget pays."},
};

constexpr FieldRow kFields[] = {
    {"max_tokens", Kind::kNumber, "Limit of the answer."},
    {"temperature", Kind::kNumber, ""},
    {"top_p", Kind::kNumber, ""},
    {"top_k", Kind::kNumber, ""},
    {"stop_sequences", Kind::kList, "List of strings."},
    {"thinking", Kind::kObject, "The whole thinking object; remove takes it away."},
    {"thinking.type", Kind::kText, "enabled, adaptive or disabled."},
    {"thinking.budget_tokens", Kind::kNumber, "Token budget of thinking."},
    {"effort", Kind::kText, "Reasoning effort: low, medium, high ..."},
    {"service_tier", Kind::kText, ""},
    {"tool_choice", Kind::kObject, ""},
    {"metadata.user_id", Kind::kText, "Who asks, as the provider sees it."},
};

// Keys of a rule that are neither facts nor effects.
constexpr const char* kRuleKeys[] = {"when", "on", "reason", "off", "doc"};

std::string hint(std::string_view word, const std::vector<std::string>& names, std::string_view label) {
  const std::string near = text::did_you_mean(word, names);
  if (!near.empty()) return "did you mean '" + near + "'?";
  std::string all(label);
  for (const std::string& name : names) {
    all += &name == &names.front() ? " " : ", ";
    all += name;
  }
  return all;
}

template <class Row, std::size_t N>
const Row* find(const Row (&rows)[N], std::string_view name) {
  for (const Row& row : rows) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

}  // namespace

std::span<const FactRow> facts() { return kFacts; }
std::span<const EffectRow> effects() { return kEffects; }
std::span<const FieldRow> fields() { return kFields; }
const FactRow* find_fact(std::string_view name) { return find(kFacts, name); }
const EffectRow* find_effect(std::string_view name) { return find(kEffects, name); }
const FieldRow* find_field(std::string_view name) { return find(kFields, name); }

std::string fact_hint(std::string_view word) {
  std::vector<std::string> names;
  for (const FactRow& row : kFacts) {
    if (row.phase != Phase::kLater) names.emplace_back(row.name);
  }
  return hint(word, names, "facts:");
}

std::string rule_key_hint(std::string_view word) {
  std::vector<std::string> names(std::begin(kRuleKeys), std::end(kRuleKeys));
  for (const EffectRow& row : kEffects) {
    if (row.id != Effect::kUnavailable) names.emplace_back(row.name);
  }
  return hint(word, names, "a rule has:");
}

std::string field_hint(std::string_view word) {
  std::vector<std::string> names;
  for (const FieldRow& row : kFields) names.emplace_back(row.name);
  return hint(word, names, "fields:");
}

}  // namespace ccrules::rules::api
