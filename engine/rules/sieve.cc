#include "rules/sieve.h"

#include <algorithm>

#include "core/text.h"

namespace ccrules::rules {
namespace {

using Op = Condition::Op;

bool is_number_test(Op op) { return op >= Op::kEqual && op <= Op::kAtMost; }

bool is_plain(const Condition& condition) {
  if (condition.subject != nullptr) return false;
  switch (condition.op) {
    case Op::kText:
    case Op::kGlob:
    case Op::kPrefix:
    case Op::kFlag:
    case Op::kPresent: return true;
    default: return is_number_test(condition.op);
  }
}

}  // namespace

Sieve::Sieve(const std::vector<Rule>& rules) {
  for (const Rule& rule : rules) {
    Row row;
    row.first = static_cast<std::uint32_t>(tests_.size());
    row.whole = take(rule.when);
    row.count = static_cast<std::uint32_t>(tests_.size()) - row.first;
    row.only_targets = rule.only_targets();
    row.to = rule.to.kind != TargetEffect::Kind::kNone;
    row.fallback = rule.fallback.kind != TargetEffect::Kind::kNone;
    rows_.push_back(row);
  }
}

bool Sieve::take(const Condition& condition) {
  if (condition.op == Op::kAll) {
    return std::all_of(condition.children.begin(), condition.children.end(), [this](const Condition& child) { return take(child); });
  }
  if (!is_plain(condition)) return false;
  Test test{.op = condition.op, .flag = condition.flag, .ignore_case = condition.ignore_case, .fact = condition.fact,
            .number = condition.number, .text = condition.text};
  if (test.op == Op::kGlob && !test.ignore_case) {
    // "*haiku*", "claude-*", "*-mini": no need to match step by step.
    const bool front = test.text.starts_with('*');
    const bool back = test.text.size() > 1 && test.text.ends_with('*');
    const std::string_view inner = test.text.substr(front ? 1 : 0, test.text.size() - (front ? 1 : 0) - (back ? 1 : 0));
    if ((front || back) && !text::is_glob(inner)) {
      test.look = front && back ? Look::kHolds : front ? Look::kEndsWith : Look::kBeginsWith;
      test.text = inner;
    }
  }
  tests_.push_back(test);
  return true;
}

bool Sieve::holds(const Test& test, const Value& value) {
  switch (test.op) {
    case Op::kText:
      return value.kind == Value::Kind::kText &&
             (test.ignore_case ? text::equals_ignore_case(value.text, test.text) : value.text == test.text);
    case Op::kPrefix: return value.kind == Value::Kind::kText && value.text.starts_with(test.text);
    case Op::kFlag: return value.kind == Value::Kind::kFlag && value.flag == test.flag;
    case Op::kPresent: return (value.kind != Value::Kind::kNone) == test.flag;
    case Op::kGlob: break;
    default:
      if (value.kind != Value::Kind::kNumber) return false;
      switch (test.op) {
        case Op::kEqual: return value.number == test.number;
        case Op::kGreater: return value.number > test.number;
        case Op::kAtLeast: return value.number >= test.number;
        case Op::kLess: return value.number < test.number;
        default: return value.number <= test.number;
      }
  }
  if (value.kind != Value::Kind::kText) return false;
  switch (test.look) {
    case Look::kAsWritten: break;
    case Look::kBeginsWith: return value.text.starts_with(test.text);
    case Look::kEndsWith: return value.text.ends_with(test.text);
    case Look::kHolds: return value.text.find(test.text) != std::string_view::npos;
  }
  return text::glob_match(test.text, value.text, test.ignore_case);
}

bool Sieve::passes(const Row& row, Reader& reader) const {
  const Test* const end = tests_.data() + row.first + row.count;
  for (const Test* test = tests_.data() + row.first; test != end; ++test) {
    const bool counts = test->fact == api::Fact::kTokens && is_number_test(test->op);
    if (!holds(*test, counts ? reader.tokens_against(test->number) : reader.read(test->fact))) return false;
  }
  return true;
}

}  // namespace ccrules::rules
