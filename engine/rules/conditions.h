#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "rules/api.h"
#include "rules/reader.h"
#include "rules/script.h"
#include "rules/source.h"
#include "rules/targets.h"
#include "rules/zone.h"

namespace ccrules::rules {

/// What a condition looks at when the fact alone does not say it.
struct Subject {
  enum class Warm : std::uint8_t { kIs, kTokens, kCost, kTurns, kMove };
  std::string name;  ///< header, path in the body, bucket, scope of a counter, provider
  api::Fact bucket_by = api::Fact::kSession;
  Period period = Period::kDay;
  std::chrono::milliseconds window{0};
  Target target;
  Target to;  ///< of kTurns and kMove
  Warm warm = Warm::kIs;
  Zone zone;
  int from_minute = 0, to_minute = 0;  ///< of the day
};

/// A rule's `when`, compiled. Declarative parts are decided here without Lua.
struct Condition {
  enum class Op : std::uint8_t {
    kAll, kAny, kNone,                     ///< of `children`; an empty kAll holds
    kText, kGlob, kPrefix, kFlag,          ///< the fact equals `text`, matches it, begins with it, equals `flag`
    kEqual, kGreater, kAtLeast, kLess, kAtMost,  ///< a number against `number`
    kHas,                                  ///< a list has an item that matches, a text contains
    kPresent,                              ///< the request has the fact at all (or not, by `flag`)
    kNames,                                ///< the fact is in `names` or matches one of `globs`
    kTimeWindow,                           ///< minutes of the day [from, to) in the subject's zone, over midnight when from > to
    kFunction, kValueFunction,             ///< Lua: f(req); f(value, req)
    kNever
  };
  Op op = Op::kAll;
  bool flag = false;
  bool ignore_case = false;
  bool uses_lua = false;      ///< this or a child calls Lua
  bool about_target = false;  ///< this or a child reads target_provider or provider_class
  api::Fact fact = api::Fact::kModel;
  int ref = 0;
  double number = 0;
  std::string text;
  std::shared_ptr<const Subject> subject;  ///< null: `fact` says it all
  std::vector<std::string> names;
  std::vector<std::string> globs;
  std::vector<Condition> children;
  Spot at;             ///< where it is written; line 0: the engine's own
  std::string shown;   ///< "tokens > 60000"
  std::string actual;  ///< kNever: why not
};

/// Told what every condition came to, as it is asked: for coverage of tests.
struct ConditionLog {
  virtual ~ConditionLog() = default;
  virtual void outcome(const Condition& condition, bool holds) = 0;
};

enum class Outcome : std::uint8_t { kNo, kYes, kFailed };

/// What evaluating a condition needs and leaves behind.
struct Evaluation {
  Reader& reader;
  Script* script = nullptr;  ///< of the rule; null when its file has no Lua
  bool explain = false;      ///< fill `failed` and `actual`
  std::string failed;        ///< the first condition that did not hold
  std::string actual;
  std::string error;         ///< when kFailed
  ConditionLog* log = nullptr;
};

Outcome evaluate(const Condition& condition, Evaluation& evaluation);
/// The same for a condition without Lua, when nobody wants to know why not.
bool matches(const Condition& condition, Reader& reader);
/// False when the condition does not hold whatever its functions might say: what is left of a rule whose functions may not run.
bool may_hold(const Condition& condition, Reader& reader);

}  // namespace ccrules::rules
