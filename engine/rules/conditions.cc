#include "rules/conditions.h"

#include <algorithm>

#include "core/text.h"

namespace ccrules::rules {
namespace {

using Op = Condition::Op;

Value moving(const Subject& subject, Reader& reader) {
  const std::optional<Move> found = reader.move(subject.target, subject.to);
  Value value;
  if (!found) return value;
  value.kind = Value::Kind::kNumber;
  value.number = subject.warm == Subject::Warm::kTurns ? found->turns : found->cost_usd;
  return value;
}

Value warmth(const Subject& subject, Reader& reader) {
  if (subject.warm >= Subject::Warm::kTurns) return moving(subject, reader);
  const std::optional<Warmth> found = reader.warm(subject.target);
  Value value;
  if (!found) return value;
  if (subject.warm == Subject::Warm::kIs) {
    value.kind = Value::Kind::kFlag;
    value.flag = found->warm;
    return value;
  }
  value.kind = Value::Kind::kNumber;
  value.number = subject.warm == Subject::Warm::kTokens ? static_cast<double>(found->tokens) : found->cost_usd;
  return value;
}

Value value_of_subject(const Condition& condition, Reader& reader) {
  const Subject& subject = *condition.subject;
  switch (condition.fact) {
    case api::Fact::kHeaders: return reader.header(subject.name);
    case api::Fact::kBucket: return reader.bucket(subject.name, reader.read(subject.bucket_by).text);
    case api::Fact::kBody: return reader.body(subject.name);
    case api::Fact::kSpend: return reader.spend(subject.name, subject.period);
    case api::Fact::kBudgetLeft: return reader.budget_left(subject.name);
    case api::Fact::kRate: return reader.rate(subject.name, subject.window);
    case api::Fact::kHealth: return reader.health(subject.name);
    case api::Fact::kWarm: return warmth(subject, reader);
    case api::Fact::kTimeHour:
    case api::Fact::kTimeWday: return reader.clock(condition.fact, subject.zone);
    default: return reader.read(condition.fact);
  }
}

Value value_of(const Condition& condition, Reader& reader) {
  if (condition.fact == api::Fact::kTokens && condition.op >= Op::kEqual && condition.op <= Op::kAtMost) {
    Value tokens;
    tokens.kind = Value::Kind::kNumber;
    tokens.number = reader.tokens_against(condition.number);
    return tokens;
  }
  return condition.subject == nullptr ? reader.read(condition.fact) : value_of_subject(condition, reader);
}

bool has(const Condition& condition, const Value& value) {
  if (value.kind == Value::Kind::kList) {
    return std::any_of(value.list->begin(), value.list->end(), [&condition](std::string_view item) {
      return text::glob_match(condition.text, item, condition.ignore_case);
    });
  }
  if (value.kind != Value::Kind::kText) return false;
  return condition.ignore_case ? text::contains_ignore_case(value.text, condition.text)
                               : value.text.find(condition.text) != std::string_view::npos;
}

bool named(const Condition& condition, const Value& value) {
  if (value.kind != Value::Kind::kText) return false;
  // A handful of names, most of another length: nothing is faster than looking at each.
  for (const std::string& name : condition.names) {
    if (name.size() == value.text.size() && text::equals_ignore_case(name, value.text)) return true;
  }
  return std::any_of(condition.globs.begin(), condition.globs.end(),
                     [&value](const std::string& glob) { return text::glob_match(glob, value.text, true); });
}

bool in_window(const Condition& condition, std::int64_t wall_us) {
  const Subject& window = *condition.subject;
  const int minute = local_time(window.zone, wall_us).minute;
  if (window.from_minute <= window.to_minute) return minute >= window.from_minute && minute < window.to_minute;
  return minute >= window.from_minute || minute < window.to_minute;
}

bool holds(const Condition& condition, const Value& value) {
  const bool number = value.kind == Value::Kind::kNumber;
  switch (condition.op) {
    case Op::kText:
      return value.kind == Value::Kind::kText &&
             (condition.ignore_case ? text::equals_ignore_case(value.text, condition.text) : value.text == condition.text);
    case Op::kGlob:
      return value.kind == Value::Kind::kText && text::glob_match(condition.text, value.text, condition.ignore_case);
    case Op::kPrefix: return value.kind == Value::Kind::kText && value.text.starts_with(condition.text);
    case Op::kFlag: return value.kind == Value::Kind::kFlag && value.flag == condition.flag;
    case Op::kEqual: return number && value.number == condition.number;
    case Op::kGreater: return number && value.number > condition.number;
    case Op::kAtLeast: return number && value.number >= condition.number;
    case Op::kLess: return number && value.number < condition.number;
    case Op::kAtMost: return number && value.number <= condition.number;
    case Op::kHas: return has(condition, value);
    case Op::kPresent: return (value.kind != Value::Kind::kNone) == condition.flag;
    case Op::kNames: return named(condition, value);
    default: return false;
  }
}

// Only asked for with `explain`: the texts cost more than most conditions.
void explain(Evaluation& evaluation, std::string failed, std::string actual) {
  evaluation.failed = std::move(failed);
  evaluation.actual = std::move(actual);
}

// Facts below an any/none, for its actual value: the first one.
std::string actual_below(const Condition& condition, Reader& reader) {
  for (const Condition& child : condition.children) {
    if (!child.children.empty()) return actual_below(child, reader);
    if (child.op == Op::kTimeWindow) return shown(reader.read(api::Fact::kTimeIso));
    if (child.op != Op::kFunction && child.op != Op::kNever) return shown(value_of(child, reader));
  }
  return {};
}

Outcome evaluate_lua(const Condition& condition, Evaluation& evaluation) {
  bool yes = false;
  Value value;
  const bool with_value = condition.op == Op::kValueFunction;
  if (with_value) value = value_of(condition, evaluation.reader);
  if (evaluation.script == nullptr ||
      !evaluation.script->test(condition.ref, evaluation.reader, with_value ? &value : nullptr, yes, evaluation.error)) {
    return Outcome::kFailed;
  }
  if (!yes && evaluation.explain) explain(evaluation, condition.shown, with_value ? shown(value) : "false");
  return yes ? Outcome::kYes : Outcome::kNo;
}

Outcome evaluate_any(const Condition& condition, Evaluation& evaluation) {
  for (const Condition& child : condition.children) {
    const Outcome outcome = evaluate(child, evaluation);
    if (outcome != Outcome::kNo) return outcome;
  }
  if (evaluation.explain) explain(evaluation, condition.shown, actual_below(condition, evaluation.reader));
  return Outcome::kNo;
}

Outcome evaluate_none(const Condition& condition, Evaluation& evaluation) {
  for (const Condition& child : condition.children) {
    const Outcome outcome = evaluate(child, evaluation);
    if (outcome == Outcome::kFailed) return outcome;
    if (outcome == Outcome::kYes) {
      if (evaluation.explain) explain(evaluation, condition.shown, actual_below(condition, evaluation.reader));
      return Outcome::kNo;
    }
  }
  return Outcome::kYes;
}

/// True when the condition holds whatever its functions might say.
bool must_hold(const Condition& condition, Reader& reader) {
  switch (condition.op) {
    case Op::kFunction:
    case Op::kValueFunction: return false;
    case Op::kAll:
      return std::all_of(condition.children.begin(), condition.children.end(),
                         [&reader](const Condition& child) { return must_hold(child, reader); });
    case Op::kAny:
      return std::any_of(condition.children.begin(), condition.children.end(),
                         [&reader](const Condition& child) { return must_hold(child, reader); });
    case Op::kNone:
      return std::none_of(condition.children.begin(), condition.children.end(),
                          [&reader](const Condition& child) { return may_hold(child, reader); });
    default: return matches(condition, reader);
  }
}

Outcome evaluate_one(const Condition& condition, Evaluation& evaluation) {
  switch (condition.op) {
    case Op::kAll:
      for (const Condition& child : condition.children) {
        const Outcome outcome = evaluate(child, evaluation);
        if (outcome != Outcome::kYes) return outcome;
      }
      return Outcome::kYes;
    case Op::kAny: return evaluate_any(condition, evaluation);
    case Op::kNone: return evaluate_none(condition, evaluation);
    case Op::kFunction:
    case Op::kValueFunction: return evaluate_lua(condition, evaluation);
    case Op::kNever:
      if (evaluation.explain) explain(evaluation, condition.shown, condition.actual);
      return Outcome::kNo;
    case Op::kTimeWindow:
      if (in_window(condition, evaluation.reader.wall_us())) return Outcome::kYes;
      if (evaluation.explain) explain(evaluation, condition.shown, shown(evaluation.reader.read(api::Fact::kTimeIso)));
      return Outcome::kNo;
    default: break;
  }
  const Value value = value_of(condition, evaluation.reader);
  if (holds(condition, value)) return Outcome::kYes;
  if (evaluation.explain) explain(evaluation, condition.shown, shown(value));
  return Outcome::kNo;
}

}  // namespace

bool matches(const Condition& condition, Reader& reader) {
  switch (condition.op) {
    case Op::kAll:
      for (const Condition& child : condition.children) {
        if (!matches(child, reader)) return false;
      }
      return true;
    case Op::kAny:
      for (const Condition& child : condition.children) {
        if (matches(child, reader)) return true;
      }
      return false;
    case Op::kNone:
      for (const Condition& child : condition.children) {
        if (matches(child, reader)) return false;
      }
      return true;
    case Op::kTimeWindow: return in_window(condition, reader.wall_us());
    case Op::kNever:
    case Op::kFunction:
    case Op::kValueFunction: return false;
    default: return holds(condition, value_of(condition, reader));
  }
}

Outcome evaluate(const Condition& condition, Evaluation& evaluation) {
  const Outcome outcome = evaluate_one(condition, evaluation);
  if (evaluation.log != nullptr && outcome != Outcome::kFailed) evaluation.log->outcome(condition, outcome == Outcome::kYes);
  return outcome;
}

bool may_hold(const Condition& condition, Reader& reader) {
  switch (condition.op) {
    case Op::kFunction:
    case Op::kValueFunction: return true;
    case Op::kAll:
      return std::all_of(condition.children.begin(), condition.children.end(),
                         [&reader](const Condition& child) { return may_hold(child, reader); });
    case Op::kAny:
      return std::any_of(condition.children.begin(), condition.children.end(),
                         [&reader](const Condition& child) { return may_hold(child, reader); });
    case Op::kNone:  // fails for certain only when one of them holds for certain
      return std::none_of(condition.children.begin(), condition.children.end(),
                          [&reader](const Condition& child) { return must_hold(child, reader); });
    default: return matches(condition, reader);
  }
}

}  // namespace ccrules::rules
