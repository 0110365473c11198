#pragma once
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "rules/ruleset.h"
#include "rules/test_run.h"

namespace ccrules::rules {

/// What no test showed.
struct CoverageGap {
  std::string file;
  Spot at;
  std::string text;  ///< "rule 'night' never matched", "tokens > 60000 was never true"
};

struct CoverageCount {
  std::size_t hit = 0;
  std::size_t total = 0;
  /// 100 when there is nothing to cover.
  [[nodiscard]] double percent() const {
    return total == 0 ? 100.0 : 100.0 * static_cast<double>(hit) / static_cast<double>(total);
  }
};

struct CoverageReport {
  struct File {
    std::string file;
    CoverageCount rules, outcomes, lines;
  };
  std::vector<File> files;  ///< in the order they are loaded
  CoverageCount rules;      ///< that matched at least once
  CoverageCount outcomes;   ///< of conditions: each can be true and false
  CoverageCount lines;      ///< of Lua that ran
  std::vector<CoverageGap> gaps;  ///< by file and place
  /// The lowest of the three percentages: what --min asks for.
  [[nodiscard]] double percent() const;
};

/// Notes how conditions come out: handed to the rules when they load (LoadHooks::log).
class OutcomeLog final : public ConditionLog {
 public:
  struct Seen {
    bool yes = false;
    bool no = false;
  };
  void outcome(const Condition& condition, bool holds) override {
    Seen& row = seen_[&condition];
    (holds ? row.yes : row.no) = true;
  }
  [[nodiscard]] Seen seen(const Condition& condition) const {
    const auto found = seen_.find(&condition);
    return found == seen_.end() ? Seen{} : found->second;
  }

 private:
  std::map<const Condition*, Seen> seen_;
};

/// Watches a test run: which rules match.
class MatchedRules final : public DecisionWatcher {
 public:
  void decided(const Trace& trace) override;
  [[nodiscard]] bool contains(const Rule& rule) const { return places_.count(rule.where + " " + rule.name) != 0; }

 private:
  std::set<std::string> places_;
};

/// How much of a pack's rules a test run exercised (empty: the user's own). `lines`: those that ran, by chunk_name() of the file.
CoverageReport coverage_of(const RuleSet& set, const std::string& pack, const MatchedRules& matched, const OutcomeLog& outcomes,
                           const Vm::Lines& lines);

}  // namespace ccrules::rules
