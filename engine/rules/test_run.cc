#include "rules/test_run.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "dialect/dialect.h"
#include "rules/given.h"
#include "rules/json_tree.h"

namespace ccrules::rules {
namespace {

constexpr std::size_t kShownShares = 4;
constexpr std::size_t kShownText = 60;

void apply(const Tree& given, Sample& sample) {
  Problems checked_before;
  apply_given(given, sample, checked_before);
}

std::string outcome_name(const Decision& decision) {
  if (decision.deny) return "denied";
  return decision.targets.empty() ? "none" : target_text(decision.targets.front());
}

void join(const std::vector<Difference>& found, CaseResult& result) {
  for (const Difference& difference : found) {
    if (!result.expected.empty()) result.expected += "; ";
    if (!result.actual.empty()) result.actual += "; ";
    result.expected += difference.expected;
    result.actual += difference.actual;
  }
  result.passed = found.empty();
}

/// "openai,gpt-6.1-sol 10.02 %, anthropic,claude-sonnet-5-5 89.98 %": the most frequent first.
std::string shares_text(const Shares& shares) {
  std::vector<std::pair<std::string, std::size_t>> rows(shares.targets.begin(), shares.targets.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string out;
  for (std::size_t i = 0; i < std::min(rows.size(), kShownShares); ++i) {
    if (i > 0) out += ", ";
    out += rows[i].first + " " +
           percent_text(100.0 * static_cast<double>(rows[i].second) /
                        static_cast<double>(std::max<std::size_t>(shares.total, 1)));
  }
  if (rows.size() > kShownShares) out += " and " + std::to_string(rows.size() - kShownShares) + " more";
  return out;
}

std::string brief(const Tree& value) {
  std::string text = value.is(Tree::Kind::kFlag) ? (value.flag ? "true" : "false") : to_json(value);
  if (value.is(Tree::Kind::kNil)) text = "null";
  if (text.size() > kShownText) text = text.substr(0, kShownText) + "...";
  return text;
}

class TreeComparison {
 public:
  JsonDifference result;

  // True when a difference was found.
  bool differ(const Tree& a, const Tree& b, const std::string& path) {
    if (a.kind != b.kind || a.flag != b.flag || a.number != b.number || a.text != b.text)
      return note(path, brief(a), brief(b));
    for (std::size_t i = 0; i < std::max(a.items.size(), b.items.size()); ++i) {
      const std::string inner = path + "[" + std::to_string(i) + "]";
      if (i >= a.items.size()) return note(inner, "nothing", brief(b.items[i]));
      if (i >= b.items.size()) return note(inner, brief(a.items[i]), "nothing");
      if (differ(a.items[i], b.items[i], inner)) return true;
    }
    for (const Tree::Member& member : a.members) {
      const std::string inner = path.empty() ? member.key : path + "." + member.key;
      const Tree::Member* other = b.find(member.key);
      if (other == nullptr) return note(inner, brief(member.value), "nothing");
      if (differ(member.value, other->value, inner)) return true;
    }
    for (const Tree::Member& member : b.members) {
      if (a.find(member.key) == nullptr)
        return note(path.empty() ? member.key : path + "." + member.key, "nothing", brief(member.value));
    }
    return false;
  }

 private:
  bool note(const std::string& path, std::string expected, std::string actual) {
    result = {path.empty() ? "the whole body" : path, std::move(expected), std::move(actual)};
    return true;
  }
};

// An editor's newline at the end of a file is not part of the body.
std::string_view without_newline(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

}  // namespace

JsonDifference first_difference(std::string_view expected, std::string_view actual) {
  const Result<Tree> a = read_json(expected, {1, 1});
  const Result<Tree> b = read_json(actual, {1, 1});
  if (!a.ok() || !b.ok()) return {"the whole body", a.ok() ? "JSON" : "no JSON", b.ok() ? "JSON" : "no JSON"};
  TreeComparison comparison;
  (void)comparison.differ(*a, *b, {});
  return comparison.result;
}

/// Where a flow's request is between its attempts, as proxy/attempts.cc moves it.
struct TestRunner::Journey {
  std::vector<Target> targets;
  std::string fallback_rule;
  std::size_t at = 0;
  int attempt = 0;
  int tries_here = 0;

  void begin(const Decision& decision, const Trace& trace) {
    *this = Journey{};
    targets = decision.targets;
    for (const Claim& claim : trace.claims) {
      if (claim.slot == "fallback" && !claim.shadowed) fallback_rule = claim.rule;
    }
  }
  [[nodiscard]] const Target* current() const { return at < targets.size() ? &targets[at] : nullptr; }
  void go_on() {
    ++at;
    tries_here = 0;
  }
  void go_to(const Target& target) {
    const std::size_t place = std::min(at + 1, targets.size());
    targets.insert(targets.begin() + static_cast<std::ptrdiff_t>(place), target);
    go_on();
  }
};

CaseResult TestRunner::run(const TestCase& test) {
  CaseResult result;
  result.file = test.file->path;
  result.name = test.name;
  result.line = test.at.line;
  result.kind = kind_name(test.kind);
  const auto begin = std::chrono::steady_clock::now();
  switch (test.kind) {
    case TestCase::Kind::kCase:
      run_case(test, result);
      break;
    case TestCase::Kind::kSweep:
      run_sweep(test, result);
      break;
    case TestCase::Kind::kFlow:
      run_flow(test, result);
      break;
  }
  result.time_ns = (std::chrono::steady_clock::now() - begin).count();
  return result;
}

void TestRunner::fill(const TestCase& test, const TestStep& step, Sample& sample) {
  if (!step.sample.empty()) (void)sample.read(step.sample);  // was read once already
  apply(*test.base, sample);
  if (step.on != api::On::kRequest) sample.facts.attempt = std::max(sample.facts.attempt, 1);
  apply(step.given, sample);
}

void TestRunner::run_case(const TestCase& test, CaseResult& result) {
  Sample sample;
  fill(test, test.steps.front(), sample);
  join(step(test, test.steps.front(), sample, result, nullptr), result);
}

// Facts stay from step to step: it is one request's life.
void TestRunner::run_flow(const TestCase& test, CaseResult& result) {
  Sample sample;
  Journey journey;
  apply(*test.base, sample);
  result.decisions = test.steps.size();
  for (std::size_t i = 0; i < test.steps.size(); ++i) {
    const TestStep& now = test.steps[i];
    if (!now.sample.empty()) {
      (void)sample.read(now.sample);  // was read once already
      apply(*test.base, sample);
    }
    apply(now.given, sample);
    CaseResult own;
    const std::vector<Difference> found = step(test, now, sample, own, &journey);
    if (i == 0 || !found.empty()) {
      result.decision = std::move(own.decision);
      result.trace = std::move(own.trace);
    }
    if (found.empty()) continue;
    join(found, result);
    result.hint = own.hint;
    result.line = now.at.line != 0 ? now.at.line : result.line;
    result.note = "step " + std::to_string(i + 1) + " of " + std::to_string(test.steps.size());
    return;
  }
  result.passed = true;
}

void TestRunner::run_sweep(const TestCase& test, CaseResult& result) {
  const TestStep& wanted = test.steps.front();
  Sample sample;
  fill(test, wanted, sample);
  Shares shares;
  Tree given;
  given.kind = Tree::Kind::kTable;
  given.members.push_back(Tree::Member{test.over.fact, wanted.at, {}});
  result.decisions = test.over.values.size();
  for (const Tree& value : test.over.values) {
    given.members.front().value = value;
    apply(given, sample);
    CaseResult own;
    const std::vector<Difference> found = step(test, wanted, sample, own, nullptr);
    ++shares.total;
    ++shares.targets[outcome_name(own.decision)];
    ++shares.rules[own.decision.rule.empty() ? "none" : own.decision.rule];
    if (shares.total == 1) result.decision = own.decision;
    if (found.empty()) continue;
    join(found, result);
    result.decision = std::move(own.decision);
    result.trace = std::move(own.trace);
    result.note = "at " + test.over.fact + " = " + brief(value);
    return;
  }
  join(differences(wanted.expect, shares, engine_), result);
  result.note = shares_text(shares);
}

std::vector<Difference> TestRunner::step(const TestCase& test, const TestStep& wanted, Sample& sample,
                                         CaseResult& result, Journey* journey) {
  // A sweep decides without traces, for speed; what goes wrong is decided once more.
  const bool watched = options_.watcher != nullptr;
  const bool traced = watched || journey != nullptr || wanted.expect.find("shadowed") != nullptr ||
                      (!options_.brief && test.kind != TestCase::Kind::kSweep);
  if (wanted.on == api::On::kRequest) {
    sample.facts.attempt = 0;
    result.decision = engine_.decide(sample.facts, traced ? &result.trace : nullptr);
    if (watched) options_.watcher->decided(result.trace);
    std::vector<Difference> found = differences(wanted.expect, result.decision, result.trace, engine_);
    if (!traced && !found.empty() && !options_.brief) result.decision = engine_.decide(sample.facts, &result.trace);
    if (journey != nullptr) journey->begin(result.decision, result.trace);
    if (!wanted.golden.empty()) compare_upstream(wanted, sample, result.decision, found, result);
    return found;
  }
  const AttemptDecision decision = journey != nullptr ? next_attempt(wanted, sample, result.trace, *journey)
                                                      : decide_attempt(wanted.on, sample, result.trace);
  result.decision.deny = decision.deny;
  result.decision.rule = decision.rule;
  if (decision.to) result.decision.targets.push_back(*decision.to);
  return differences(wanted.expect, decision, engine_);
}

AttemptDecision TestRunner::decide_attempt(api::On on, Sample& sample, Trace& trace) {
  sample.facts.attempt = std::max(sample.facts.attempt, 1);
  AttemptDecision decision =
      on == api::On::kError ? engine_.decide_error(sample.facts, &trace) : engine_.decide_response(sample.facts, &trace);
  if (options_.watcher != nullptr) options_.watcher->decided(trace);
  return decision;
}

// An attempt that failed, or whose reply is judged, as proxy/attempts.cc goes on after it: what the rules leave open, the built-in
// policy fills in.
AttemptDecision TestRunner::next_attempt(const TestStep& wanted, Sample& sample, Trace& trace, Journey& journey) {
  const auto is_given = [&wanted](const char* fact) { return wanted.given.find(fact) != nullptr; };
  const bool failed = wanted.on == api::On::kError;
  ++journey.tries_here;
  journey.attempt = is_given("attempt") ? sample.facts.attempt : journey.attempt + 1;
  sample.facts.attempt = journey.attempt;
  if (journey.current() != nullptr && !is_given("provider")) sample.provider = journey.current()->provider;
  const config::Provider* provider = snapshot_.provider(sample.provider);
  const dialect::Dialect* spoken = provider == nullptr ? nullptr : dialect::by_name(provider->dialect);
  dialect::UpstreamFailure failure;
  failure.status = sample.facts.status;
  const Error error = (spoken != nullptr ? *spoken : dialect::anthropic()).read_error(failure);
  if (failed && !is_given("error")) sample.error = error_code_name(error.code);
  sample.refresh();

  AttemptDecision decision = decide_attempt(wanted.on, sample, trace);
  const bool goes_on = failed && error.retry != Retry::kNever;  // a reply that no rule minds is the answer
  const bool may_retry = goes_on && provider != nullptr && journey.tries_here <= provider->max_retries;
  if (decision.deny) {
    decision.to.reset();
  } else if (decision.to) {
    journey.go_to(*decision.to);
  } else if (decision.retry.value_or(may_retry && decision.next_fallback != true)) {
    decision.retry = true;
    if (journey.current() != nullptr) decision.to = *journey.current();
  } else if (decision.next_fallback.value_or(goes_on)) {
    journey.go_on();
    decision.next_fallback = journey.current() != nullptr;
    if (journey.current() != nullptr) {
      decision.to = *journey.current();
      if (decision.rule.empty()) decision.rule = journey.fallback_rule;
    }
  }
  return decision;
}

void TestRunner::compare_upstream(const TestStep& wanted, const Sample& sample, const Decision& decision,
                                  std::vector<Difference>& found, CaseResult& result) {
  if (decision.targets.empty() || decision.deny) {
    found.push_back({"an upstream request", "none: nothing is sent"});
    return;
  }
  Result<std::string> body = options_.upstream ? options_.upstream(sample, decision)
                                               : bad_request("upstream bodies are not at hand here");
  if (!body.ok()) {
    found.push_back({"an upstream request", body.error().message});
    return;
  }
  const bool exists = options_.files != nullptr && options_.files->exists(wanted.golden);
  const Result<std::string> golden =
      exists ? options_.files->read(wanted.golden) : Result<std::string>(std::string());
  if (golden.ok() && exists && without_newline(*golden) == without_newline(*body)) return;
  if (options_.update) {
    updates.push_back({wanted.golden, *std::move(body) + "\n"});
    return;
  }
  if (!exists || !golden.ok()) {
    found.push_back({"upstream = " + wanted.golden,
                     "upstream = a body to compare with nothing: the file does not exist"});
    result.hint = "ccrules test --update writes it";
    return;
  }
  const JsonDifference difference = first_difference(without_newline(*golden), *body);
  if (difference.path.empty()) {
    found.push_back(
        {"upstream = " + wanted.golden + " byte for byte", "upstream = the same JSON written otherwise"});
  } else {
    found.push_back({"upstream " + difference.path + " = " + difference.expected,
                     "upstream " + difference.path + " = " + difference.actual});
  }
  result.hint = "when the new body is right, ccrules test --update writes it";
}

}  // namespace ccrules::rules
