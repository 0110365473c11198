#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// THE table of the rule API: every fact, effect, settable field and comparison, with type and meaning. It binds, validates and
/// documents; a name that is not here is an error at its own line.
namespace ccrules::rules::api {

enum class Fact : std::uint8_t {
  kModel, kTokens, kTokensExact, kMaxTokens, kStream, kThinking, kThinkingBudget, kEffort, kAgent, kRequestClass, kSession,
  kUser, kProject, kClient, kDialect, kPath, kTurns, kImages, kDocuments, kTools, kToolCount, kToolResults, kSystemHash,
  kLastRole, kTargetModel, kTime, kTimeHour, kTimeWday, kTimeIso, kBucket, kText, kTextLastUser, kTextSystem, kHeaders,
  kAttempt, kStatus, kError, kProvider, kUnavailable
};

enum class Kind : std::uint8_t { kText, kNumber, kFlag, kList, kObject, kFunction };

/// Which rules may use a row: those on requests, those on errors, or both.
enum class Phase : std::uint8_t { kBoth, kError, kLater };

struct FactRow {
  const char* name;  ///< as rules write it: "tokens", "text.last_user"
  Fact id;
  Kind kind;
  Phase phase;       ///< kLater: planned, and an error at load that says so
  const char* type;  ///< for the docs: "number", "string or nil"
  const char* doc;
};

enum class Effect : std::uint8_t {
  kTo, kFallback, kDeny, kSet, kHeaders, kTag, kRetry, kNextFallback, kUnavailable
};

struct EffectRow {
  const char* name;
  Effect id;
  bool on_request;
  bool on_error;
  const char* type;
  const char* doc;
};

/// A request member that `set.<field>` may change.
struct FieldRow {
  const char* name;
  Kind kind;  ///< kObject: any JSON value
  const char* doc;
};

std::span<const FactRow> facts();
std::span<const EffectRow> effects();
std::span<const FieldRow> fields();
const FactRow* find_fact(std::string_view name);
const EffectRow* find_effect(std::string_view name);
const FieldRow* find_field(std::string_view name);

/// "did you mean 'tokens'?" or, when nothing is near, "facts: model, tokens, ..."; ready for Diagnostic::hint.
std::string fact_hint(std::string_view word);
std::string rule_key_hint(std::string_view word);
std::string field_hint(std::string_view word);

}  // namespace ccrules::rules::api
