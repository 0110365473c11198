// Any bytes as a rule file: loading reports or succeeds within its limits, and a loaded set decides.
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/assert.h"
#include "one_file.h"
#include "rules/engine.h"

using namespace ccrules;
using namespace ccrules::rules;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const config::Snapshot snapshot = config_with_rules("/rules/fuzz.lua");
  const OneFile files(std::string(reinterpret_cast<const char*>(data), size));
  std::vector<config::Diagnostic> diagnostics;
  const auto engine = Engine::load(snapshot, files, diagnostics);
  CCR_ASSERT((engine == nullptr) == !diagnostics.empty());
  if (engine == nullptr) return 0;

  chat::Outline outline;
  outline.model = "claude-sonnet-5-5";
  Identity identity;
  identity.agent = "main";
  Facts facts;
  facts.outline = &outline;
  facts.identity = &identity;
  facts.tokens = 70000;
  Trace trace;
  const Decision plain = engine->decide(facts);
  const Decision traced = engine->decide(facts, &trace);
  CCR_ASSERT(plain.targets.empty() == (plain.deny || !plain.no_target.empty() || !plain.bad_request.empty()));
  // Time limits may fall differently; without failures both must agree.
  if (plain.failed_rules.empty() && traced.failed_rules.empty()) {
    CCR_ASSERT(plain.rule == traced.rule && plain.targets == traced.targets && plain.tags == traced.tags);
  }
  facts.attempt = 1;
  engine->decide_error(facts);
  engine->decide_response(facts);
  return 0;
}
