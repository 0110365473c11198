#include "rules/api.h"

#include <algorithm>
#include <vector>

#include "core/text.h"

namespace ccrules::rules::api {
namespace {

// As error_code_name(), stop_reason_name(), grade_name() and the dialects' name() say them; tests hold them together.
constexpr const char* kErrorWords[] = {
    "bad_request", "unauthorized", "forbidden", "not_found", "too_large", "unsupported", "denied", "budget_exceeded", "loss",
    "refused", "context_exceeded", "auth", "rate_limited", "overloaded", "upstream_failed", "timeout", "protocol",
    "connection_lost", "connect_failed", "cancelled", "internal"};
constexpr const char* kStopWords[] = {"end_turn", "max_tokens", "tool_use", "stop_sequence", "refusal", "pause_turn",
                                      "model_context_window_exceeded", "other"};
constexpr const char* kGradeWords[] = {"exact", "anchored", "estimated"};
constexpr const char* kEffortWords[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
constexpr const char* kClassWords[] = {"main", "subagent", "workflow", "background", "auxiliary", "compaction", "side_reply"};
constexpr const char* kClientWords[] = {"claude-code", "anthropic-sdk", "openai-sdk"};
constexpr const char* kDialectWords[] = {"anthropic", "openai_chat", "openai_responses", "gemini", "ollama",
                                         "openai_completions", "openai_embeddings"};
constexpr const char* kRoleWords[] = {"user", "assistant", "tool", "system"};
constexpr const char* kProviderClassWords[] = {"local", "external"};
constexpr const char* kHealthWords[] = {"ok", "trial", "down"};
constexpr const char* kThinkingWords[] = {"enabled", "adaptive", "disabled"};

constexpr Values kGrades{.words = kGradeWords};
constexpr Values kEfforts{.words = kEffortWords, .more = true};
constexpr Values kClasses{.words = kClassWords, .more = true};
constexpr Values kClients{.words = kClientWords, .more = true};
constexpr Values kDialects{.words = kDialectWords};
constexpr Values kRoles{.words = kRoleWords, .more = true};
constexpr Values kProviderClasses{.words = kProviderClassWords};
constexpr Values kHealths{.words = kHealthWords};
constexpr Values kErrors{.words = kErrorWords};
constexpr Values kStopReasons{.words = kStopWords};
constexpr Values kThinkingTypes{.words = kThinkingWords};
constexpr Values kHours{.least = 0, .most = 23};
constexpr Values kWeekdays{.least = 1, .most = 7};
constexpr Values kStatuses{.least = 0, .most = 599};
constexpr Values kBuckets{.least = 0, .most = 100};

constexpr FactRow kFacts[] = {
    {"model", Fact::kModel, Kind::kText, Phase::kAlways, "string", "The model the client asked for, verbatim."},
    {"tokens", Fact::kTokens, Kind::kNumber, Phase::kAlways, "number", "Prompt size in tokens as the provider will bill it."},
    {"tokens_exact", Fact::kTokensExact, Kind::kFlag, Phase::kAlways, "boolean", "False when `tokens` is an estimate."},
    {"tokens_p95", Fact::kTokensP95, Kind::kNumber, Phase::kAlways, "number", "95 of 100 such counts are off by no more tokens; 0 when exact."},
    {"tokens_grade", Fact::kTokensGrade, Kind::kText, Phase::kAlways, "string", "How `tokens` was counted.", Need::kNothing, &kGrades},
    {"max_tokens", Fact::kMaxTokens, Kind::kNumber, Phase::kAlways, "number or nil", "The answer's limit as the client set it."},
    {"stream", Fact::kStream, Kind::kFlag, Phase::kAlways, "boolean", "The client wants the answer as a stream."},
    {"thinking", Fact::kThinking, Kind::kFlag, Phase::kAlways, "boolean",
     "A thinking object of type enabled or adaptive is present."},
    {"thinking_budget", Fact::kThinkingBudget, Kind::kNumber, Phase::kAlways, "number or nil", "thinking.budget_tokens."},
    {"effort", Fact::kEffort, Kind::kText, Phase::kAlways, "string or nil", "Reasoning effort, as the client says it.",
     Need::kNothing, &kEfforts},
    {"agent", Fact::kAgent, Kind::kText, Phase::kAlways, "string or nil",
     "The subagent's name, 'main' for the main loop, nil when a subagent's name is not known."},
    {"request_class", Fact::kRequestClass, Kind::kText, Phase::kAlways, "string or nil",
     "What the request is for, as far as the client says.", Need::kNothing, &kClasses},
    {"session", Fact::kSession, Kind::kText, Phase::kAlways, "string or nil", "The conversation's id."},
    {"user", Fact::kUser, Kind::kText, Phase::kAlways, "string or nil", "Who asks."},
    {"project", Fact::kProject, Kind::kText, Phase::kAlways, "string or nil", "Working directory, or the x-ccrules-project header."},
    {"client", Fact::kClient, Kind::kText, Phase::kAlways, "string or nil", "The program that asks, by its user agent.",
     Need::kNothing, &kClients},
    {"dialect", Fact::kDialect, Kind::kText, Phase::kAlways, "string", "The dialect the client speaks; what speaks the last two is passed on as it is.",
     Need::kNothing, &kDialects},
    {"path", Fact::kPath, Kind::kText, Phase::kAlways, "string", "The request's path without query."},
    {"turns", Fact::kTurns, Kind::kNumber, Phase::kAlways, "number", "How many messages the request carries."},
    {"images", Fact::kImages, Kind::kNumber, Phase::kAlways, "number", "How many images, those in tool results too."},
    {"documents", Fact::kDocuments, Kind::kNumber, Phase::kAlways, "number", "How many documents."},
    {"tools", Fact::kTools, Kind::kList, Phase::kAlways, "list of strings", "Names of the tools on offer."},
    {"tool_count", Fact::kToolCount, Kind::kNumber, Phase::kAlways, "number", "How many tools are on offer."},
    {"tool_results", Fact::kToolResults, Kind::kNumber, Phase::kAlways, "number", "How many tool results the history holds."},
    {"system_hash", Fact::kSystemHash, Kind::kText, Phase::kAlways, "string",
     "Hash of the system prompt without Claude Code's attribution line; the same prompt has the same hash."},
    {"last_role", Fact::kLastRole, Kind::kText, Phase::kAlways, "string", "Role of the last message.", Need::kNothing, &kRoles},
    {"target_model", Fact::kTargetModel, Kind::kText, Phase::kAlways, "string or nil",
     "The model chosen by the rules above this one; nil while none has chosen."},
    {"target_provider", Fact::kTargetProvider, Kind::kText, Phase::kAlways, "string or nil",
     "The provider a request would go to. Rules that read it or provider_class are judged once the targets are known."},
    {"provider_class", Fact::kProviderClass, Kind::kText, Phase::kAlways, "string or nil",
     "Of the provider the request would go to: see target_provider.", Need::kNothing, &kProviderClasses},
    {"time", Fact::kTime, Kind::kObject, Phase::kAlways, "{hour, wday, iso}",
     "When the request came. Conditions take from, to, hour, wday and tz, which is UTC when absent."},
    {"time.hour", Fact::kTimeHour, Kind::kNumber, Phase::kAlways, "number", "0 to 23, UTC.", Need::kNothing, &kHours},
    {"time.wday", Fact::kTimeWday, Kind::kNumber, Phase::kAlways, "number", "1 (Monday) to 7 (Sunday), UTC.", Need::kNothing, &kWeekdays},
    {"time.iso", Fact::kTimeIso, Kind::kText, Phase::kAlways, "string", "2026-11-21T14:00:00Z"},
    {"bucket", Fact::kBucket, Kind::kFunction, Phase::kAlways, "function(name, key) -> number",
     "A number from 0 to below 100 that is always the same for the same name and key: for gradual roll-outs.", Need::kNothing, &kBuckets},
    {"text", Fact::kText, Kind::kObject, Phase::kAlways, "{last_user, first_user, system}", "Decoded texts of the request.",
     Need::kText},
    {"text.last_user", Fact::kTextLastUser, Kind::kText, Phase::kAlways, "string", "The last user message's last text.",
     Need::kText},
    {"text.first_user", Fact::kTextFirstUser, Kind::kText, Phase::kAlways, "string", "The first user message's last text.",
     Need::kText},
    {"text.system", Fact::kTextSystem, Kind::kText, Phase::kAlways, "string",
     "The system prompt, blocks joined by newlines.", Need::kText},
    {"headers", Fact::kHeaders, Kind::kObject, Phase::kAlways, "table", "Request headers by lower-case name.",
     Need::kHeaders},
    {"body", Fact::kBody, Kind::kObject, Phase::kAlways, "table",
     "Members of the request's JSON by path, such as body[\"metadata.tier\"] or body[\"messages.0.role\"].", Need::kText},
    {"messages", Fact::kMessages, Kind::kList, Phase::kAlways, "list of {role, text, tools}",
     "The messages, for functions: #req.messages, req.messages[1].role.", Need::kText},
    {"spend_hour", Fact::kSpendHour, Kind::kNumber, Phase::kAlways, "number or nil", "US dollars spent this hour (of UTC).",
     Need::kSpend},
    {"spend_today", Fact::kSpendToday, Kind::kNumber, Phase::kAlways, "number or nil", "US dollars spent today (in `time_zone`).",
     Need::kSpend},
    {"spend_week", Fact::kSpendWeek, Kind::kNumber, Phase::kAlways, "number or nil",
     "US dollars spent since Monday (in `time_zone`).", Need::kSpend},
    {"spend_month", Fact::kSpendMonth, Kind::kNumber, Phase::kAlways, "number or nil",
     "US dollars spent this month (in `time_zone`).", Need::kSpend},
    {"spend", Fact::kSpend, Kind::kFunction, Phase::kAlways, "function(by, per) -> number or nil",
     "US dollars spent by the request's own session, project, user ...: spend = { by = \"project\", per = \"day\", gte = 5 }.",
     Need::kSpend},
    {"budget_left", Fact::kBudgetLeft, Kind::kFunction, Phase::kAlways, "function(scope) -> number or nil",
     "US dollars left of a budget such as \"project:web\", or of the request's own by \"project\".", Need::kSpend},
    {"rate", Fact::kRate, Kind::kFunction, Phase::kAlways, "function(key, per) -> number or nil",
     "Requests in the last minute or hour with the same session, user ..., this one included: "
     "rate = { key = \"session\", per = \"1m\", gt = 60 }."},
    {"health", Fact::kHealth, Kind::kFunction, Phase::kAlways, "function(provider) -> string or nil",
     "How a provider does; trial: one request may try. health = { anthropic = \"down\" }.", Need::kNothing, &kHealths},
    {"warm", Fact::kWarm, Kind::kFunction, Phase::kAlways, "function(target, to) -> {warm, tokens, cost_usd, turns, move_usd} or nil",
     "Whether a target holds this session's prompt cache, how many tokens of it, and what leaving it would cost: "
     "warm = { target = \"deep\", cost_usd = { gt = 0.1 } }. With `to`, after how many requests moving there has paid and what the "
     "first of them costs more: warm = { target = \"deep\", to = \"cheap\", turns = { lte = 3 } }."},
    {"attempt", Fact::kAttempt, Kind::kNumber, Phase::kAttempt, "number", "Which attempt this was: 1 for the first."},
    {"status", Fact::kStatus, Kind::kNumber, Phase::kAttempt, "number", "The upstream's HTTP status, 0 when it gave none.",
     Need::kNothing, &kStatuses},
    {"error", Fact::kError, Kind::kText, Phase::kError, "string",
     "What failed.", Need::kNothing, &kErrors},
    {"provider", Fact::kProvider, Kind::kText, Phase::kAttempt, "string", "The provider of the attempt."},
    {"stop_reason", Fact::kStopReason, Kind::kText, Phase::kResponse, "string or nil",
     "Why the answer ended, in Anthropic's words; nil while it still runs.", Need::kNothing, &kStopReasons},
    {"usage", Fact::kUsage, Kind::kObject, Phase::kResponse,
     "{input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens}",
     "What the provider counted so far."},
    {"usage.input_tokens", Fact::kUsageInput, Kind::kNumber, Phase::kResponse, "number or nil", "Uncached input tokens."},
    {"usage.output_tokens", Fact::kUsageOutput, Kind::kNumber, Phase::kResponse, "number or nil", "Output tokens."},
    {"usage.cache_read_tokens", Fact::kUsageCacheRead, Kind::kNumber, Phase::kResponse, "number or nil",
     "Input tokens read from the provider's prompt cache."},
    {"usage.cache_write_tokens", Fact::kUsageCacheWrite, Kind::kNumber, Phase::kResponse, "number or nil",
     "Input tokens written to the provider's prompt cache."},
    {"usage.reasoning_tokens", Fact::kUsageReasoning, Kind::kNumber, Phase::kResponse, "number or nil",
     "Output tokens spent on reasoning."},
    {"ttft_ms", Fact::kTtftMs, Kind::kNumber, Phase::kResponse, "number", "From the request to its first content."},
};

constexpr EffectRow kEffects[] = {
    {"to", Effect::kTo, true, true, "target or function", "Where the request goes: 'provider,model', an alias or a model."},
    {"fallback", Effect::kFallback, true, false, "target, list of targets or function", "Tried in order when `to` fails."},
    {"deny", Effect::kDeny, true, true, "true, message, {status, message, type} or function",
     "Refuses the request. A rule with deny that fails refuses too."},
    {"set", Effect::kSet, true, false, "table or function",
     "Changes request members: value, {max=}, {min=}, {values=}, {default=}, remove."},
    {"headers", Effect::kHeaders, true, false, "table or function", "Headers of the upstream request: value or remove."},
    {"tag", Effect::kTag, true, true, "table or function", "Notes kept in the ledger."},
    {"cache", Effect::kCache, true, false, "boolean, {ttl, scope, keep} or function",
     "Whether the response cache may answer and keep this request, for how long and for whom; keep = { 'tool_use', 'max_tokens', "
     "'refusal' } keeps what is never kept otherwise."},
    {"budget", Effect::kBudget, true, false, "string or function", "Which budget pays, such as 'project:web'."},
    {"strict", Effect::kStrict, true, false, "boolean, list of globs or function",
     "What no translation may lose: true for anything, { 'tools*', '!cache_control' } for some. Such a target fails with error 'loss'."},
    {"retry", Effect::kRetry, false, true, "boolean, {after, at_most} or function", "Tries the same target again."},
    {"next_fallback", Effect::kNextFallback, false, true, "boolean or function", "Goes on to the next fallback."},
};

constexpr FieldRow kFields[] = {
    {"max_tokens", Kind::kNumber, "Limit of the answer."},
    {"temperature", Kind::kNumber, ""},
    {"top_p", Kind::kNumber, ""},
    {"top_k", Kind::kNumber, ""},
    {"stop_sequences", Kind::kList, "List of strings."},
    {"thinking", Kind::kObject, "The whole thinking object; remove takes it away."},
    {"thinking.type", Kind::kText, "How the model thinks.", &kThinkingTypes},
    {"thinking.budget_tokens", Kind::kNumber, "Token budget of thinking."},
    {"effort", Kind::kText, "Reasoning effort.", &kEfforts},
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

std::string words_text(const Values& values) {
  std::string out;
  for (const char* word : values.words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

std::string doc_with_words(std::string doc, const Values* values) {
  if (values == nullptr || values->words.empty()) return doc;
  if (!doc.empty()) doc += ' ';
  return doc + (values->more ? "Usually one of: " : "One of: ") + words_text(*values) + ".";
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

const FactRow& fact_row(Fact fact) {
  static const std::vector<const FactRow*> rows = [] {
    std::vector<const FactRow*> by_id(std::size(kFacts));
    for (const FactRow& row : kFacts) by_id[static_cast<std::size_t>(row.id)] = &row;
    return by_id;
  }();
  return *rows[static_cast<std::size_t>(fact)];
}

const char* on_name(On on) noexcept {
  switch (on) {
    case On::kRequest: return "request";
    case On::kError: return "error";
    case On::kResponse: return "response";
  }
  return "request";
}

const char* need_name(Need need) noexcept {
  switch (need) {
    case Need::kNothing: return "";
    case Need::kHeaders: return "headers";
    case Need::kText: return "text";
    case Need::kSpend: return "spend";
  }
  return "";
}

bool exists(const FactRow& row, On on) noexcept {
  switch (row.phase) {
    case Phase::kAlways: return true;
    case Phase::kAttempt: return on != On::kRequest;
    case Phase::kError: return on == On::kError;
    case Phase::kResponse: return on == On::kResponse;
  }
  return false;
}

std::string fact_hint(std::string_view word) {
  std::vector<std::string> names;
  for (const FactRow& row : kFacts) names.emplace_back(row.name);
  return hint(word, names, "facts:");
}

bool Values::has(std::string_view word) const noexcept {
  return std::any_of(words.begin(), words.end(), [word](const char* one) { return word == one; });
}

bool Values::excludes(std::string_view word) const noexcept { return !words.empty() && !more && !has(word); }

std::string doc_text(const FactRow& row) { return doc_with_words(row.doc, row.values); }
std::string doc_text(const FieldRow& row) { return doc_with_words(row.doc, row.values); }

std::string near_word_hint(const Values& values, std::string_view word) {
  const std::vector<std::string> words(values.words.begin(), values.words.end());
  const std::string near = text::did_you_mean(word, words);
  return near.empty() ? std::string() : "did you mean '" + near + "'?";
}

std::string word_hint(const Values& values, std::string_view word) {
  std::string near = near_word_hint(values, word);
  return near.empty() ? "it is one of: " + words_text(values) : near;
}

std::string rule_key_hint(std::string_view word) {
  std::vector<std::string> names(std::begin(kRuleKeys), std::end(kRuleKeys));
  for (const EffectRow& row : kEffects) names.emplace_back(row.name);
  return hint(word, names, "a rule has:");
}

std::string field_hint(std::string_view word) {
  std::vector<std::string> names;
  for (const FieldRow& row : kFields) names.emplace_back(row.name);
  return hint(word, names, "fields:");
}

}  // namespace ccrules::rules::api
