#include "rules/implication.h"

#include <algorithm>
#include <limits>

#include "core/text.h"

namespace ccrules::rules {
namespace {

using Op = Condition::Op;

bool is_group(const Condition& condition) {
  return condition.op == Op::kAll || condition.op == Op::kAny || condition.op == Op::kNone;
}

template <class Test>
bool any_child(const Condition& condition, Test&& test) {
  return std::any_of(condition.children.begin(), condition.children.end(), test);
}
template <class Test>
bool all_children(const Condition& condition, Test&& test) {
  return std::all_of(condition.children.begin(), condition.children.end(), test);
}

// Both look at the same value.
bool same_subject(const Condition& a, const Condition& b) {
  if (a.fact != b.fact) return false;
  if (a.subject == b.subject) return true;
  if (a.subject == nullptr || b.subject == nullptr) return false;
  const Subject& x = *a.subject;
  const Subject& y = *b.subject;
  return x.name == y.name && x.bucket_by == y.bucket_by && x.period == y.period && x.window == y.window &&
         x.target.provider == y.target.provider && x.target.model == y.target.model && x.to == y.to && x.warm == y.warm &&
         x.zone.name() == y.zone.name();
}

/// Numbers that fulfil a comparison.
struct Interval {
  double from = -std::numeric_limits<double>::infinity();
  double to = std::numeric_limits<double>::infinity();
  bool with_from = false;
  bool with_to = false;

  [[nodiscard]] bool within(const Interval& other) const {
    const bool low = from > other.from || (from == other.from && (other.with_from || !with_from));
    const bool high = to < other.to || (to == other.to && (other.with_to || !with_to));
    return low && high;
  }
  [[nodiscard]] bool below(const Interval& other) const { return to < other.from || (to == other.from && !(with_to && other.with_from)); }
};

bool interval_of(const Condition& condition, Interval& out) {
  switch (condition.op) {
    case Op::kEqual: out = {condition.number, condition.number, true, true}; return true;
    case Op::kGreater: out.from = condition.number; return true;
    case Op::kAtLeast: out.from = condition.number; out.with_from = true; return true;
    case Op::kLess: out.to = condition.number; return true;
    case Op::kAtMost: out.to = condition.number; out.with_to = true; return true;
    default: return false;
  }
}

bool is_text(const Condition& condition) {
  return condition.op == Op::kText || condition.op == Op::kGlob || condition.op == Op::kPrefix;
}

bool same_text(const Condition& a, std::string_view x, std::string_view y) {
  return a.ignore_case ? text::equals_ignore_case(x, y) : x == y;
}

// A glob that matches another one as it is written matches whatever that one matches, unless a `?` stood for its `*`.
bool covers(std::string_view glob, std::string_view pattern, bool ignore_case) {
  return glob.find('?') == std::string_view::npos && text::glob_match(glob, pattern, ignore_case);
}

bool text_implies(const Condition& a, const Condition& b) {
  if (a.ignore_case != b.ignore_case) return false;
  const std::size_t star = a.op == Op::kGlob ? a.text.find_first_of("*?") : a.text.size();
  switch (b.op) {
    case Op::kText: return a.op == Op::kText && same_text(a, a.text, b.text);
    case Op::kPrefix: return !a.ignore_case && b.text.size() <= star && a.text.starts_with(b.text);
    case Op::kGlob:
      if (a.op == Op::kText) return text::glob_match(b.text, a.text, b.ignore_case);
      if (a.op == Op::kGlob) return same_text(a, a.text, b.text) || covers(b.text, a.text, b.ignore_case);
      return covers(b.text, a.text + "*", b.ignore_case);
    default: return false;
  }
}

bool text_excludes(const Condition& a, const Condition& b) {
  if (a.ignore_case != b.ignore_case) return false;
  if (a.op == Op::kText) {
    if (b.op == Op::kText) return !same_text(a, a.text, b.text);
    if (b.op == Op::kGlob) return !text::glob_match(b.text, a.text, b.ignore_case);
    return !a.ignore_case && !a.text.starts_with(b.text);
  }
  return b.op == Op::kText && text_excludes(b, a);
}

bool in_window(const Subject& window, int minute) {
  if (window.from_minute <= window.to_minute) return minute >= window.from_minute && minute < window.to_minute;
  return minute >= window.from_minute || minute < window.to_minute;
}

template <class Test>
bool each_minute(const Condition& a, const Condition& b, Test&& test) {
  for (int minute = 0; minute < 24 * 60; ++minute) {
    if (!test(in_window(*a.subject, minute), in_window(*b.subject, minute))) return false;
  }
  return true;
}

// It holds only on a value that is there.
bool needs_value(const Condition& condition) {
  return is_text(condition) || condition.op == Op::kFlag || condition.op == Op::kHas || condition.op == Op::kNames ||
         condition.op == Op::kEqual || condition.op == Op::kGreater || condition.op == Op::kAtLeast || condition.op == Op::kLess ||
         condition.op == Op::kAtMost || (condition.op == Op::kPresent && condition.flag);
}

bool has_implies(const Condition& a, const Condition& b) {
  if (a.ignore_case != b.ignore_case) return false;
  if (same_text(a, a.text, b.text)) return true;
  switch (api::fact_row(a.fact).kind) {
    case api::Kind::kList: return covers(b.text, a.text, b.ignore_case);
    case api::Kind::kText: return !a.ignore_case && a.text.find(b.text) != std::string::npos;
    default: return false;
  }
}

bool leaf_implies(const Condition& a, const Condition& b) {
  if (a.op == Op::kFunction && b.op == Op::kFunction) return a.ref == b.ref;
  if (a.op == Op::kFunction || b.op == Op::kFunction || a.op == Op::kNever || b.op == Op::kNever || !same_subject(a, b)) return false;
  if (a.op == Op::kTimeWindow && b.op == Op::kTimeWindow) {
    return each_minute(a, b, [](bool in_a, bool in_b) { return !in_a || in_b; });
  }
  if (a.op == Op::kTimeWindow || b.op == Op::kTimeWindow) return false;
  Interval x;
  Interval y;
  if (interval_of(a, x) && interval_of(b, y)) return x.within(y);
  if (is_text(a) && is_text(b)) return text_implies(a, b);
  if (b.op == Op::kPresent) return b.flag ? needs_value(a) : a.op == Op::kPresent && !a.flag;
  if (a.op != b.op) return false;
  switch (a.op) {
    case Op::kFlag: return a.flag == b.flag;
    case Op::kHas: return has_implies(a, b);
    case Op::kNames: return a.names == b.names && a.globs == b.globs;
    case Op::kValueFunction: return a.ref == b.ref;
    default: return false;
  }
}

bool leaves_exclude(const Condition& a, const Condition& b) {
  if (a.op == Op::kFunction || b.op == Op::kFunction || !same_subject(a, b)) return false;
  if (a.op == Op::kTimeWindow && b.op == Op::kTimeWindow) {
    return each_minute(a, b, [](bool in_a, bool in_b) { return !(in_a && in_b); });
  }
  if (a.op == Op::kTimeWindow || b.op == Op::kTimeWindow) return false;
  Interval x;
  Interval y;
  if (interval_of(a, x) && interval_of(b, y)) return x.below(y) || y.below(x);
  if (is_text(a) && is_text(b)) return text_excludes(a, b);
  if (a.op == Op::kFlag && b.op == Op::kFlag) return a.flag != b.flag;
  const auto absent = [](const Condition& one) { return one.op == Op::kPresent && !one.flag; };
  return (absent(a) && needs_value(b)) || (absent(b) && needs_value(a));
}

// The parts of a condition that must all hold.
void conjuncts(const Condition& condition, std::vector<const Condition*>& out) {
  if (condition.op != Op::kAll) {
    out.push_back(&condition);
    return;
  }
  for (const Condition& child : condition.children) conjuncts(child, out);
}

}  // namespace

bool implies(const Condition& a, const Condition& b) {
  if (b.op == Op::kAll) return all_children(b, [&a](const Condition& child) { return implies(a, child); });
  if (b.op == Op::kNone) return all_children(b, [&a](const Condition& child) { return exclude(a, child); });
  if (a.op == Op::kAny) return !a.children.empty() && all_children(a, [&b](const Condition& child) { return implies(child, b); });
  if (b.op == Op::kAny && any_child(b, [&a](const Condition& child) { return implies(a, child); })) return true;
  if (a.op == Op::kAll) return any_child(a, [&b](const Condition& child) { return implies(child, b); });
  return !is_group(a) && !is_group(b) && leaf_implies(a, b);
}

bool exclude(const Condition& a, const Condition& b) {
  if (a.op == Op::kAny) return all_children(a, [&b](const Condition& child) { return exclude(child, b); });
  if (b.op == Op::kAny) return all_children(b, [&a](const Condition& child) { return exclude(a, child); });
  if (a.op == Op::kNone && any_child(a, [&b](const Condition& child) { return implies(b, child); })) return true;
  if (b.op == Op::kNone && any_child(b, [&a](const Condition& child) { return implies(a, child); })) return true;
  if (a.op == Op::kAll && any_child(a, [&b](const Condition& child) { return exclude(child, b); })) return true;
  if (b.op == Op::kAll && any_child(b, [&a](const Condition& child) { return exclude(a, child); })) return true;
  return !is_group(a) && !is_group(b) && leaves_exclude(a, b);
}

bool impossible(const Condition& condition) {
  switch (condition.op) {
    case Op::kAny: return all_children(condition, impossible);
    case Op::kNone: return any_child(condition, always);
    case Op::kAll: break;
    case Op::kTimeWindow: return condition.subject->from_minute == condition.subject->to_minute;
    default: return false;
  }
  std::vector<const Condition*> parts;
  conjuncts(condition, parts);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i]->op != Op::kAll && impossible(*parts[i])) return true;
    for (std::size_t j = i + 1; j < parts.size(); ++j) {
      if (exclude(*parts[i], *parts[j])) return true;
    }
  }
  return false;
}

bool always(const Condition& condition) {
  switch (condition.op) {
    case Op::kAll: return all_children(condition, always);
    case Op::kAny: return any_child(condition, always);
    case Op::kNone: return all_children(condition, impossible);
    default: return false;
  }
}

}  // namespace ccrules::rules
