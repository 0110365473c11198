#include <catch2/catch.hpp>

#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::engine;
using ccrules::rules::test::route;
using ccrules::rules::test::Sample;
using ccrules::rules::test::targets;

namespace {

config::Snapshot full() {
  config::Snapshot snapshot = test::snapshot();
  snapshot.routes["default"] = route("anthropic,claude-sonnet-5-5");
  snapshot.routes["longContext"] = route("openai,gpt-long");
  snapshot.routes["background"] = route("ollama,qwen3-coder");
  snapshot.routes["think"] = route("anthropic,claude-opus-5-5");
  snapshot.routes["think"].parameters_json["max_tokens"] = "64000";
  snapshot.routes["gpt-4.1"] = route("openai,gpt-6.1-sol");
  snapshot.agents["rust-specialist"] = "ollama,rust";
  return snapshot;
}

std::string decided(const config::Snapshot& snapshot, const Sample& sample) {
  auto rules = engine("", snapshot);
  const Decision decision = rules->decide(sample.facts);
  CHECK(decision.failed_rules.empty());
  if (!decision.bad_request.empty()) return "400 " + decision.bad_request;
  if (!decision.no_target.empty()) return "404 " + decision.no_target;
  return targets(decision) + " | " + decision.reason;
}

}  // namespace

TEST_CASE("the built-in rules decide in the documented order with the documented reasons") {
  Sample all("openai,gpt-4.1");  // everything at once; then the winning cause is taken away, one after the other
  all.identity.agent = "rust-specialist";
  all.facts.tokens = 72000;
  all.identity.request_class = "background";
  all.outline.thinking.kind = chat::ThinkingKind::kEnabled;
  config::Snapshot snapshot = full();
  CHECK(decided(snapshot, all) == "openai,gpt-4.1 | explicit model selection");
  all.outline.model = "gpt-4.1";
  CHECK(decided(snapshot, all) == "openai,gpt-6.1-sol | direct model route");
  all.outline.model = "claude-haiku-5-5";
  CHECK(decided(snapshot, all) == "ollama,rust | agent override");
  all.identity.agent = "main";
  CHECK(decided(snapshot, all) == "openai,gpt-long | token count (72000) exceeds threshold");
  all.facts.tokens = 60000;
  CHECK(decided(snapshot, all) == "ollama,qwen3-coder | haiku model routed to background");
  all.outline.model = "claude-sonnet-5-5";
  CHECK(decided(snapshot, all) == "ollama,qwen3-coder | background request");
  all.identity.request_class = "main";
  CHECK(decided(snapshot, all) == "anthropic,claude-opus-5-5 | thinking parameter enabled");
  all.outline.thinking.kind = chat::ThinkingKind::kDisabled;
  CHECK(decided(snapshot, all) == "anthropic,claude-sonnet-5-5 | default model");
  snapshot.tiers["big"] = "openai,gpt-big";
  snapshot.tiers["small"] = "openai,gpt-small";
  CHECK(decided(snapshot, all) == "openai,gpt-big | tier big");
  snapshot.tiers.clear();
  snapshot.routes.clear();
  CHECK(decided(snapshot, all) == "anthropic,claude-sonnet-5-5 | provider lists the model");
}

TEST_CASE("exactly the threshold is not long, and a threshold of zero or less is never exceeded") {
  config::Snapshot snapshot = full();
  Sample sample;
  sample.facts.tokens = 60000;
  CHECK(decided(snapshot, sample) == "anthropic,claude-sonnet-5-5 | default model");
  sample.facts.tokens = 60001;
  CHECK(decided(snapshot, sample) == "openai,gpt-long | token count (60001) exceeds threshold");
  for (const std::int64_t threshold : {0, -1, -60000}) {
    snapshot.long_context_tokens = threshold;
    CHECK(decided(snapshot, sample) == "anthropic,claude-sonnet-5-5 | default model");
  }
}

TEST_CASE("provider,model splits at the first comma and an empty half is a bad request") {
  const config::Snapshot snapshot = full();
  CHECK(decided(snapshot, Sample("ollama,b,c")) == "ollama,b,c | explicit model selection");
  CHECK(decided(snapshot, Sample("openai, gpt-5 ")) == "openai,gpt-5 | explicit model selection");
  CHECK(decided(snapshot, Sample(",model")) == "400 model ',model' has an empty half: write provider,model");
  CHECK(decided(snapshot, Sample("openai,")) == "400 model 'openai,' has an empty half: write provider,model");
  CHECK(decided(snapshot, Sample(",")) == "400 model ',' has an empty half: write provider,model");
  CHECK_THAT(decided(snapshot, Sample("nobody,gpt-5")), Catch::StartsWith("404 there is no provider 'nobody'; configured: anthropic (claude-*)"));
  CHECK_THAT(decided(snapshot, Sample("off,off-1")), Catch::StartsWith("404 there is no provider 'off'"));
}

TEST_CASE("a special route that is missing is passed over") {
  config::Snapshot snapshot = full();
  Sample sample("claude-haiku-5-5");
  sample.facts.tokens = 90000;
  sample.outline.thinking.kind = chat::ThinkingKind::kAdaptive;
  snapshot.routes.erase("longContext");
  CHECK(decided(snapshot, sample) == "ollama,qwen3-coder | haiku model routed to background");
  snapshot.routes.erase("background");
  CHECK(decided(snapshot, sample) == "anthropic,claude-opus-5-5 | thinking parameter enabled");
  snapshot.routes.erase("think");
  CHECK(decided(snapshot, sample) == "anthropic,claude-sonnet-5-5 | default model");
}

TEST_CASE("a haiku model is one whatever its case, and auxiliary requests are background") {
  const config::Snapshot snapshot = full();
  CHECK(decided(snapshot, Sample("Claude-3-5-HAIKU-latest")) == "ollama,qwen3-coder | haiku model routed to background");
  Sample auxiliary;
  auxiliary.identity.request_class = "auxiliary";
  CHECK(decided(snapshot, auxiliary) == "ollama,qwen3-coder | background request");
  Sample compaction;
  compaction.identity.request_class = "compaction";
  CHECK(decided(snapshot, compaction) == "anthropic,claude-sonnet-5-5 | default model");
}

TEST_CASE("route parameters apply only where the request has none, for every route") {
  auto rules = engine("", full());
  Sample sample;
  sample.outline.thinking.kind = chat::ThinkingKind::kEnabled;
  Decision decision = rules->decide(sample.facts);
  REQUIRE(decision.edits.size() == 1);
  CHECK(decision.edits[0].field == "max_tokens");
  CHECK(decision.edits[0].kind == FieldEdit::Kind::kDefault);
  CHECK(decision.edits[0].value_json == "64000");
  Sample named("think");  // a direct route of that name
  CHECK(rules->decide(named.facts).edits.size() == 1);
  Sample plain;
  CHECK(rules->decide(plain.facts).edits.empty());
}

TEST_CASE("fallbacks go by the chosen model, else by the requested one, and never repeat a target") {
  config::Snapshot snapshot = full();
  snapshot.fallbacks = {{"claude-opus-*", {"anthropic,claude-sonnet-5-5", "openai,gpt-6.1-sol", "off,off-1"}},
                        {"claude-*", {"anthropic,claude-sonnet-5-5", "openrouter,x"}}};
  Sample thinking;
  thinking.outline.thinking.kind = chat::ThinkingKind::kEnabled;
  CHECK(decided(snapshot, thinking) ==
        "anthropic,claude-opus-5-5; anthropic,claude-sonnet-5-5; openai,gpt-6.1-sol | thinking parameter enabled");
  CHECK(decided(snapshot, Sample()) == "anthropic,claude-sonnet-5-5; openrouter,x | default model");
  Sample haiku("claude-haiku-5-5");
  CHECK(decided(snapshot, haiku) == "ollama,qwen3-coder; anthropic,claude-sonnet-5-5; openrouter,x | haiku model routed to background");
}

TEST_CASE("without a fitting route the provider that lists the model serves it, and else a 404 lists what exists") {
  config::Snapshot snapshot = test::snapshot();
  CHECK(decided(snapshot, Sample("gpt-5")) == "openai,gpt-5 | provider lists the model");
  CHECK(decided(snapshot, Sample("qwen")) == "ollama,qwen | provider lists the model");
  std::erase_if(snapshot.providers, [](const config::Provider& p) { return p.id == "ollama" || p.id == "openrouter"; });
  CHECK(decided(snapshot, Sample("qwen")) ==
        "404 no provider serves the model 'qwen'; configured: anthropic (claude-*), openai (gpt-*, o*), sim (any model)");
  CHECK_THAT(decided(snapshot, Sample("switched-1")), Catch::StartsWith("404 no provider serves the model 'switched-1'"));
  std::erase_if(snapshot.providers, [](const config::Provider& p) { return p.id != "sim"; });
  CHECK(decided(snapshot, Sample("anything")) == "sim,anything | provider lists the model");
}

TEST_CASE("agents may name a route, a tier or an alias of a rule file") {
  config::Snapshot snapshot = full();
  snapshot.tiers["small"] = "openai,gpt-small";
  snapshot.agents = {{"a", "think"}, {"b", "small"}, {"c", "mine"}};
  auto rules = engine("alias { mine = \"sim,sim-x\" }", snapshot);
  const auto by_agent = [&rules](const char* agent) {
    Sample sample;
    sample.identity.agent = agent;
    return targets(rules->decide(sample.facts));
  };
  CHECK(by_agent("a") == "anthropic,claude-opus-5-5");
  CHECK(by_agent("b") == "openai,gpt-small");
  CHECK(by_agent("c") == "sim,sim-x");
  CHECK(by_agent("main") == "anthropic,claude-sonnet-5-5");
}

TEST_CASE("the user's rules stand above the built-in ones, which can be switched off by name") {
  const config::Snapshot snapshot = full();
  Sample haiku("claude-haiku-5-5");
  CHECK(targets(engine("rule \"mine\" { when = { model = \"*haiku*\" }, to = \"sim,x\" }", snapshot)->decide(haiku.facts)) == "sim,x");
  CHECK(targets(engine("override \"default#background\" { off = true }", snapshot)->decide(haiku.facts)) == "anthropic,claude-sonnet-5-5");
  CHECK(targets(engine("override \"background\" { off = true }", snapshot)->decide(haiku.facts)) == "anthropic,claude-sonnet-5-5");
  CHECK(targets(engine("rule \"default\" { to = \"sim,x\" }", snapshot)->decide(haiku.facts)) == "sim,x");  // same name, other pack
}
