#include "rules/conditions.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "core/json.h"
#include "core/text.h"

namespace ccrules::rules {
namespace {

using Op = Condition::Op;

constexpr std::int64_t kMinuteUs = 60'000'000;
constexpr int kDayMinutes = 24 * 60;

std::string quoted(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

// --- evaluating

Value value_of(const Condition& condition, Reader& reader) {
  if (condition.fact == api::Fact::kHeaders) return reader.header(condition.header);
  if (condition.fact == api::Fact::kBucket) {
    return reader.bucket(condition.bucket_name, reader.read(condition.bucket_by).text);
  }
  return reader.read(condition.fact);
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
  const std::int64_t local = wall_us / kMinuteUs + condition.offset_minutes;
  const int minute = static_cast<int>(((local % kDayMinutes) + kDayMinutes) % kDayMinutes);
  if (condition.from_minute <= condition.to_minute) return minute >= condition.from_minute && minute < condition.to_minute;
  return minute >= condition.from_minute || minute < condition.to_minute;
}

bool holds(const Condition& condition, const Value& value) {
  const bool number = value.kind == Value::Kind::kNumber;
  switch (condition.op) {
    case Op::kText:
      return value.kind == Value::Kind::kText &&
             (condition.ignore_case ? text::equals_ignore_case(value.text, condition.text) : value.text == condition.text);
    case Op::kGlob:
      return value.kind == Value::Kind::kText && text::glob_match(condition.text, value.text, condition.ignore_case);
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

void explain(Evaluation& evaluation, std::string failed, std::string actual) {
  if (!evaluation.explain) return;
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
  if (!yes) explain(evaluation, condition.shown, with_value ? shown(value) : "false");
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

// --- compiling

class Compiler {
 public:
  Compiler(bool on_error, Problems& problems) : on_error_(on_error), problems_(problems) {}

  Condition when(const Tree& tree) {
    switch (tree.kind) {
      case Tree::Kind::kFunction: return function(tree);
      case Tree::Kind::kTable: return all(tree);
      case Tree::Kind::kMarker:
        if (tree.text == "any" || tree.text == "none") return group(tree);
        break;
      default: break;
    }
    fail(tree.at, "when must be a table of facts, any { }, none { } or a function, not " + std::string(tree.kind_name()));
    return {};
  }

 private:
  void fail(Spot at, std::string message, std::string hint = {}) {
    problems_.push_back({at, std::move(message), std::move(hint)});
  }

  static Condition function(const Tree& tree) {
    Condition condition;
    condition.op = Op::kFunction;
    condition.ref = tree.ref;
    condition.uses_lua = true;
    condition.shown = "function at line " + std::to_string(tree.at.line);
    return condition;
  }

  // A condition over others; what needs no Lua is asked first.
  static Condition over(Op op, std::vector<Condition> children) {
    Condition condition;
    condition.op = op;
    std::stable_partition(children.begin(), children.end(), [](const Condition& child) { return !child.uses_lua; });
    const char* between = op == Op::kAll ? " and " : ", ";
    for (const Condition& child : children) {
      condition.uses_lua = condition.uses_lua || child.uses_lua;
      if (!condition.shown.empty()) condition.shown += between;
      condition.shown += child.shown;
    }
    if (op != Op::kAll) condition.shown = (op == Op::kAny ? "any { " : "none { ") + condition.shown + " }";
    condition.children = std::move(children);
    return condition;
  }

  // { tokens = { gt = 5 }, any { ... } }: all of it.
  Condition all(const Tree& tree) {
    std::vector<Condition> children;
    for (const Tree& item : tree.items) children.push_back(when(item));
    for (const Tree::Member& member : tree.members) children.push_back(fact(member));
    if (children.size() == 1) return std::move(children.front());
    return over(Op::kAll, std::move(children));
  }

  // any { { agent = "x" }, { tokens = { gt = 5 } } }; members stand for one table each: any { agent = "x", stream = true }.
  Condition group(const Tree& tree) {
    std::vector<Condition> children;
    for (const Tree& item : tree.items) children.push_back(when(item));
    for (const Tree::Member& member : tree.members) children.push_back(fact(member));
    return over(tree.text == "any" ? Op::kAny : Op::kNone, std::move(children));
  }

  Condition fact(const Tree::Member& member) {
    const api::FactRow* row = usable_fact(member.key, member.at, on_error_, problems_);
    if (row == nullptr) return {};
    switch (row->id) {
      case api::Fact::kTime: return time(member);
      case api::Fact::kBucket: return bucket(member);
      case api::Fact::kText: return nested(*row, member);
      case api::Fact::kHeaders: return headers(member);
      default: break;
    }
    Condition subject;
    subject.fact = row->id;
    subject.ignore_case = row->id == api::Fact::kModel || row->id == api::Fact::kTargetModel;
    return value(subject, member.key, row->kind, member.value);
  }

  // text = { last_user = "..." } means ["text.last_user"] = "...".
  Condition nested(const api::FactRow& row, const Tree::Member& member) {
    if (!member.value.is(Tree::Kind::kTable) || !member.value.items.empty()) {
      fail(member.value.at, std::string(row.name) + " needs a table of its parts: " + row.type);
      return {};
    }
    std::vector<Condition> children;
    for (const Tree::Member& part : member.value.members) {
      Tree::Member dotted = part;
      dotted.key = std::string(row.name) + "." + part.key;
      children.push_back(fact(dotted));
    }
    return over(Op::kAll, std::move(children));
  }

  Condition headers(const Tree::Member& member) {
    if (!member.value.is(Tree::Kind::kTable) || !member.value.items.empty()) {
      fail(member.value.at, "headers needs a table: { [\"x-team\"] = \"core\" }");
      return {};
    }
    std::vector<Condition> children;
    for (const Tree::Member& part : member.value.members) {
      Condition subject;
      subject.fact = api::Fact::kHeaders;
      subject.header = text::lower(part.key);
      children.push_back(value(subject, "headers." + subject.header, api::Kind::kText, part.value));
    }
    return over(Op::kAll, std::move(children));
  }

  // bucket = { name = "gpt", by = "session", lt = 10 }
  Condition bucket(const Tree::Member& member) {
    if (!member.value.is(Tree::Kind::kTable)) {
      fail(member.value.at, "bucket needs a table: { name = \"experiment\", by = \"session\", lt = 10 }");
      return {};
    }
    Condition subject;
    subject.fact = api::Fact::kBucket;
    Tree comparisons = member.value;
    comparisons.members.clear();
    for (const Tree::Member& part : member.value.members) {
      if (part.key == "name" && part.value.is(Tree::Kind::kText)) {
        subject.bucket_name = part.value.text;
      } else if (part.key == "by" && part.value.is(Tree::Kind::kText)) {
        const api::FactRow* by = usable_fact(part.value.text, part.value.at, on_error_, problems_);
        if (by != nullptr && by->kind != api::Kind::kText) {
          fail(part.value.at, "bucket: by must be a text fact such as session, user or project");
        }
        if (by != nullptr) subject.bucket_by = by->id;
      } else {
        comparisons.members.push_back(part);
      }
    }
    if (subject.bucket_name.empty()) fail(member.at, "bucket needs a name, so that experiments are independent");
    if (comparisons.members.empty()) fail(member.at, "bucket needs a comparison, such as lt = 10 for ten percent");
    return value(subject, "bucket(" + subject.bucket_name + ")", api::Kind::kNumber, comparisons);
  }

  // time = { from = "22:00", to = "06:00", tz = "+01:00", wday = { gte = 6 }, hour = ... }
  Condition time(const Tree::Member& member) {
    if (!member.value.is(Tree::Kind::kTable)) {
      fail(member.value.at, "time needs a table: { from = \"22:00\", to = \"06:00\" }");
      return {};
    }
    Condition window;
    window.op = Op::kTimeWindow;
    window.fact = api::Fact::kTime;
    bool from = false;
    bool to = false;
    std::string zone = "UTC";
    std::vector<Condition> children;
    for (const Tree::Member& part : member.value.members) {
      if (part.key == "from") {
        from = clock(part.value, window.from_minute);
      } else if (part.key == "to") {
        to = clock(part.value, window.to_minute);
      } else if (part.key == "tz") {
        offset(part.value, window.offset_minutes);
        zone = part.value.text;
      } else if (part.key == "hour" || part.key == "wday" || part.key == "iso") {
        Tree::Member dotted = part;
        dotted.key = "time." + part.key;
        children.push_back(fact(dotted));
      } else {
        const std::array<std::string, 6> known = {"from", "to", "tz", "hour", "wday", "iso"};
        const std::string near = text::did_you_mean(part.key, known);
        fail(part.at, "time has no '" + part.key + "'",
             near.empty() ? "time has from, to, tz, hour, wday, iso" : "did you mean '" + near + "'?");
      }
    }
    if (from != to) fail(member.at, "time needs both from and to");
    if (from && to) {
      window.shown = "time from " + minutes(window.from_minute) + " to " + minutes(window.to_minute) + " " + zone;
      children.push_back(std::move(window));
    }
    return over(Op::kAll, std::move(children));
  }

  static std::string minutes(int minute) {
    const auto two = [](int n) { return (n < 10 ? "0" : "") + std::to_string(n); };
    return two(minute / 60) + ":" + two(minute % 60);
  }

  // "HH:MM", 24:00 included.
  bool clock(const Tree& tree, int& minute) {
    const auto parts = text::split(tree.text, ':');
    if (tree.is(Tree::Kind::kText) && parts.size() == 2) {
      const auto hour = text::to_int(parts[0]);
      const auto rest = text::to_int(parts[1]);
      if (hour && rest && *hour >= 0 && *rest >= 0 && *rest < 60 && *hour * 60 + *rest <= kDayMinutes) {
        minute = static_cast<int>(*hour * 60 + *rest);
        return true;
      }
    }
    fail(tree.at, "a time of day is written \"HH:MM\"");
    return false;
  }

  void offset(const Tree& tree, int& offset_minutes) {
    const std::string_view zone = tree.text;
    if (tree.is(Tree::Kind::kText) && (zone == "UTC" || zone == "Z")) return;
    if (tree.is(Tree::Kind::kText) && zone.size() == 6 && (zone[0] == '+' || zone[0] == '-')) {
      Tree clock_part = tree;
      clock_part.text = zone.substr(1);
      if (clock(clock_part, offset_minutes) && zone[0] == '-') offset_minutes = -offset_minutes;
      return;
    }
    fail(tree.at, "tz '" + tree.text + "' is not available in this version", "write \"UTC\" or an offset such as \"+01:00\"");
  }

  // The right side of a fact: value, glob, list, comparisons, any { }, none { }, function.
  Condition value(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree) {
    switch (tree.kind) {
      case Tree::Kind::kText: return text_value(subject, name, kind, tree);
      case Tree::Kind::kNumber: {
        if (kind != api::Kind::kNumber) return wrong_kind(name, kind, tree);
        return number(subject, name, Op::kEqual, "=", tree.number);
      }
      case Tree::Kind::kFlag: {
        if (kind != api::Kind::kFlag) return wrong_kind(name, kind, tree);
        Condition condition = subject;
        condition.op = Op::kFlag;
        condition.flag = tree.flag;
        condition.shown = name + " = " + (tree.flag ? "true" : "false");
        return condition;
      }
      case Tree::Kind::kFunction: {
        Condition condition = subject;
        condition.op = Op::kValueFunction;
        condition.ref = tree.ref;
        condition.uses_lua = true;
        condition.shown = name + " by the function at line " + std::to_string(tree.at.line);
        return condition;
      }
      case Tree::Kind::kTable: return table(subject, name, kind, tree);
      case Tree::Kind::kMarker:
        if (tree.text == "any" || tree.text == "none") {
          std::vector<Condition> children = alternatives(subject, name, kind, tree);
          if (!tree.members.empty()) fail(tree.at, tree.text + " here is a list: " + tree.text + " { a, b }");
          return over(tree.text == "any" ? Op::kAny : Op::kNone, std::move(children));
        }
        break;
      case Tree::Kind::kNil: break;
    }
    fail(tree.at, name + " cannot be compared with " + tree.kind_name());
    return {};
  }

  std::vector<Condition> alternatives(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree) {
    std::vector<Condition> children;
    for (const Tree& item : tree.items) children.push_back(value(subject, name, kind, item));
    return children;
  }

  Condition wrong_kind(const std::string& name, api::Kind kind, const Tree& tree) {
    static constexpr const char* kNames[] = {"a string", "a number", "true or false", "a list of strings", "a table", "a function"};
    fail(tree.at, name + " is " + kNames[static_cast<std::size_t>(kind)] + ", so it cannot be compared with " + tree.kind_name());
    return {};
  }

  Condition text_value(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree) {
    Condition condition = subject;
    condition.text = tree.text;
    if (kind == api::Kind::kList) {
      condition.op = Op::kHas;
      condition.shown = name + " has " + quoted(tree.text);
      return condition;
    }
    if (kind != api::Kind::kText) return wrong_kind(name, kind, tree);
    condition.op = text::is_glob(tree.text) ? Op::kGlob : Op::kText;
    condition.shown = name + " = " + quoted(tree.text);
    return condition;
  }

  static Condition number(const Condition& subject, const std::string& name, Op op, const char* sign, double number) {
    Condition condition = subject;
    condition.op = op;
    condition.number = number;
    condition.shown = name + " " + sign + " " + number_text(number);
    return condition;
  }

  Condition table(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree) {
    if (!tree.items.empty() && tree.members.empty()) {
      std::vector<Condition> children = alternatives(subject, name, kind, tree);
      return over(Op::kAny, std::move(children));
    }
    if (tree.members.empty() || !tree.items.empty()) {
      fail(tree.at, tree.items.empty() ? name + " = { } can never hold: list values or comparisons"
                                       : name + ": a list and comparisons cannot be mixed");
      return {};
    }
    std::vector<Condition> children;
    for (const Tree::Member& member : tree.members) children.push_back(comparison(subject, name, kind, member));
    if (children.size() == 1) return std::move(children.front());
    return over(Op::kAll, std::move(children));
  }

  Condition comparison(const Condition& subject, const std::string& name, api::Kind kind, const Tree::Member& member) {
    struct Sign {
      const char* word;
      Op op;
      const char* sign;
    };
    static constexpr Sign kSigns[] = {
        {"gt", Op::kGreater, ">"}, {"gte", Op::kAtLeast, ">="}, {"lt", Op::kLess, "<"}, {"lte", Op::kAtMost, "<="}};
    for (const Sign& sign : kSigns) {
      if (member.key != sign.word) continue;
      if (kind != api::Kind::kNumber || !member.value.is(Tree::Kind::kNumber)) {
        fail(member.at, name + ": " + member.key + " compares numbers");
        return {};
      }
      return number(subject, name, sign.op, sign.sign, member.value.number);
    }
    if (member.key == "eq") return exact(subject, name, kind, member.value);
    if (member.key == "ne") {
      Tree list = member.value;
      if (!list.is(Tree::Kind::kTable)) {
        list = Tree{};
        list.kind = Tree::Kind::kTable;
        list.at = member.value.at;
        list.items.push_back(member.value);
      }
      return over(Op::kNone, alternatives(subject, name, kind, list));
    }
    if (member.key == "has") return contains(subject, name, kind, member);
    if (member.key == "present") {
      if (!member.value.is(Tree::Kind::kFlag)) fail(member.value.at, name + ": present is true or false");
      Condition condition = subject;
      condition.op = Op::kPresent;
      condition.flag = member.value.flag;
      condition.shown = name + (condition.flag ? " is present" : " is absent");
      return condition;
    }
    const std::array<std::string, 8> known = {"gt", "gte", "lt", "lte", "eq", "ne", "has", "present"};
    const std::string near = text::did_you_mean(member.key, known);
    fail(member.at, "unknown comparison '" + member.key + "'",
         near.empty() ? "comparisons: gt, gte, lt, lte, eq, ne, has, present" : "did you mean '" + near + "'?");
    return {};
  }

  // eq: a value that is no glob even with a star in it.
  Condition exact(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree) {
    Condition condition = value(subject, name, kind, tree);
    if (condition.op == Op::kGlob) condition.op = Op::kText;
    return condition;
  }

  Condition contains(const Condition& subject, const std::string& name, api::Kind kind, const Tree::Member& member) {
    if (kind != api::Kind::kList && kind != api::Kind::kText) {
      fail(member.at, name + ": has looks into lists and texts");
      return {};
    }
    std::vector<Condition> children;  // a list: it has all of them
    const std::vector<Tree> one = {member.value};
    for (const Tree& item : member.value.is(Tree::Kind::kTable) ? member.value.items : one) {
      if (!item.is(Tree::Kind::kText)) {
        fail(item.at, name + ": has needs a string");
        continue;
      }
      Condition condition = subject;
      condition.op = Op::kHas;
      condition.text = item.text;
      condition.shown = name + " has " + quoted(item.text);
      children.push_back(std::move(condition));
    }
    if (children.size() == 1) return std::move(children.front());
    return over(Op::kAll, std::move(children));
  }

  bool on_error_;
  Problems& problems_;
};

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
    case Op::kNever: explain(evaluation, condition.shown, condition.actual); return Outcome::kNo;
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

Condition compile_when(const Tree& when, bool on_error, Problems& problems) {
  return Compiler(on_error, problems).when(when);
}

Condition compile_names(const api::FactRow& fact, const std::vector<std::string>& names) {
  Condition condition;
  condition.op = Op::kNames;
  condition.fact = fact.id;
  condition.shown = std::string(fact.name) + " is one of ";
  for (const std::string& name : names) {
    if (&name != &names.front()) condition.shown += ", ";
    condition.shown += name;
    if (text::is_glob(name)) {
      condition.globs.push_back(name);
    } else {
      condition.names.push_back(name);
    }
  }
  return condition;
}

const api::FactRow* usable_fact(std::string_view name, Spot at, bool on_error, Problems& problems) {
  const api::FactRow* row = api::find_fact(name);
  if (row == nullptr) {
    problems.push_back({at, "unknown fact '" + std::string(name) + "'", api::fact_hint(name)});
    return nullptr;
  }
  if (row->phase == api::Phase::kLater) {
    problems.push_back({at, "fact '" + std::string(name) + "' is not available in this version", row->doc});
    return nullptr;
  }
  if (row->phase == api::Phase::kError && !on_error) {
    problems.push_back({at, "fact '" + std::string(name) + "' exists only after a failed attempt", "add on = \"error\" to the rule"});
    return nullptr;
  }
  return row;
}

}  // namespace ccrules::rules
