#include "rules/coverage.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "rules/lua_inspect.h"

namespace ccrules::rules {
namespace {

using Op = Condition::Op;

bool is_leaf(const Condition& condition) { return condition.op != Op::kAll && condition.op != Op::kAny && condition.op != Op::kNone; }

/// Conditions that can be seen true and false: the leaves.
void leaves(const Condition& condition, std::vector<const Condition*>& out) {
  if (is_leaf(condition)) {
    // What the engine adds itself (a disabled provider, an empty table) no test can change.
    if (condition.op != Op::kNever && condition.op != Op::kNames) out.push_back(&condition);
    return;
  }
  for (const Condition& child : condition.children) leaves(child, out);
}

template <class Visit>
void each_rule(const RuleSet& set, const std::string& pack, Visit&& visit) {
  for (const std::vector<Rule>* rules : rule_lists(set)) {
    for (const Rule& rule : *rules) {
      if (rule.pack == pack && rule.file != nullptr) visit(rule);
    }
  }
}

}  // namespace

double CoverageReport::percent() const { return std::min({rules.percent(), outcomes.percent(), lines.percent()}); }

void MatchedRules::decided(const Trace& trace) {
  for (const RuleTrace& row : trace.rules) {
    if (row.matched) places_.insert(row.where + " " + row.rule);
  }
}

CoverageReport coverage_of(const RuleSet& set, const std::string& pack, const MatchedRules& matched, const OutcomeLog& outcomes,
                           const Vm::Lines& lines) {
  CoverageReport report;
  std::map<const SourceFile*, CoverageReport::File> files;
  each_rule(set, pack, [&](const Rule& rule) {
    CoverageReport::File& file = files[rule.file];
    const auto gap = [&](Spot at, std::string text) {
      report.gaps.push_back({rule.file->path, at.line != 0 ? at : rule.at, std::move(text)});
    };
    ++file.rules.total;
    if (matched.contains(rule)) {
      ++file.rules.hit;
    } else {
      gap(rule.at, "rule '" + rule.name + "' never matched");
    }
    std::vector<const Condition*> conditions;
    leaves(rule.when, conditions);
    for (const Condition* condition : conditions) {
      const OutcomeLog::Seen seen = outcomes.seen(*condition);
      file.outcomes.total += 2;
      file.outcomes.hit += (seen.yes ? 1U : 0U) + (seen.no ? 1U : 0U);
      if (seen.yes && seen.no) continue;
      const char* what = seen.yes ? "was never false" : seen.no ? "was never true" : "was never looked at";
      gap(condition->at, "rule '" + rule.name + "': " + condition->shown + " " + what);
    }
  });
  for (const auto& source : set.files) {
    const bool ours = files.count(source.get()) != 0;
    if (!ours || !source->path.ends_with(".lua")) continue;
    const auto ran = lines.find(chunk_name(*source));
    CoverageCount& count = files[source.get()].lines;
    int first = 0;  // of a run of lines that never ran
    int last = 0;
    const auto end_run = [&] {
      if (first == 0) return;
      const std::string text = first == last ? "this line" : "lines " + std::to_string(first) + " to " + std::to_string(last);
      report.gaps.push_back({source->path, {first, 1}, text + " never ran"});
      first = 0;
    };
    for (const int line : inspect_lua(source->text).lines) {
      ++count.total;
      if (ran != lines.end() && ran->second.count(line) != 0) {
        ++count.hit;
        end_run();
      } else {
        if (first == 0) first = line;
        last = line;
      }
    }
    end_run();
  }
  for (const auto& source : set.files) {
    const auto found = files.find(source.get());
    if (found == files.end()) continue;
    found->second.file = source->path;
    const auto add = [](CoverageCount& sum, const CoverageCount& part) {
      sum.hit += part.hit;
      sum.total += part.total;
    };
    add(report.rules, found->second.rules);
    add(report.outcomes, found->second.outcomes);
    add(report.lines, found->second.lines);
    report.files.push_back(found->second);
  }
  std::stable_sort(report.gaps.begin(), report.gaps.end(), [](const CoverageGap& a, const CoverageGap& b) {
    return std::tie(a.file, a.at.line, a.at.column) < std::tie(b.file, b.at.line, b.at.column);
  });
  return report;
}

}  // namespace ccrules::rules
