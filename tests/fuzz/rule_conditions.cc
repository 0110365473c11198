// Any JSON as a rule's `when`: it compiles or says why not, and the ways to judge it agree.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/assert.h"
#include "rules/compile_when.h"
#include "rules/fixed_counters.h"
#include "rules/json_tree.h"
#include "rules/sieve.h"

using namespace ccrules;
using namespace ccrules::rules;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned bits = data[0];  // which facts there are
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Result<Tree> tree = read_json(text, Spot{1, 1});
  if (!tree.ok()) return 0;

  config::Snapshot snapshot;
  config::Provider provider;
  provider.id = "sim";
  snapshot.providers.push_back(provider);
  const Targets targets(snapshot);
  RuleContext context;
  context.targets = &targets;
  context.on = bits % 3 == 0 ? api::On::kRequest : bits % 3 == 1 ? api::On::kError : api::On::kResponse;
  Problems problems;
  const Condition condition = compile_when(*tree, context, problems);
  for (const Problem& problem : problems) CCR_ASSERT(!problem.message.empty() && problem.at.line >= 0);
  if (!problems.empty()) return 0;

  chat::Outline outline;
  outline.model = (bits & 1U) != 0 ? "claude-haiku-5-5" : "gpt-6";
  outline.tool_names = {"Bash", "mcp__x"};
  outline.stream = (bits & 2U) != 0;
  Identity identity;
  if ((bits & 4U) != 0) identity.session = "s-1";
  if ((bits & 8U) != 0) identity.project = "/srv/a";
  FixedCounters counters;
  if ((bits & 16U) != 0) counters.rate = 5;
  if ((bits & 32U) != 0) counters.any_spent_usd = 5;
  Facts facts;
  facts.outline = &outline;
  facts.identity = &identity;
  facts.counters = (bits & 64U) != 0 ? &counters : nullptr;
  facts.tokens = bits;
  facts.attempt = 1;
  facts.wall_us = 1'790'000'000'000'000 + bits * 3'600'000'000LL;
  facts.body = "{\"metadata\":{\"tier\":\"gold\",\"n\":5}}";

  Reader plain(facts, context.on);
  Trace trace;
  Reader traced(facts, context.on, &trace);
  Evaluation evaluation{traced, nullptr, true, {}, {}, {}};
  const bool held = matches(condition, plain);
  const Outcome outcome = evaluate(condition, evaluation);
  CCR_ASSERT(outcome == (held ? Outcome::kYes : Outcome::kNo));
  CCR_ASSERT(may_hold(condition, plain) == held);  // without functions nothing is left open

  std::vector<Rule> rules(1);
  rules.front().when = condition;
  Sieve sieve(rules);
  for (int round = 0; round < 2; ++round) {  // the second time from what it kept
    Reader again(facts, context.on);
    Sieve::Glance glance(again);
    const bool possible = (sieve.candidates(again, glance).front() & 1U) != 0;
    const Sieve::Answer answer = possible ? sieve.ask(sieve.row(0), glance) : Sieve::Answer::kNo;
    CCR_ASSERT(answer == Sieve::Answer::kMaybe || (answer == Sieve::Answer::kYes) == held);
  }
  CCR_ASSERT(held || !condition.shown.empty());
  return 0;
}
