#include "rules/expect.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <optional>
#include <set>

#include "core/text.h"

namespace ccrules::rules {
namespace {

constexpr double kLongestWaitSeconds = 1e6;

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out.empty() ? "none" : out;
}

std::vector<std::string> words(const Tree& value) {
  std::vector<std::string> out;
  if (value.is(Tree::Kind::kText)) out.push_back(value.text);
  for (const Tree& item : value.items) out.push_back(item.text);
  return out;
}

std::string scalar(const Tree& value) {
  switch (value.kind) {
    case Tree::Kind::kText:
      return value.text;
    case Tree::Kind::kNumber:
      return number_text(value.number);
    case Tree::Kind::kFlag:
      return value.flag ? "true" : "false";
    case Tree::Kind::kMarker:
      return value.text;
    default:
      return to_json(value);
  }
}

const char* kind_word(FieldEdit::Kind kind) {
  switch (kind) {
    case FieldEdit::Kind::kSet:
      return "";
    case FieldEdit::Kind::kAtMost:
      return "max";
    case FieldEdit::Kind::kAtLeast:
      return "min";
    case FieldEdit::Kind::kDefault:
      return "default";
    case FieldEdit::Kind::kRemove:
      return "remove";
    case FieldEdit::Kind::kOneOf:
      return "values";
  }
  return "";
}

/// As a rule says how long to wait, or as a number of seconds; kAsAsked for "retry-after". nullopt: none of these.
constexpr std::chrono::milliseconds kAsAsked{-1};
std::optional<std::chrono::milliseconds> read_wait(const Tree& value) {
  if (value.is(Tree::Kind::kNumber) && value.number >= 0 && value.number <= kLongestWaitSeconds) {
    return std::chrono::milliseconds(std::llround(value.number * 1000));
  }
  if (!value.is(Tree::Kind::kText)) return std::nullopt;
  return value.text == "retry-after" ? kAsAsked : parse_duration(value.text);
}

std::string wait_text(std::optional<std::chrono::milliseconds> wait) {
  if (!wait || *wait == kAsAsked) return "retry-after";
  return number_text(static_cast<double>(wait->count()) / 1000) + "s";
}

// What an expect may hold.
constexpr const char* kWanted[] = {"to",      "by",     "reason",    "deny",        "fallback", "shadowed", "tag",   "set",
                                   "headers", "failed", "no_target", "bad_request", "upstream", "cache",    "budget",
                                   "strict"};
constexpr const char* kWantedOfAttempt[] = {"by", "retry", "next_fallback", "to", "deny", "tag", "failed"};
constexpr const char* kWantedOfSweep[] = {"share", "rules"};

class Comparison {
 public:
  explicit Comparison(const Engine& engine) : engine_(engine) {}

  std::vector<Difference> found;

  void differ(const std::string& name, const std::string& expected, const std::string& actual) {
    if (expected != actual) found.push_back({name + " = " + expected, name + " = " + actual});
  }

  /// An alias or route is as good as what it stands for.
  std::string target(const Tree& value) {
    if (value.is(Tree::Kind::kFlag) && !value.flag) return "none";
    const std::optional<Target> resolved = engine_.resolve(value.text);
    return resolved && !resolved->model.empty() ? target_text(*resolved) : scalar(value);
  }

  /// false: no rule at all.
  static std::string rule(const Tree& value) {
    return value.is(Tree::Kind::kFlag) && !value.flag ? "none" : scalar(value);
  }

  /// A rule that fails is a mistake, unless the test says that it shall.
  void failures(const Tree& expect, const std::vector<std::string>& failed_rules) {
    if (expect.find("failed") == nullptr) differ("failed", "none", failed_rules.empty() ? "none" : joined(failed_rules));
  }

  void compare(const Tree::Member& member, const Decision& decision, const Trace& trace) {
    const Tree& value = member.value;
    if (member.key == "to") {
      differ("to", target(value), decision.targets.empty() ? "none" : target_text(decision.targets.front()));
    } else if (member.key == "by") {
      differ("by", rule(value), decision.rule.empty() ? "none" : decision.rule);
    } else if (member.key == "reason") {
      differ("reason", scalar(value), decision.reason);
    } else if (member.key == "deny") {
      deny(value, decision.deny);
    } else if (member.key == "fallback") {
      fallback(value, decision);
    } else if (member.key == "shadowed") {
      shadowed(value, trace);
    } else if (member.key == "tag") {
      tags(value, decision.tags);
    } else if (member.key == "cache") {
      differ("cache", scalar(value), decision.cache ? (decision.cache->use ? "true" : "false") : "none");
    } else if (member.key == "budget") {
      differ("budget", rule(value), decision.budget.empty() ? "none" : decision.budget);
    } else if (member.key == "strict") {
      strict(value, decision);
    } else if (member.key == "set") {
      for (const Tree::Member& part : value.members) set(part, decision);
    } else if (member.key == "headers") {
      for (const Tree::Member& part : value.members) header(part, decision);
    } else if (member.key == "failed") {
      std::vector<std::string> expected = words(value);
      differ("failed", joined(expected), joined(decision.failed_rules));
    } else if (member.key == "no_target") {
      differ("no_target", scalar(value), decision.no_target.empty() ? "false" : "true");
    } else if (member.key == "bad_request") {
      differ("bad_request", scalar(value), decision.bad_request.empty() ? "false" : "true");
    }
  }

  void compare(const Tree::Member& member, const AttemptDecision& decision) {
    if (member.key == "by") {
      differ("by", rule(member.value), decision.rule.empty() ? "none" : decision.rule);
    } else if (member.key == "retry") {
      retry(member.value, decision);
    } else if (member.key == "next_fallback") {
      differ("next_fallback", scalar(member.value),
             decision.next_fallback.value_or(false) ? "true" : "false");
    } else if (member.key == "to") {
      differ("to", target(member.value), decision.to ? target_text(*decision.to) : "none");
    } else if (member.key == "deny") {
      deny(member.value, decision.deny);
    } else if (member.key == "tag") {
      tags(member.value, decision.tags);
    } else if (member.key == "failed") {
      differ("failed", joined(words(member.value)), joined(decision.failed_rules));
    }
  }

 private:
  /// true or false, after how long ("2s", or 2 in seconds), or { after =, at_most = } as in the rule.
  void retry(const Tree& value, const AttemptDecision& decision) {
    const bool retried = decision.retry.value_or(false);
    if (value.is(Tree::Kind::kFlag)) {
      differ("retry", scalar(value), retried ? "true" : "false");
    } else if (!value.is(Tree::Kind::kTable)) {
      differ("retry", wait_text(read_wait(value)), retried ? wait_text(decision.retry_after) : "false");
    } else {
      for (const Tree::Member& part : value.members) {
        const std::chrono::milliseconds actual = part.key == "after" ? decision.retry_after : decision.retry_at_most;
        differ("retry." + part.key, wait_text(read_wait(part.value)), retried ? wait_text(actual) : "not retried");
      }
    }
  }

  /// true or false, or the globs.
  void strict(const Tree& value, const Decision& decision) {
    const bool any = decision.strict && !decision.strict->empty();
    if (value.is(Tree::Kind::kFlag)) {
      differ("strict", scalar(value), any ? "true" : "false");
    } else {
      differ("strict", joined(words(value)), any ? joined(*decision.strict) : "false");
    }
  }

  void tags(const Tree& value, const std::map<std::string, std::string>& actual) {
    for (const Tree::Member& part : value.members) {
      const auto tag = actual.find(part.key);
      differ("tag." + part.key, part.value.is(Tree::Kind::kFlag) && !part.value.flag ? "none" : scalar(part.value),
             tag == actual.end() ? "none" : tag->second);
    }
  }

  void deny(const Tree& value, const std::optional<Deny>& decided) {
    switch (value.kind) {
      case Tree::Kind::kFlag:
        differ("deny", scalar(value), decided ? "true" : "false");
        return;
      case Tree::Kind::kNumber:
        differ("deny.status", scalar(value),
               decided ? std::to_string(decided->status) : "not denied");
        return;
      case Tree::Kind::kText:
        differ("deny.message", value.text, decided ? decided->message : "not denied");
        return;
      default:
        break;
    }
    for (const Tree::Member& part : value.members) {
      const std::string name = "deny." + part.key;
      if (part.key == "status") {
        differ(name, scalar(part.value),
               decided ? std::to_string(decided->status) : "not denied");
      } else if (part.key == "message") {
        differ(name, scalar(part.value), decided ? decided->message : "not denied");
      } else if (part.key == "type") {
        differ(name, scalar(part.value), decided ? decided->type : "not denied");
      }
    }
  }

  void fallback(const Tree& value, const Decision& decision) {
    std::vector<std::string> actual;
    for (std::size_t i = 1; i < decision.targets.size(); ++i)
      actual.push_back(target_text(decision.targets[i]));
    if (value.is(Tree::Kind::kNumber)) {
      differ("fallback", scalar(value), std::to_string(actual.size()));
      return;
    }
    std::vector<std::string> expected;
    if (value.is(Tree::Kind::kText)) expected.push_back(target(value));
    for (const Tree& item : value.items) expected.push_back(target(item));
    differ("fallback", joined(expected), joined(actual));
  }

  // Names that must be among the shadowed; an empty list: nothing is shadowed.
  void shadowed(const Tree& value, const Trace& trace) {
    std::vector<std::string> actual;
    for (const Claim& claim : trace.claims) {
      if (claim.shadowed && std::find(actual.begin(), actual.end(), claim.rule) == actual.end())
        actual.push_back(claim.rule);
    }
    const std::vector<std::string> expected = words(value);
    const bool all = std::all_of(expected.begin(), expected.end(), [&actual](const std::string& rule) {
      return std::find(actual.begin(), actual.end(), rule) != actual.end();
    });
    if (!all || (expected.empty() && !actual.empty())) differ("shadowed", joined(expected), joined(actual));
  }

  void set(const Tree::Member& part, const Decision& decision) {
    std::string actual;
    for (const FieldEdit& edit : decision.edits) {
      if (edit.field != part.key) continue;
      if (!actual.empty()) actual += ", ";
      actual += kind_word(edit.kind);
      if (!edit.value_json.empty())
        actual += (edit.kind == FieldEdit::Kind::kSet ? "" : " ") + edit.value_json;
    }
    std::string expected;
    const Tree& value = part.value;
    const bool bounds =
        value.is(Tree::Kind::kTable) &&
        (value.find("max") != nullptr || value.find("min") != nullptr || value.find("default") != nullptr);
    if (bounds) {
      for (const Tree::Member& bound : value.members) {
        if (!expected.empty()) expected += ", ";
        expected += bound.key + " " + to_json(bound.value);
      }
    } else if (value.is_marker("remove")) {
      expected = "remove";
    } else {
      expected = value.is(Tree::Kind::kFlag) && !value.flag ? "none" : to_json(value);
    }
    differ("set." + part.key, expected, actual.empty() ? "none" : actual);
  }

  void header(const Tree::Member& part, const Decision& decision) {
    std::string actual = "none";
    const std::string name = text::lower(part.key);
    for (const HeaderEdit& edit : decision.headers) {
      if (edit.name == name) actual = edit.value.value_or("remove");
    }
    differ("headers." + name,
           part.value.is(Tree::Kind::kFlag) && !part.value.flag ? "none" : scalar(part.value), actual);
  }

  const Engine& engine_;
};

bool is_range(const Tree& value) {
  if (value.is(Tree::Kind::kNumber)) return true;
  return value.is(Tree::Kind::kTable) && value.items.size() == 2 && value.members.empty() &&
         value.items[0].is(Tree::Kind::kNumber) && value.items[1].is(Tree::Kind::kNumber);
}

void compare_shares(const Tree::Member& wanted, const std::map<std::string, std::size_t>& counts,
                    std::size_t total, Comparison& comparison, bool targets) {
  constexpr double kExact = 0.005;  // a percentage shown with two decimals
  for (const Tree::Member& part : wanted.value.members) {
    Tree name;
    name.kind = Tree::Kind::kText;
    name.text = part.key;
    const auto found = counts.find(targets ? comparison.target(name) : part.key);
    const double actual = total == 0 || found == counts.end()
                              ? 0
                              : 100.0 * static_cast<double>(found->second) / static_cast<double>(total);
    const bool exact = part.value.is(Tree::Kind::kNumber);
    const double from = exact ? part.value.number - kExact : part.value.items[0].number;
    const double to = exact ? part.value.number + kExact : part.value.items[1].number;
    if (actual >= from && actual <= to) continue;
    const std::string range =
        exact ? percent_text(part.value.number) : number_text(from) + " to " + percent_text(to);
    comparison.found.push_back({wanted.key + " of " + part.key + " = " + range,
                                wanted.key + " of " + part.key + " = " + percent_text(actual)});
  }
}

void check_retry(const Tree& value, Problems& problems) {
  constexpr const char* kForms = "retry is true, false, how long it waits (\"2s\") or { after = \"retry-after\", at_most = \"20s\" }";
  if (value.is(Tree::Kind::kFlag)) return;
  if (!value.is(Tree::Kind::kTable)) {
    if (!read_wait(value)) problems.push_back({value.at, kForms, {}});
    return;
  }
  if (value.members.empty() || !value.items.empty()) problems.push_back({value.at, kForms, {}});
  for (const Tree::Member& part : value.members) {
    if (part.key != "after" && part.key != "at_most") {
      problems.push_back({part.at, "retry has no '" + part.key + "'", "retry has after, at_most"});
    } else if (!read_wait(part.value)) {
      problems.push_back({part.value.at, "a duration is written \"250ms\", \"20s\" or \"2m\"", {}});
    }
  }
}

}  // namespace

std::string percent_text(double percent) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", percent);
  std::string out(text);
  out.erase(out.find_last_not_of('0') + 1);
  if (out.ends_with('.')) out.pop_back();
  return out + " %";
}

void check_expect(const Tree& expect, api::On on, bool sweep, Problems& problems) {
  std::vector<std::string> known;
  if (on != api::On::kRequest) {
    known.assign(std::begin(kWantedOfAttempt), std::end(kWantedOfAttempt));
  } else {
    known.assign(std::begin(kWanted), std::end(kWanted));
  }
  if (sweep) known.insert(known.end(), std::begin(kWantedOfSweep), std::end(kWantedOfSweep));
  for (const Tree& item : expect.items)
    problems.push_back({item.at, "expect is a table of names: to = \"...\"", {}});
  for (const Tree::Member& member : expect.members) {
    const Tree& value = member.value;
    if (std::find(known.begin(), known.end(), member.key) == known.end()) {
      const std::string near = text::did_you_mean(member.key, known);
      problems.push_back({member.at, "expect has no '" + member.key + "'",
                          near.empty() ? "expect has: " + joined(known) : "did you mean '" + near + "'?"});
    } else if (member.key == "deny" && value.is(Tree::Kind::kTable)) {
      for (const Tree::Member& part : value.members) {
        if (part.key == "status" || part.key == "message" || part.key == "type") continue;
        problems.push_back({part.at, "deny has no '" + part.key + "'", "deny has status, message, type"});
      }
    } else if ((member.key == "set" || member.key == "headers" || member.key == "tag") &&
               (!value.is(Tree::Kind::kTable) || !value.items.empty())) {
      problems.push_back({value.at, member.key + " is a table of names and what they become", {}});
    } else if (member.key == "retry") {
      check_retry(value, problems);
    } else if (member.key == "upstream" && !value.is(Tree::Kind::kText)) {
      problems.push_back({value.at, "upstream is the path of a file: \"golden/plan-mode.json\"", {}});
    } else if (member.key == "share" || member.key == "rules") {
      if (!value.is(Tree::Kind::kTable) || value.members.empty() || !value.items.empty()) {
        problems.push_back(
            {value.at,
             member.key + " is a table of percentages: { [\"openai,gpt-6.1-sol\"] = { 9, 11 } }",
             {}});
      }
      for (const Tree::Member& part : value.members) {
        if (!is_range(part.value))
          problems.push_back({part.value.at, "a share is a percentage or a range such as { 9, 11 }", {}});
      }
    }
  }
}

std::vector<Difference> differences(const Tree& expect, const Decision& decision, const Trace& trace,
                                    const Engine& engine) {
  Comparison comparison(engine);
  for (const Tree::Member& member : expect.members) comparison.compare(member, decision, trace);
  comparison.failures(expect, decision.failed_rules);
  return std::move(comparison.found);
}

std::vector<Difference> differences(const Tree& expect, const AttemptDecision& decision, const Engine& engine) {
  Comparison comparison(engine);
  for (const Tree::Member& member : expect.members) comparison.compare(member, decision);
  comparison.failures(expect, decision.failed_rules);
  return std::move(comparison.found);
}

std::vector<Difference> differences(const Tree& expect, const Shares& shares, const Engine& engine) {
  Comparison comparison(engine);
  for (const Tree::Member& member : expect.members) {
    if (member.key == "share") compare_shares(member, shares.targets, shares.total, comparison, true);
    if (member.key == "rules") compare_shares(member, shares.rules, shares.total, comparison, false);
  }
  return std::move(comparison.found);
}

}  // namespace ccrules::rules
