// Any bytes as a rule file in JSON: loading reports or succeeds, and a loaded set decides the same with and without a trace.
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/assert.h"
#include "core/json.h"
#include "one_file.h"
#include "rules/engine.h"
#include "rules/fixed_counters.h"

using namespace ccrules;
using namespace ccrules::rules;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const config::Snapshot snapshot = config_with_rules("/rules/rules.json");
  const OneFile files(std::string(reinterpret_cast<const char*>(data), size));
  std::vector<config::Diagnostic> diagnostics;
  const auto engine = Engine::load(snapshot, files, diagnostics);
  CCR_ASSERT((engine == nullptr) == !diagnostics.empty());
  if (engine == nullptr) return 0;

  chat::Outline outline;
  outline.model = "claude-sonnet-5-5";
  Identity identity;
  identity.agent = "main";
  identity.session = "s-1";
  FixedCounters counters;
  counters.rate = 5;
  Facts facts;
  facts.outline = &outline;
  facts.identity = &identity;
  facts.counters = &counters;
  facts.tokens = 70000;
  Trace trace;
  const Trace none;
  const Decision traced = engine->decide(facts, &trace);
  CCR_ASSERT(trace_json(engine->decide(facts), none, "") == trace_json(traced, none, ""));
  CCR_ASSERT(json::is_valid(trace_json(traced, trace, "dec")));
  CCR_ASSERT(traced.failed_rules.empty());  // nothing here can fail
  facts.attempt = 1;
  engine->decide_error(facts);
  engine->decide_response(facts);
  return 0;
}
