#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/ruleset.h"
#include "rules/text_slots.h"

namespace ccrules::rules {

/// The conditions of all rules, compiled into one structure. What they ask of a short text (the model, the agent, the project) is
/// answered for all rules at once, a bit for each, and kept for the next request with that text. What is left is one list of plain
/// tests, each of which says which test comes next. A condition that is not plain (Lua, counters, time windows) is left to
/// evaluate(). Says what matches() says. Refers to the rules it was made of; for one thread, since it remembers.
class Sieve {
 public:
  explicit Sieve(const std::vector<Rule>& rules);

  struct Row {
    std::uint32_t first = 0;  ///< its first test but for those of texts, or one of the answers
    bool only_targets = false, to = false, fallback = false;  ///< what the rule may claim, see Rule::only_targets
    bool fixed_targets = false;  ///< only_targets, and no function chooses them
    std::uint32_t to_pick = kNone, fallback_pick = kNone;  ///< see pick()
    bool pick_decides = false;  ///< the rule matches when `fallback_pick` finds something and the rest of its condition holds
  };
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  enum class Answer : std::uint8_t { kNo, kYes, kMaybe };  ///< kMaybe: ask evaluate()

  /// What was read for one decision; facts do not change meanwhile, but for those about the target, which are read every time.
  class Glance {
   public:
    explicit Glance(Reader& reader) : reader_(reader) {}

   private:
    friend class Sieve;
    struct Seen {
      Value value;
      std::uint64_t letters = 0;  ///< which occur in the text, once somebody asked; every one when it is long
    };
    Seen& see(std::size_t slot, api::Fact fact) {
      return (known_ >> slot & 1U) != 0 ? *std::launder(reinterpret_cast<Seen*>(place(slot))) : read(slot, fact);
    }
    std::byte* place(std::size_t slot) { return seen_.data() + slot * sizeof(Seen); }
    Seen& read(std::size_t slot, api::Fact fact);
    static constexpr std::size_t kSlots = 8;
    Reader& reader_;
    std::uint32_t known_ = 0;  ///< bit by slot
    /// Room for a Seen by slot, the last one for facts without a slot. Each is made where it stays when its fact is read: to
    /// clear all of them, and to copy what was just written piece by piece, took longer than to read them.
    alignas(Seen) std::array<std::byte, (kSlots + 1) * sizeof(Seen)> seen_;
  };

  [[nodiscard]] const Row& row(std::size_t rule) const { return rows_[rule]; }
  [[nodiscard]] const Row* rows() const { return rows_.data(); }
  [[nodiscard]] std::size_t tests() const { return tests_.size(); }
  /// A bit for every rule, the first one lowest: not set when the rule cannot match. Until the next call.
  std::span<const std::uint64_t> candidates(Reader& reader, Glance& glance);
  /// Of a candidate.
  [[nodiscard]] Answer ask(const Row& row, Glance& glance) const { return follow(row.first, glance); }
  /// What the pick finds for a text, see Pick::find().
  const std::vector<Choice>* pick(std::uint32_t which, std::string_view text);

 private:
  /// What the rules ask of one fact that is a short text.
  struct Column {
    api::Fact fact = api::Fact::kModel;
    struct Part {
      std::size_t rule = 0;
      std::uint32_t first = 0;  ///< of its tests
    };
    std::vector<Part> parts;
    TextSlots texts;
    std::vector<std::uint64_t> bits;  ///< of the rules, by slot; behind them: of requests without the fact
    bool absent_known = false;
  };
  struct KnownPick {
    const Pick* pick = nullptr;
    TextSlots texts;
    std::array<const std::vector<Choice>*, TextSlots::kSlots> found{};
  };
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
  void add_rule(const Rule& rule, std::size_t number);
  std::uint32_t add_pick(const TargetEffect& effect);
  /// Takes what can be told from one short text alone; false when the condition is not such a one.
  bool take_texts(const Condition& condition, std::size_t rule);
  const std::uint64_t* bits_of(Column& column, Reader& reader, Glance& glance);
  void work_out(const Column& column, Glance& glance, std::uint64_t* bits) const;
  [[nodiscard]] Answer follow(std::uint32_t at, Glance& glance) const;
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
  std::vector<Column> columns_;
  std::vector<KnownPick> picks_;
  std::size_t words_ = 0;                ///< of 64 rules each
  std::vector<std::uint64_t> possible_;  ///< the rules that may match at all
  std::vector<std::uint64_t> left_;      ///< what candidates() gave last
};

}  // namespace ccrules::rules
