// What one request costs before anything is sent: facts, decision, native bytes, and the neutral request that
// the native lane does without. One line a step: median CPU time. docs/adr/0001 quotes them.
#include <algorithm>
#include <cstdio>
#include <string>
#include <time.h>
#include <vector>

#include "chat/loss.h"
#include "config/load.h"
#include "core/json.h"
#include "dialect/dialect.h"
#include "proxy/native.h"
#include "rules/engine.h"
#include "tokens/counter.h"

using namespace ccrules;

namespace {

/// CPU time of this thread: other programs on the machine do not count.
double cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

/// CPU time of one call, the median of 31 rounds of about 5 ms.
template <class Work>
void measure(const std::string& name, std::size_t bytes, Work&& work) {
  const auto once = [&](std::size_t count) {
    const double began = cpu_us();
    for (std::size_t i = 0; i < count; ++i) work();
    return cpu_us() - began;
  };
  once(3);
  const auto count = static_cast<std::size_t>(std::max(1.0, 5000.0 / std::max(0.01, once(10) / 10)));
  std::vector<double> rounds;
  for (int round = 0; round < 31; ++round) rounds.push_back(once(count) / static_cast<double>(count));
  std::nth_element(rounds.begin(), rounds.begin() + 15, rounds.end());
  std::printf("%-42s %7zu bytes %10.2f us\n", name.c_str(), bytes, rounds[15]);
}

/// A coding agent's request of about `wanted` bytes: a system prompt, tools, and turns of tool calls with
/// their results.
std::string agent_request(std::size_t wanted) {
  std::string body =
      R"({"model":"claude-sonnet-5-5","max_tokens":32000,"stream":true,"thinking":{"type":"adaptive"},)"
      R"("metadata":{"user_id":"{\"session_id\":\"0b9e0c4e-0000-4000-8000-000000000001\"}"},)"
      R"("system":[{"type":"text","text":"You are a coding agent.\nPrimary working directory: /srv/web"}],)"
      R"("tools":[{"name":"Bash","description":"Runs a command","input_schema":{"type":"object",)"
      R"("properties":{"command":{"type":"string"}},"required":["command"]}}],"messages":[)"
      R"({"role":"user","content":"Find out why the build fails."})";
  std::string result;
  while (result.size() < 1800) result += R"(src/parser.cc:118:42: error: expected ';' before \"return\"\n)";
  for (int turn = 0; body.size() + 2100 < wanted; ++turn) {
    const std::string id = "toolu_" + std::to_string(1000 + turn);
    body +=
        R"(,{"role":"assistant","content":[{"type":"text","text":"Let me look."},{"type":"tool_use","id":")" +
        id + R"(","name":"Bash","input":{"command":"make -j8 2>&1 | head -40"}}]})";
    body += R"(,{"role":"user","content":[{"type":"tool_result","tool_use_id":")" + id + R"(","content":")" +
            result + R"("}]})";
  }
  body += "]}";
  return body;
}

config::Loaded configuration(const std::string& rule_file) {
  config::Options options;
  options.working_directory = "/";
  options.dry_run = true;
  if (!rule_file.empty()) options.overrides["rules"] = rule_file;
  const Environment environment = {{"ANTHROPIC_API_KEY", "bench"}};
  return config::load(system_files(), environment, options);
}

void bench_body(const char* size, std::size_t wanted) {
  std::string body = agent_request(wanted);
  const std::string_view padded = json::padded(body);
  const dialect::Dialect& anthropic = dialect::anthropic();
  const std::string label(size);
  measure(label + ": outline (all facts)", body.size(), [&] {
    if (!anthropic.outline(padded).ok()) std::abort();
  });
  const auto outline = anthropic.outline(padded);
  measure(label + ": native body, model replaced", body.size(), [&] {
    const std::vector<rules::FieldEdit> edits;
    proxy::NativeRequest request;
    request.body = body;
    request.outline = &*outline;
    request.spoken = &anthropic;
    request.model = "claude-opus-5-5";
    request.edits = &edits;
    if (!proxy::native_body(request).ok()) std::abort();
  });
  measure(label + ": neutral request", body.size(), [&] {
    if (!anthropic.read_request(padded).ok()) std::abort();
  });
  const auto request = anthropic.read_request(padded);
  measure(label + ": written for openai_chat", body.size(), [&] {
    chat::LossNotes losses;
    if (!dialect::openai_chat().write_request(*request, dialect::Capabilities{}, losses).ok()) std::abort();
  });
}

void bench_rules() {
  const config::Loaded loaded = configuration({});
  std::vector<config::Diagnostic> diagnostics;
  auto engine = rules::Engine::load(*loaded.snapshot, system_files(), diagnostics);
  if (!engine) std::abort();
  std::string body = agent_request(3000);
  const auto outline = dialect::anthropic().outline(json::padded(body));
  rules::Identity who;
  who.agent = "main";
  rules::Facts facts;
  facts.outline = &*outline;
  facts.identity = &who;
  facts.dialect = "anthropic";
  facts.path = "/v1/messages";
  facts.tokens = tokens::count(*outline).tokens;
  measure("rules: built-in routing, one decision", 0, [&] { (void)engine->decide(facts); });
}

}  // namespace

int main() {
  bench_body("small", 1200);
  bench_body("149 KB", 149000);
  bench_rules();
}
