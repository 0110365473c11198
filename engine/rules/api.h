#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// THE table of the rule API: every fact, effect, settable field and comparison, with type and meaning. It binds, validates and
/// documents; a name that is not here is an error at its own line.
namespace ccrules::rules::api {

enum class Fact : std::uint8_t {
  kModel, kTokens, kTokensExact, kTokensP95, kTokensGrade, kMaxTokens, kStream, kThinking, kThinkingBudget, kEffort, kAgent,
  kRequestClass, kSession,
  kUser, kProject, kClient, kDialect, kPath, kTurns, kImages, kDocuments, kTools, kToolCount, kToolResults, kSystemHash,
  kLastRole, kTargetModel, kTargetProvider, kProviderClass, kTime, kTimeHour, kTimeWday, kTimeIso, kBucket, kText,
  kTextLastUser, kTextFirstUser, kTextSystem, kHeaders, kBody, kMessages, kSpendHour, kSpendToday, kSpendWeek, kSpendMonth,
  kSpend, kBudgetLeft, kRate, kHealth, kWarm, kAttempt, kStatus, kError, kProvider, kStopReason, kUsage, kUsageInput,
  kUsageOutput, kUsageCacheRead, kUsageCacheWrite, kUsageReasoning, kTtftMs
};

enum class Kind : std::uint8_t { kText, kNumber, kFlag, kList, kObject, kFunction };

/// What a rule is about: a request before it is sent, an attempt that failed, a reply whose first content has come.
enum class On : std::uint8_t { kRequest, kError, kResponse };
/// "request", "error", "response".
const char* on_name(On on) noexcept;

/// When a fact exists.
enum class Phase : std::uint8_t {
  kAlways,
  kAttempt,   ///< on = "error" and on = "response"
  kError,
  kResponse
};

/// What a pack must be granted before a fact exists for it; the configuration's own files have everything.
enum class Need : std::uint8_t { kNothing, kHeaders, kText, kSpend };
/// As pack.json writes it: "headers", "text", "spend"; empty for nothing.
const char* need_name(Need need) noexcept;

/// What a fact or member can be, where that is known. Something else in a condition would never match, and nobody would notice.
struct Values {
  std::span<const char* const> words = {};  ///< of a text; empty: any
  bool more = false;                        ///< clients and providers may have words of their own
  double least = 0, most = 0;               ///< of a number, both included; equal: any

  /// "error is never 'timout'" may be said of it.
  [[nodiscard]] bool excludes(std::string_view word) const noexcept;
  [[nodiscard]] bool has(std::string_view word) const noexcept;
  [[nodiscard]] bool bounded() const noexcept { return least < most; }
};

struct FactRow {
  const char* name;  ///< as rules write it: "tokens", "text.last_user"
  Fact id;
  Kind kind;
  Phase phase;
  const char* type;  ///< for the docs: "number", "string or nil"
  const char* doc;
  Need need = Need::kNothing;
  const Values* values = nullptr;  ///< null: anything
};

enum class Effect : std::uint8_t {
  kTo, kFallback, kDeny, kSet, kHeaders, kTag, kCache, kBudget, kStrict, kRetry, kNextFallback
};

struct EffectRow {
  const char* name;
  Effect id;
  bool on_request;
  bool on_attempt;  ///< on = "error" and on = "response"
  const char* type;
  const char* doc;
};

/// A request member that `set.<field>` may change.
struct FieldRow {
  const char* name;
  Kind kind;  ///< kObject: any JSON value
  const char* doc;
  const Values* values = nullptr;  ///< null: anything
};

std::span<const FactRow> facts();
std::span<const EffectRow> effects();
std::span<const FieldRow> fields();
const FactRow* find_fact(std::string_view name);
const FactRow& fact_row(Fact fact);
const EffectRow* find_effect(std::string_view name);
const FieldRow* find_field(std::string_view name);
/// True when rules of that kind may read the fact.
[[nodiscard]] bool exists(const FactRow& row, On on) noexcept;

/// "did you mean 'tokens'?" or, when nothing is near, "facts: model, tokens, ..."; ready for Diagnostic::hint.
std::string fact_hint(std::string_view word);
std::string rule_key_hint(std::string_view word);
std::string field_hint(std::string_view word);
/// "did you mean 'timeout'?" or "it is one of: bad_request, ...".
std::string word_hint(const Values& values, std::string_view word);
/// "did you mean 'timeout'?" when the word is nearly one of them, else empty.
std::string near_word_hint(const Values& values, std::string_view word);
/// What the table says about a fact or member, with the words it can be.
std::string doc_text(const FactRow& row);
std::string doc_text(const FieldRow& row);

}  // namespace ccrules::rules::api
