#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/ruleset.h"

namespace ccrules::rules {

/// The conditions of all rules as one list of plain tests, each of which says which test comes next: most rules fail their first
/// one, and then nothing else of the rule, which is large, has to be looked at. Says what matches() says, asking in the same
/// order; a condition that is not plain (Lua, counters, time windows) is left to evaluate(). Refers to the rules it was made of.
class Sieve {
 public:
  explicit Sieve(const std::vector<Rule>& rules);

  struct Row {
    std::uint32_t first = 0;  ///< its first test, or one of the answers
    bool only_targets = false, to = false, fallback = false;  ///< what the rule may claim, see Rule::only_targets
    bool fixed_targets = false;  ///< only_targets, and no function chooses them
  };
  enum class Answer : std::uint8_t { kNo, kYes, kMaybe };  ///< kMaybe: ask evaluate()

  /// What was read for one decision; facts do not change meanwhile, but for those about the target, which are read every time.
  class Glance {
   public:
    explicit Glance(Reader& reader) : reader_(reader) {}

   private:
    friend class Sieve;
    struct Seen {
      Value value;
      std::uint64_t letters = 0;  ///< which occur in the text; every one when it is long
    };
    const Seen& see(std::size_t slot, api::Fact fact) { return (known_ >> slot & 1U) != 0 ? seen_[slot] : read(slot, fact); }
    const Seen& read(std::size_t slot, api::Fact fact);
    /// Of a comparison with `limit`.
    double tokens_against(double limit);
    static constexpr std::size_t kSlots = 8;
    Reader& reader_;
    std::uint32_t known_ = 0;  ///< bit by slot
    bool tokens_known_ = false;
    double tokens_ = 0;
    std::array<Seen, kSlots + 1> seen_;  ///< the last one is for facts without a slot
  };

  [[nodiscard]] const Row& row(std::size_t rule) const { return rows_[rule]; }
  [[nodiscard]] const Row* rows() const { return rows_.data(); }
  [[nodiscard]] std::size_t tests() const { return tests_.size(); }
  [[nodiscard]] Answer ask(const Row& row, Glance& glance) const;

 private:
  enum class Look : std::uint8_t { kWhole, kBeginsWith, kEndsWith, kHolds, kGlob };  ///< what is asked of a text
  struct Test {
    Condition::Op op;
    Look look = Look::kWhole;
    bool flag = false;
    bool ignore_case = false;
    bool counts = false;  ///< tokens against a number, see Reader::tokens_against
    std::uint8_t slot = 0;
    api::Fact fact;
    std::uint32_t yes = 0, no = 0;  ///< the next test, or an answer
    double number = 0;
    std::string_view text;      ///< of a glob with one star or two at its ends: what is between them
    std::size_t least_bytes = 0;
    std::uint64_t letters = 0;  ///< what a text must have to be worth a closer look
  };
  std::uint32_t add(const Condition& condition, std::uint32_t yes, std::uint32_t no);
  std::uint32_t add_plain(const Condition& condition, std::uint32_t yes, std::uint32_t no);
  std::uint32_t add_names(const Condition& condition, std::uint32_t yes, std::uint32_t no);
  void look_at(Test& test, std::string_view pattern);
  std::uint8_t slot_of(api::Fact fact);
  static bool compare(const Test& test, double number);
  static bool holds(const Test& test, const Value& value);
  static bool matches_text(const Test& test, const Value& value);

  std::vector<Row> rows_;
  std::vector<Test> tests_;
  std::vector<api::Fact> slots_;
};

}  // namespace ccrules::rules
