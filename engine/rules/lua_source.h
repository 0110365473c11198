#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rules/tree.h"

/// Where things stand in a Lua source: a light scanner that finds the table literals given to `rule "name" { }`, `alias { }`,
/// `case "name" { }` ..., so that a message about a member names the member's own line and column. It reads tokens, not
/// meaning; what it does not recognise simply has no place.
namespace ccrules::rules {

/// One `{ ... }` in the source.
struct Literal {
  /// `req.name` inside a function value, `req` being whatever its first parameter is called.
  struct FactUse {
    std::string name;
    Spot at;
  };
  struct Entry {
    std::string key;  ///< empty: positional
    Spot at;          ///< of the key, or of the value when positional
    Spot value_at;
    std::unique_ptr<Literal> table;  ///< the value when it is a literal, also below `any { }` and `none { }`
    std::vector<FactUse> uses;       ///< the value when it is a function
  };
  Spot at;
  std::vector<Entry> entries;

  [[nodiscard]] const Entry* find(std::string_view key) const;
  /// The n-th positional entry, from 0.
  [[nodiscard]] const Entry* item(std::size_t n) const;
};

/// `callee "name" { ... }` or `callee { ... }`.
struct Construct {
  std::string callee;
  std::string name;
  bool named = false;  ///< the name is a string literal
  Spot at;             ///< of the callee
  Spot name_at;
  int last_line = 0;   ///< of the table's opening brace
  Literal body;
};

std::vector<Construct> scan(std::string_view source);

/// The construct a declaration seen at run time came from: same callee, the line its call was made on, and the same name when
/// that is a literal. Null when there is none.
const Construct* match(const std::vector<Construct>& constructs, std::string_view callee, std::string_view name, int line);

}  // namespace ccrules::rules
