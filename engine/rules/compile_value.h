#pragma once
#include <string>
#include <utility>
#include <vector>

#include "rules/api.h"
#include "rules/conditions.h"
#include "rules/problem.h"
#include "rules/tree.h"

namespace ccrules::rules {

/// A condition over others (kAll, kAny or kNone); what needs no Lua is asked first.
Condition over(Condition::Op op, std::vector<Condition> children);

/// Members of the request's JSON may be anything.
inline constexpr api::Kind kAnyKind = api::Kind::kObject;

/// Compiles the right side of a fact in `when`: value, glob, list, comparisons, any { }, none { }, function. Problems are at the places
/// where things were written.
class ValueCompiler {
 public:
  explicit ValueCompiler(Problems& problems) : problems_(problems) {}
  /// @param subject what is looked at: its `fact` and what belongs to it
  /// @param name the fact's, as messages and traces show it
  Condition value(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree);

 private:
  Condition value_at(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree);
  std::vector<Condition> alternatives(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree);
  Condition wrong_kind(const std::string& name, api::Kind kind, const Tree& tree);
  Condition text_value(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree);
  template <class Matches>
  void check_word(const Condition& subject, const std::string& name, const Tree& tree, Matches&& matches);
  static Condition number(const Condition& subject, const std::string& name, Condition::Op op, const char* sign, double number);
  Condition table(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree);
  Condition comparison(const Condition& subject, const std::string& name, api::Kind kind, const Tree::Member& member);
  Condition exact(const Condition& subject, const std::string& name, api::Kind kind, const Tree& tree);
  Condition contains(const Condition& subject, const std::string& name, api::Kind kind, const Tree::Member& member);
  void fail(Spot at, std::string message, std::string hint = {}) {
    problems_.push_back({at, std::move(message), std::move(hint)});
  }

  Problems& problems_;
};

}  // namespace ccrules::rules
