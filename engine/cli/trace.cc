#include "cli/trace.h"

#include <algorithm>

#include "core/text.h"

namespace ccrules::cli {
namespace {

bool shows_unicode(const Environment& environment) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const auto found = environment.find(name);
    if (found == environment.end() || found->second.empty()) continue;
    return text::contains_ignore_case(found->second, "utf-8") ||
           text::contains_ignore_case(found->second, "utf8");
  }
  return false;
}

std::string because(const Paint& paint, const rules::RuleTrace& rule) {
  if (!rule.error.empty()) return paint.red(rule.error);
  if (rule.matched || rule.failed_condition.empty()) return {};
  std::string out = rule.failed_condition;
  if (!rule.actual.empty()) out += paint.dim("  (is " + rule.actual + ")");
  return out;
}

}  // namespace

Marks marks_for(const Io& io, const Paint& paint) {
  const bool unicode = shows_unicode(io.environment);
  return {paint.green(unicode ? "✓" : "ok  "), paint.red(unicode ? "✗" : "FAIL")};
}

std::string outcome(const rules::Decision& decision) {
  if (!decision.bad_request.empty()) return "bad request: " + decision.bad_request;
  if (decision.deny) {
    return "denied (" + std::to_string(decision.deny->status) + "): " + decision.deny->message;
  }
  if (decision.targets.empty()) return "no target: " + decision.no_target;
  return decision.targets.front().provider + "," + decision.targets.front().model;
}

void print_trace(std::ostream& out, const Paint& paint, const Marks& marks, const rules::Trace& trace,
                 std::string_view indent, const std::string& after_rules) {
  const std::string inner = std::string(indent) + "  ";
  if (!trace.rules.empty()) {
    out << indent << paint.bold("rules") << "\n";
    // A rule that does not match is the usual thing: no alarming mark for it.
    const std::string miss = paint.dim(width_of(marks.yes) == 1 ? "·" : "-   ");
    Table table({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft}, Table::Long::kWhole);
    for (const rules::RuleTrace& rule : trace.rules) {
      const std::string& mark = !rule.error.empty() ? marks.no : rule.matched ? marks.yes : miss;
      table.row({mark, rule.matched ? rule.rule : paint.dim(rule.rule), paint.dim(rule.where),
                 because(paint, rule)});
    }
    table.print(out, inner);
    if (!after_rules.empty()) out << inner << paint.dim(after_rules) << "\n";
  }
  if (trace.rule_set != nullptr && !trace.rule_set->overrides.empty()) {
    out << indent << paint.bold("switched off") << "\n";
    Table table({Table::Align::kLeft, Table::Align::kLeft}, Table::Long::kWhole);
    for (const rules::OverrideRef& rule : trace.rule_set->overrides) table.row({rule.rule, paint.dim("by " + rule.where)});
    table.print(out, inner);
  }
  if (!trace.claims.empty()) {
    out << indent << paint.bold("claims") << "\n";
    Table table({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft}, Table::Long::kWhole);
    for (const rules::Claim& claim : trace.claims) {
      const std::string note = claim.shadowed ? "  (shadowed)" : "";
      table.row({claim.shadowed ? paint.dim(claim.slot) : paint.cyan(claim.slot),
                 claim.shadowed ? paint.dim(claim.value) : claim.value, claim.rule,
                 paint.dim(claim.where + note)});
    }
    table.print(out, inner);
  }
  if (!trace.facts_read.empty()) {
    out << indent << paint.bold("facts read") << "\n";
    Table table({Table::Align::kLeft, Table::Align::kLeft}, Table::Long::kWhole);
    for (const auto& [name, value] : trace.facts_read) table.row({name, value});
    table.print(out, inner);
  }
}

}  // namespace ccrules::cli
