#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "rules/ruleset.h"

namespace ccrules::rules {

/// The plain tests at the beginning of every rule's condition, side by side: most rules fail one of them, and then nothing else of
/// the rule, which is large, has to be looked at. Says what matches() says, in the same order. Refers to the rules it was made of.
class Sieve {
 public:
  explicit Sieve(const std::vector<Rule>& rules);

  struct Row {
    std::uint32_t first = 0;  ///< of its tests
    std::uint32_t count = 0;
    bool whole = false;  ///< the tests are all of the condition
    bool only_targets = false, to = false, fallback = false;  ///< what the rule may claim, see Rule::only_targets
  };
  [[nodiscard]] const Row& row(std::size_t rule) const { return rows_[rule]; }
  /// False when the rule does not match; true when it may, and when its row is `whole`, it does.
  [[nodiscard]] bool passes(const Row& row, Reader& reader) const;

 private:
  enum class Look : std::uint8_t { kAsWritten, kBeginsWith, kEndsWith, kHolds };  ///< what a glob asks of a text
  struct Test {
    Condition::Op op;
    Look look = Look::kAsWritten;
    bool flag = false;
    bool ignore_case = false;
    api::Fact fact;
    double number = 0;
    std::string_view text;
  };
  /// Takes the condition's plain tests; false when something else comes first, or in between.
  bool take(const Condition& condition);
  static bool holds(const Test& test, const Value& value);

  std::vector<Row> rows_;
  std::vector<Test> tests_;
};

}  // namespace ccrules::rules
