#include "cli/pack/report.h"

#include <algorithm>
#include <map>


namespace ccrules::cli {
namespace {

constexpr std::size_t kNamesShown = 4;  // of rules in another one's shadow

const char* change_name(rules::RuleChange::Kind kind) {
  switch (kind) {
    case rules::RuleChange::Kind::kAdded: return "added";
    case rules::RuleChange::Kind::kRemoved: return "removed";
    case rules::RuleChange::Kind::kChanged: return "changed";
    case rules::RuleChange::Kind::kMoved: return "moved";
  }
  return "changed";
}

std::string when_of(const rules::RuleLine& rule) {
  std::string out = rule.on == "request" ? std::string() : "on " + rule.on + (rule.always() ? "" : ", ");
  return out + (rule.always() ? (out.empty() ? "always" : "") : plain_text(rule.when));
}

void write_rule(json::Writer& writer, const rules::RuleLine& rule) {
  writer.begin_object().member("name", rule.name).member("on", rule.on).member("when", rule.when).member("effect", rule.effect);
  writer.key("slots");
  write_texts(writer, rule.slots);
  writer.member("where", rule.where).end_object();
}

}  // namespace

std::string joined(const std::vector<std::string>& texts, const char* between) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : between) + text;
  return out;
}

void write_texts(json::Writer& writer, const std::vector<std::string>& texts) {
  writer.begin_array();
  for (const std::string& text : texts) writer.string(text);
  writer.end_array();
}

void print_rules(std::ostream& out, const Paint& paint, const std::vector<rules::RuleLine>& rules, std::string_view indent) {
  Table table({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft});
  for (const rules::RuleLine& rule : rules) {
    table.row({paint.bold(plain_text(rule.name)), when_of(rule), paint.cyan(plain_text(rule.effect))});
  }
  table.print(out, indent);
}

void write_rules(json::Writer& writer, const std::vector<rules::RuleLine>& rules) {
  writer.begin_array();
  for (const rules::RuleLine& rule : rules) write_rule(writer, rule);
  writer.end_array();
}

void print_changes(std::ostream& out, const Paint& paint, const std::vector<rules::RuleChange>& changes, std::string_view indent) {
  for (const rules::RuleChange& change : changes) {
    const rules::RuleLine& rule = change.kind == rules::RuleChange::Kind::kRemoved ? change.before : change.after;
    const std::string name = plain_text(rule.name);
    const std::string effect = plain_text(rule.effect);
    switch (change.kind) {
      case rules::RuleChange::Kind::kAdded:
        out << indent << paint.green("+ " + name) << "  " << when_of(rule) << "  " << effect << "\n";
        break;
      case rules::RuleChange::Kind::kRemoved:
        out << indent << paint.red("- " + name) << "  " << when_of(rule) << "  " << effect << "\n";
        break;
      case rules::RuleChange::Kind::kMoved: out << indent << paint.yellow("~ " + name) << "  stands in another order\n"; break;
      case rules::RuleChange::Kind::kChanged:
        out << indent << paint.yellow("~ " + name) << "\n";
        if (when_of(change.before) != when_of(rule)) {
          out << indent << "    when    " << paint.red(when_of(change.before)) << " -> " << paint.green(when_of(rule)) << "\n";
        }
        if (change.before.effect != rule.effect) {
          out << indent << "    effect  " << paint.red(plain_text(change.before.effect)) << " -> " << paint.green(effect) << "\n";
        }
        if (when_of(change.before) == when_of(rule) && change.before.effect == rule.effect) {
          out << indent << "    its text or a function changed\n";
        }
        break;
    }
  }
}

void write_changes(json::Writer& writer, const std::vector<rules::RuleChange>& changes) {
  writer.begin_array();
  for (const rules::RuleChange& change : changes) {
    writer.begin_object().member("kind", change_name(change.kind));
    if (change.kind != rules::RuleChange::Kind::kAdded) {
      writer.key("before");
      write_rule(writer, change.before);
    }
    if (change.kind != rules::RuleChange::Kind::kRemoved) {
      writer.key("after");
      write_rule(writer, change.after);
    }
    writer.end_object();
  }
  writer.end_array();
}

void print_shadows(std::ostream& out, const Paint& paint, const std::vector<rules::Shadow>& shadows, std::string_view indent) {
  std::map<std::string, std::vector<std::string>> by_slot;
  std::map<std::string, bool> always;
  for (const rules::Shadow& shadow : shadows) {
    std::vector<std::string>& names = by_slot[shadow.slot];
    if (std::find(names.begin(), names.end(), shadow.rule) == names.end()) names.push_back(shadow.rule);
    always[shadow.slot] = always[shadow.slot] || shadow.always;
  }
  for (auto& [slot, names] : by_slot) {
    const std::size_t more = names.size() > kNamesShown ? names.size() - kNamesShown : 0;
    names.resize(names.size() - more);
    out << indent << plain_text(slot) << ": " << plain_text(joined(names)) << (more > 0 ? " and " + std::to_string(more) + " more" : "")
        << paint.dim(always[slot] ? " (always)" : " (when its conditions hold)") << "\n";
  }
}

void write_shadows(json::Writer& writer, const std::vector<rules::Shadow>& shadows) {
  writer.begin_array();
  for (const rules::Shadow& shadow : shadows) {
    writer.begin_object().member("by", shadow.by).member("rule", shadow.rule).member("slot", shadow.slot);
    writer.member("always", shadow.always).end_object();
  }
  writer.end_array();
}

std::string outcome_of(const rules::TestReport& report) {
  if (!report.problems.empty()) return "could not be run";
  if (report.cases.empty()) return "none";
  const std::size_t failed = report.failed();
  return std::to_string(report.cases.size() - failed) + " passed" + (failed > 0 ? ", " + std::to_string(failed) + " failed" : "");
}

void print_failures(std::ostream& out, const Paint& paint, const rules::TestReport& report, std::string_view indent) {
  for (const rules::CaseResult& one : report.cases) {
    if (one.passed) continue;
    out << indent << paint.red(plain_text(one.name)) << ": expected " << plain_text(one.expected) << ", got "
        << plain_text(one.actual) << "\n";
  }
}

}  // namespace ccrules::cli
