#pragma once
#include <functional>
#include <string>
#include <vector>

#include "rules/api.h"
#include "rules/reader.h"
#include "rules/script.h"
#include "rules/tree.h"

namespace ccrules::rules {

/// A rule's `when`, compiled. Declarative parts are decided here without Lua.
struct Condition {
  enum class Op : std::uint8_t {
    kAll, kAny, kNone,                     ///< of `children`; an empty kAll holds
    kText, kGlob, kFlag,                   ///< the fact equals `text`, matches it, equals `flag`
    kEqual, kGreater, kAtLeast, kLess, kAtMost,  ///< a number against `number`
    kHas,                                  ///< a list has an item that matches, a text contains
    kPresent,                              ///< the request has the fact at all (or not, by `flag`)
    kNames,                                ///< the fact is in `names` or matches one of `globs`
    kTimeWindow,                           ///< minutes of the day [from, to), wrapping, in the zone at `offset`
    kFunction, kValueFunction,             ///< Lua: f(req); f(value, req)
    kNever
  };
  Op op = Op::kAll;
  bool flag = false;
  bool ignore_case = false;
  bool uses_lua = false;  ///< this or a child calls Lua
  api::Fact fact = api::Fact::kModel;
  std::string header;     ///< fact kHeaders: its name
  std::string bucket_name;
  api::Fact bucket_by = api::Fact::kSession;
  std::string text;
  double number = 0;
  int from_minute = 0, to_minute = 0, offset_minutes = 0;
  int ref = 0;
  std::vector<std::string> names;
  std::vector<std::string> globs;
  std::vector<Condition> children;
  std::string shown;   ///< "tokens > 60000"
  std::string actual;  ///< kNever: why not
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
};

Outcome evaluate(const Condition& condition, Evaluation& evaluation);
/// The same for a condition without Lua, when nobody wants to know why not.
bool matches(const Condition& condition, Reader& reader);

/// Compiles `when`. `on_error`: facts of failed attempts exist. Problems are at the places where things were written.
Condition compile_when(const Tree& when, bool on_error, Problems& problems);
/// The condition that one fact is among names (globs allowed): of `pick`.
Condition compile_names(const api::FactRow& fact, const std::vector<std::string>& names);
/// Finds a fact usable in such rules, or says what is wrong.
const api::FactRow* usable_fact(std::string_view name, Spot at, bool on_error, Problems& problems);

}  // namespace ccrules::rules
