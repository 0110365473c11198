#include "rules/compile_value.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "core/json.h"
#include "core/text.h"

namespace ccrules::rules {
namespace {

using Op = Condition::Op;

std::string quoted(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

const char* words_for(api::Kind kind) {
  static constexpr const char* kWords[] = {"a string", "a number", "true or false", "a list of strings", "a table", "a function"};
  return kWords[static_cast<std::size_t>(kind)];
}

}  // namespace

Condition over(Op op, std::vector<Condition> children) {
  Condition condition;
  condition.op = op;
  std::stable_partition(children.begin(), children.end(), [](const Condition& child) { return !child.uses_lua; });
  const char* between = op == Op::kAll ? " and " : ", ";
  for (const Condition& child : children) {
    condition.uses_lua = condition.uses_lua || child.uses_lua;
    condition.about_target = condition.about_target || child.about_target;
    if (!condition.shown.empty()) condition.shown += between;
    condition.shown += child.shown;
  }
  if (op != Op::kAll) condition.shown = (op == Op::kAny ? "any { " : "none { ") + condition.shown + " }";
  condition.children = std::move(children);
  return condition;
}

Condition ValueCompiler::value(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree) {
  Condition condition = value_at(subject, name, kind, tree);
  if (condition.at.line == 0) condition.at = tree.at;
  return condition;
}

Condition ValueCompiler::value_at(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree) {
  switch (tree.kind) {
    case Tree::Kind::kText: return text_value(subject, name, kind, tree);
    case Tree::Kind::kNumber: {
      if (kind != api::Kind::kNumber && kind != kAnyKind) return wrong_kind(name, kind, tree);
      return number(subject, name, Op::kEqual, "=", tree.number);
    }
    case Tree::Kind::kFlag: {
      if (kind != api::Kind::kFlag && kind != kAnyKind) return wrong_kind(name, kind, tree);
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
      condition.about_target = condition.about_target || tree.about_target;
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

std::vector<Condition> ValueCompiler::alternatives(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree) {
  std::vector<Condition> children;
  for (const Tree& item : tree.items) children.push_back(value(subject, name, kind, item));
  return children;
}

Condition ValueCompiler::wrong_kind(const std::string& name, api::Kind kind, const Tree& tree) {
  fail(tree.at, name + " is " + words_for(kind) + ", so it cannot be compared with " + tree.kind_name());
  return {};
}

Condition ValueCompiler::text_value(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree) {
  Condition condition = subject;
  condition.text = tree.text;
  if (kind == api::Kind::kList) {
    condition.op = Op::kHas;
    condition.shown = name + " has " + quoted(tree.text);
    return condition;
  }
  if (kind != api::Kind::kText && kind != kAnyKind) return wrong_kind(name, kind, tree);
  condition.op = text::is_glob(tree.text) ? Op::kGlob : Op::kText;
  check_word(subject, name, tree, [&tree](std::string_view word) { return text::glob_match(tree.text, word, false); });
  condition.shown = name + " = " + quoted(tree.text);
  return condition;
}

// A word that the fact never is makes a rule that silently does nothing.
template <class Matches>
void ValueCompiler::check_word(const Condition& subject, const std::string& name, const Tree& tree, Matches&& matches) {
  const api::Values* values = api::fact_row(subject.fact).values;
  if (values == nullptr || values->words.empty() || values->more) return;
  if (std::any_of(values->words.begin(), values->words.end(), matches)) return;
  fail(tree.at, name + " is never '" + tree.text + "'", api::word_hint(*values, tree.text));
}

Condition ValueCompiler::number(const Condition& subject, const std::string& name, Op op, const char* sign, double number) {
  Condition condition = subject;
  condition.op = op;
  condition.number = number;
  condition.shown = name + " " + sign + " " + number_text(number);
  return condition;
}

Condition ValueCompiler::table(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree) {
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

Condition ValueCompiler::comparison(const Condition& subject, const std::string& name, api::Kind kind, const Tree::Member& member) {
  struct Sign {
    const char* word;
    Op op;
    const char* sign;
  };
  static constexpr Sign kSigns[] = {
      {"gt", Op::kGreater, ">"}, {"gte", Op::kAtLeast, ">="}, {"lt", Op::kLess, "<"}, {"lte", Op::kAtMost, "<="}};
  for (const Sign& sign : kSigns) {
    if (member.key != sign.word) continue;
    if (kind != api::Kind::kNumber && kind != kAnyKind) {
      const std::string count = name.substr(0, name.size() - (name.ends_with('s') ? 1 : 0)) + "_count";
      fail(member.at, name + " is " + words_for(kind) + ", and " + member.key + " compares numbers",
           api::find_fact(count) == nullptr ? "" : "how many there are is " + count);
      return {};
    }
    if (!member.value.is(Tree::Kind::kNumber)) {
      fail(member.value.at, name + ": " + member.key + " compares with a number, not " + member.value.kind_name());
      return {};
    }
    Condition condition = number(subject, name, sign.op, sign.sign, member.value.number);
    condition.at = member.at;
    return condition;
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
  if (member.key == "any" || member.key == "none") {
    if (!member.value.is(Tree::Kind::kTable)) fail(member.value.at, name + ": " + member.key + " is a list");
    return over(member.key == "any" ? Op::kAny : Op::kNone, alternatives(subject, name, kind, member.value));
  }
  if (member.key == "has") return contains(subject, name, kind, member);
  if (member.key == "present") {
    if (!member.value.is(Tree::Kind::kFlag)) fail(member.value.at, name + ": present is true or false");
    Condition condition = subject;
    condition.op = Op::kPresent;
    condition.at = member.at;
    condition.flag = member.value.flag;
    condition.shown = name + (condition.flag ? " is present" : " is absent");
    return condition;
  }
  const std::array<std::string, 10> known = {"gt", "gte", "lt", "lte", "eq", "ne", "has", "present", "any", "none"};
  const std::string near = text::did_you_mean(member.key, known);
  fail(member.at, "unknown comparison '" + member.key + "'",
       near.empty() ? "comparisons: gt, gte, lt, lte, eq, ne, has, present, any, none" : "did you mean '" + near + "'?");
  return {};
}

// eq: a value that is no glob even with a star in it.
Condition ValueCompiler::exact(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree) {
  Condition condition = value(subject, name, kind, tree);
  if (condition.op == Op::kGlob) condition.op = Op::kText;
  return condition;
}

Condition ValueCompiler::contains(const Condition& subject, const std::string& name, api::Kind kind, const Tree::Member& member) {
  if (kind != api::Kind::kList && kind != api::Kind::kText && kind != kAnyKind) {
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
    condition.at = item.at;
    condition.shown = name + " has " + quoted(item.text);
    check_word(subject, name, item, [&item](std::string_view word) { return word.find(item.text) != std::string_view::npos; });
    children.push_back(std::move(condition));
  }
  if (children.size() == 1) return std::move(children.front());
  return over(Op::kAll, std::move(children));
}

}  // namespace ccrules::rules
