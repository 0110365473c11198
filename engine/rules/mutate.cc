#include "rules/mutate.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "rules/ruleset.h"

namespace ccrules::rules {
namespace {

constexpr double kUsualDenyStatus = 403;
constexpr const char* kElsewhere = "sim,mutant";  // the simulator is always there

std::string brief(const Tree& value) {
  switch (value.kind) {
    case Tree::Kind::kText: return "\"" + value.text + "\"";
    case Tree::Kind::kNumber: return number_text(value.number);
    case Tree::Kind::kFlag: return value.flag ? "true" : "false";
    case Tree::Kind::kFunction: return "the function";
    case Tree::Kind::kMarker: return value.text + " { ... }";
    default: break;
  }
  const std::string json = to_json(value);
  return json.empty() || json.size() > 40 ? "{ ... }" : json;
}

/// Makes all changed copies of one rule's body. Walks the tree that it changes and puts everything back.
class Maker {
 public:
  explicit Maker(const Declaration& rule) : rule_(rule), body_(rule.body) {}

  std::vector<std::pair<Mutant, Tree>> all() {
    for (std::size_t i = 0; i < body_.members.size(); ++i) {
      Tree::Member& member = body_.members[i];
      if (member.key == "when") {
        when(i);
      } else if (member.key != "on" && member.key != "doc" && member.key != "reason" && member.key != "off") {
        effect(i);
      }
    }
    return std::move(out_);
  }

 private:
  void add(Spot at, std::string change) {
    out_.emplace_back(Mutant{rule_.file == nullptr ? std::string() : rule_.file->path, at.line != 0 ? at : rule_.at, rule_.name,
                             std::move(change)},
                      body_);
  }

  // Without the member, for the length of one mutant.
  void without(std::vector<Tree::Member>& members, std::size_t i, std::string change) {
    Tree::Member member = std::move(members[i]);
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(i));
    add(member.at, std::move(change));
    members.insert(members.begin() + static_cast<std::ptrdiff_t>(i), std::move(member));
  }

  template <class Value>
  void with(Value& value, Value changed, Spot at, std::string change) {
    std::swap(value, changed);
    add(at, std::move(change));
    std::swap(value, changed);
  }

  // --- conditions

  void when(std::size_t i) {
    Tree& tree = body_.members[i].value;
    const Spot at = body_.members[i].at;
    if (tree.is(Tree::Kind::kTable) && tree.items.empty() && tree.members.empty()) return;
    Tree none;
    none.kind = Tree::Kind::kMarker;
    none.text = "none";
    none.at = tree.at;
    none.items.push_back(tree);
    with(tree, none, at, "the condition was turned round");
    if (tree.is(Tree::Kind::kFunction)) {
      without(body_.members, i, "the condition was dropped");
    } else {
      facts(tree);
    }
  }

  void facts(Tree& tree) {
    for (std::size_t i = 0; i < tree.members.size(); ++i) {
      if (!asks_itself(tree.members[i])) without(tree.members, i, "the condition on " + tree.members[i].key + " was dropped");
      fact(tree.members[i].key, tree.members[i].value);
    }
    items(tree, "any { }");
    for (Tree& item : tree.items) {
      if (item.is(Tree::Kind::kTable) || item.is(Tree::Kind::kMarker)) facts(item);
    }
  }

  // `to = requested` claims nothing where the model names no target: dropping the condition that says so changes nothing.
  [[nodiscard]] bool asks_itself(const Tree::Member& condition) const {
    const Tree::Member* to = rule_.body.find("to");
    return to != nullptr && to->value.is(Tree::Kind::kMarker) && to->value.text == "requested" && condition.key == "model" &&
           condition.value.is(Tree::Kind::kText) && condition.value.text == "*,*";
  }

  void fact(const std::string& name, Tree& value) {
    if (value.is(Tree::Kind::kMarker) && (value.text == "any" || value.text == "none")) {
      const std::string other = value.text == "any" ? "none" : "any";
      with(value.text, other, value.at, name + ": " + value.text + " became " + other);
    }
    if (!value.is(Tree::Kind::kTable) && !value.is(Tree::Kind::kMarker)) {
      scalar(name, value);
      return;
    }
    for (std::size_t i = 0; i < value.members.size(); ++i) {
      Tree::Member& part = value.members[i];
      for (const auto& [from, to] : {std::pair("gt", "gte"), std::pair("gte", "gt"), std::pair("lt", "lte"), std::pair("lte", "lt")}) {
        if (part.key != from) continue;
        with(part.key, std::string(to), part.at,
             name + ": " + from + " " + brief(part.value) + " became " + to + " " + brief(part.value));
        break;
      }
      if (part.key == "name" || part.key == "by" || part.key == "key" || part.key == "per" || part.key == "tz") continue;
      if (value.members.size() > 1 && part.key != "from" && part.key != "to") {
        without(value.members, i, name + ": " + part.key + " was dropped");
      }
      fact(name + " " + value.members[i].key, value.members[i].value);
    }
    items(value, name);
    for (Tree& item : value.items) {
      if (item.is(Tree::Kind::kTable)) fact(name, item);
    }
  }

  // One of several alternatives less.
  void items(Tree& list, const std::string& name) {
    for (std::size_t i = 0; list.items.size() > 1 && i < list.items.size(); ++i) {
      Tree item = std::move(list.items[i]);
      list.items.erase(list.items.begin() + static_cast<std::ptrdiff_t>(i));
      add(item.at, name + ": " + brief(item) + " was dropped from the list");
      list.items.insert(list.items.begin() + static_cast<std::ptrdiff_t>(i), std::move(item));
    }
  }

  void scalar(const std::string& name, Tree& value) {
    Tree changed = value;
    switch (value.kind) {
      case Tree::Kind::kNumber: changed.number += std::floor(value.number) == value.number ? 1 : value.number / 10; break;
      case Tree::Kind::kFlag: changed.flag = !value.flag; break;
      case Tree::Kind::kText: changed.text = is_clock(value.text) ? later(value.text) : value.text + "-mutant"; break;
      default: return;
    }
    const std::string was = brief(value);
    const std::string is = brief(changed);
    with(value, std::move(changed), value.at, name + ": " + was + " became " + is);
  }

  static bool is_clock(const std::string& text) { return text.size() == 5 && text[2] == ':'; }

  // "22:00" as "22:01".
  static std::string later(std::string clock) {
    clock[4] = clock[4] == '9' ? '8' : static_cast<char>(clock[4] + 1);
    return clock;
  }

  // --- effects

  void effect(std::size_t i) {
    const std::string name = body_.members[i].key;
    const bool table = body_.members[i].value.is(Tree::Kind::kTable);
    without(body_.members, i, name + " was dropped");
    Tree& value = body_.members[i].value;
    if (name == "to") {
      Tree elsewhere;
      elsewhere.kind = Tree::Kind::kText;
      elsewhere.text = kElsewhere;
      elsewhere.at = value.at;
      with(value, elsewhere, value.at, "to: " + brief(value) + " became another target");
    } else if (name == "fallback") {
      fallback(value);
    } else if (!table) {
      scalar(name, value);
    } else {
      parts(name, value);
    }
  }

  void fallback(Tree& value) {
    if (!value.is(Tree::Kind::kTable) || value.items.size() < 2) return;
    Tree turned = value;
    std::reverse(turned.items.begin(), turned.items.end());
    with(value, std::move(turned), value.at, "fallback: the order was turned round");
    Tree shorter = value;
    shorter.items.pop_back();
    with(value, std::move(shorter), value.items.back().at, "fallback: " + brief(value.items.back()) + " was dropped");
  }

  void parts(const std::string& name, Tree& value) {
    for (std::size_t i = 0; i < value.members.size(); ++i) {
      const std::string inner = name + "." + value.members[i].key;
      Tree::Member& part = value.members[i];
      // What is written out and means the same when it is not: dropping it changes nothing.
      const bool usual = (inner == "deny.status" && part.value.number == kUsualDenyStatus) ||
                         (inner == "retry.after" && part.value.text == "retry-after");
      if (value.members.size() > 1 && !usual) without(value.members, i, inner + " was dropped");
      for (const auto& [from, to] : {std::pair("max", "min"), std::pair("min", "max")}) {
        if (part.key != from) continue;
        with(part.key, std::string(to), part.at, name + ": " + from + " became " + to);
        break;
      }
      if (part.value.is(Tree::Kind::kTable)) {
        parts(inner, part.value);
      } else if (part.value.is(Tree::Kind::kMarker)) {
        // `remove`: dropping it is the mistake to make
      } else {
        scalar(inner, part.value);
      }
    }
  }

  const Declaration& rule_;
  Tree body_;
  std::vector<std::pair<Mutant, Tree>> out_;
};

/// Notes which rules decide something in one test.
class Deciders final : public DecisionWatcher {
 public:
  std::set<std::string> rules;
  void decided(const Trace& trace) override {
    for (const Claim& claim : trace.claims) {
      if (!claim.shadowed) rules.insert(claim.rule);
    }
  }
};

/// A mutant and which declaration of the user's files it stands for.
struct Candidate {
  std::size_t declaration;
  Mutant mutant;
  Tree body;
};

std::vector<Candidate> candidates(const config::Snapshot& snapshot, const Files& files, const std::string& pack) {
  std::vector<Candidate> out;
  LoadHooks hooks;
  hooks.pack = pack;
  std::size_t before = 0;  // of the sources read so far
  hooks.declared = [&out, &before](std::vector<Declaration>& declarations) {
    for (std::size_t i = 0; i < declarations.size(); ++i) {
      if (declarations[i].callee != "rule") continue;
      for (auto& [mutant, body] : mutants_of(declarations[i])) out.push_back({before + i, std::move(mutant), std::move(body)});
    }
    before += declarations.size();
  };
  std::vector<config::Diagnostic> ignored;
  const std::unique_ptr<Engine> engine = Engine::load(snapshot, files, ignored, &hooks);
  if (engine == nullptr) return {};
  std::set<std::string> live;  // without those that are switched off
  for (const std::vector<Rule>* rules : rule_lists(engine->rules())) {
    for (const Rule& rule : *rules) {
      if (rule.pack == pack) live.insert(rule.name);
    }
  }
  std::erase_if(out, [&live](const Candidate& one) { return live.count(one.mutant.rule) == 0; });
  return out;
}

}  // namespace

std::vector<std::pair<Mutant, Tree>> mutants_of(const Declaration& rule) { return Maker(rule).all(); }

MutationReport mutate(const config::Snapshot& snapshot, const Files& files, const std::vector<TestCase>& tests,
                      const MutationOptions& options) {
  MutationReport report;
  const std::vector<Candidate> all = candidates(snapshot, files, options.pack);
  // Which rules decide something in which test.
  std::vector<std::set<std::string>> deciders(tests.size());
  {
    std::vector<config::Diagnostic> ignored;
    const std::unique_ptr<Engine> engine = Engine::load(snapshot, files, ignored);
    for (std::size_t i = 0; engine != nullptr && i < tests.size(); ++i) {
      Deciders watcher;
      RunOptions running = options.running;
      running.watcher = &watcher;
      (void)TestRunner(*engine, snapshot, running).run(tests[i]);
      deciders[i] = std::move(watcher.rules);
    }
  }
  // Sweeps take longest: what a case notices needs none.
  std::vector<const TestCase*> order;
  for (const bool sweeps : {false, true}) {
    for (const TestCase& test : tests) {
      if ((test.kind == TestCase::Kind::kSweep) == sweeps) order.push_back(&test);
    }
  }
  std::size_t done = 0;
  for (const Candidate& candidate : all) {
    if (options.progress) options.progress(done++, all.size());
    LoadHooks hooks;
    hooks.pack = options.pack;
    // Functions keep their references: the same files load in the same order.
    std::size_t before = 0;
    hooks.declared = [&candidate, &before](std::vector<Declaration>& declarations) {
      const std::size_t i = candidate.declaration - before;
      if (candidate.declaration >= before && i < declarations.size()) declarations[i].body = candidate.body;
      before += declarations.size();
    };
    std::vector<config::Diagnostic> ignored;
    const std::unique_ptr<Engine> engine = Engine::load(snapshot, files, ignored, &hooks);
    if (engine == nullptr) continue;  // such a mistake is caught when the file loads
    ++report.total;
    RunOptions running = options.running;
    running.brief = true;
    TestRunner runner(*engine, snapshot, running);
    if (std::any_of(order.begin(), order.end(), [&runner](const TestCase* test) { return !runner.run(*test).passed; })) continue;
    MutationReport::Survivor survivor{candidate.mutant, {}};
    for (std::size_t i = 0; i < tests.size(); ++i) {
      if (deciders[i].count(candidate.mutant.rule) != 0) survivor.tests.push_back(tests[i].name);
    }
    report.survivors.push_back(std::move(survivor));
  }
  std::stable_sort(report.survivors.begin(), report.survivors.end(),
                   [](const MutationReport::Survivor& a, const MutationReport::Survivor& b) {
                     return std::tie(a.mutant.file, a.mutant.at.line, a.mutant.at.column) <
                            std::tie(b.mutant.file, b.mutant.at.line, b.mutant.at.column);
                   });
  return report;
}

}  // namespace ccrules::rules
