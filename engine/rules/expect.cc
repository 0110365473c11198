#include "rules/expect.h"

#include <algorithm>
#include <set>

#include "core/text.h"

namespace ccrules::rules {
namespace {

std::string text_of(const Target& target) { return target.provider + "," + target.model; }

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
    case Tree::Kind::kText: return value.text;
    case Tree::Kind::kNumber: return number_text(value.number);
    case Tree::Kind::kFlag: return value.flag ? "true" : "false";
    case Tree::Kind::kMarker: return value.text;
    default: return to_json(value);
  }
}

const char* kind_word(FieldEdit::Kind kind) {
  switch (kind) {
    case FieldEdit::Kind::kSet: return "";
    case FieldEdit::Kind::kAtMost: return "max";
    case FieldEdit::Kind::kAtLeast: return "min";
    case FieldEdit::Kind::kDefault: return "default";
    case FieldEdit::Kind::kRemove: return "remove";
  }
  return "";
}

class Comparison {
 public:
  Comparison(const Engine& engine, Problems& problems) : engine_(engine), problems_(problems) {}

  std::vector<Difference> found;

  void differ(const std::string& name, const std::string& expected, const std::string& actual) {
    if (expected != actual) found.push_back({name + " = " + expected, name + " = " + actual});
  }

  void unknown(const Tree::Member& member, const std::vector<std::string>& known) {
    const std::string near = text::did_you_mean(member.key, known);
    problems_.push_back({member.at, "expect has no '" + member.key + "'",
                         near.empty() ? "expect has: " + joined(known) : "did you mean '" + near + "'?"});
  }

  /// An alias or route is as good as what it stands for.
  std::string target(const Tree& value) {
    if (value.is(Tree::Kind::kFlag) && !value.flag) return "none";
    const std::optional<Target> resolved = engine_.resolve(value.text);
    return resolved && !resolved->model.empty() ? text_of(*resolved) : scalar(value);
  }

  void compare(const Tree::Member& member, const Decision& decision, const Trace& trace) {
    const Tree& value = member.value;
    if (member.key == "to") {
      differ("to", target(value), decision.targets.empty() ? "none" : text_of(decision.targets.front()));
    } else if (member.key == "by") {
      differ("by", scalar(value), decision.rule.empty() ? "none" : decision.rule);
    } else if (member.key == "reason") {
      differ("reason", scalar(value), decision.reason);
    } else if (member.key == "deny") {
      deny(value, decision);
    } else if (member.key == "fallback") {
      fallback(value, decision);
    } else if (member.key == "shadowed") {
      shadowed(value, trace);
    } else if (member.key == "tag") {
      for (const Tree::Member& part : value.members) {
        const auto tag = decision.tags.find(part.key);
        differ("tag." + part.key, part.value.is(Tree::Kind::kFlag) && !part.value.flag ? "none" : scalar(part.value),
               tag == decision.tags.end() ? "none" : tag->second);
      }
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
    } else {
      unknown(member, {"to", "by", "reason", "deny", "fallback", "shadowed", "tag", "set", "headers",
                       "failed", "no_target", "bad_request"});
    }
  }

  void compare(const Tree::Member& member, const ErrorDecision& decision) {
    const auto flag = [](const std::optional<bool>& value) {
      return value ? (*value ? "true" : "false") : "none";
    };
    if (member.key == "by") {
      differ("by", scalar(member.value), decision.rule.empty() ? "none" : decision.rule);
    } else if (member.key == "retry") {
      differ("retry", scalar(member.value), flag(decision.retry));
    } else if (member.key == "next_fallback") {
      differ("next_fallback", scalar(member.value), flag(decision.next_fallback));
    } else if (member.key == "to") {
      differ("to", target(member.value), decision.to ? text_of(*decision.to) : "none");
    } else {
      unknown(member, {"by", "retry", "next_fallback", "to"});
    }
  }

 private:
  void deny(const Tree& value, const Decision& decision) {
    switch (value.kind) {
      case Tree::Kind::kFlag: differ("deny", scalar(value), decision.deny ? "true" : "false"); return;
      case Tree::Kind::kNumber:
        differ("deny.status", scalar(value), decision.deny ? std::to_string(decision.deny->status) : "not denied");
        return;
      case Tree::Kind::kText: differ("deny.message", value.text, decision.deny ? decision.deny->message : "not denied"); return;
      default: break;
    }
    for (const Tree::Member& part : value.members) {
      const std::string name = "deny." + part.key;
      if (part.key == "status") {
        differ(name, scalar(part.value), decision.deny ? std::to_string(decision.deny->status) : "not denied");
      } else if (part.key == "message") {
        differ(name, scalar(part.value), decision.deny ? decision.deny->message : "not denied");
      } else if (part.key == "type") {
        differ(name, scalar(part.value), decision.deny ? decision.deny->type : "not denied");
      } else {
        problems_.push_back({part.at, "deny has no '" + part.key + "'", "deny has status, message, type"});
      }
    }
  }

  void fallback(const Tree& value, const Decision& decision) {
    std::vector<std::string> actual;
    for (std::size_t i = 1; i < decision.targets.size(); ++i) actual.push_back(text_of(decision.targets[i]));
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
      if (claim.shadowed && std::find(actual.begin(), actual.end(), claim.rule) == actual.end()) actual.push_back(claim.rule);
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
      if (!edit.value_json.empty()) actual += (edit.kind == FieldEdit::Kind::kSet ? "" : " ") + edit.value_json;
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
    differ("headers." + name, part.value.is(Tree::Kind::kFlag) && !part.value.flag ? "none" : scalar(part.value), actual);
  }

  const Engine& engine_;
  Problems& problems_;
};

}  // namespace

std::vector<Difference> differences(const Tree& expect, const Decision& decision, const Trace& trace, const Engine& engine,
                                    Problems& problems) {
  Comparison comparison(engine, problems);
  for (const Tree::Member& member : expect.members) comparison.compare(member, decision, trace);
  return std::move(comparison.found);
}

std::vector<Difference> differences(const Tree& expect, const ErrorDecision& decision, const Engine& engine, Problems& problems) {
  Comparison comparison(engine, problems);
  for (const Tree::Member& member : expect.members) comparison.compare(member, decision);
  return std::move(comparison.found);
}

}  // namespace ccrules::rules
