// Nanoseconds per decision: the built-in pack, 20 declarative rules, 20 Lua rules, and all of it with a trace.
// Build: ninja -C build/release bench_rules; run: build/release/tests/bench_rules [WORD], only what has WORD in its name; =NAME: only that
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "config/snapshot.h"
#include "core/world.h"
#include "rules/engine.h"
#include "rules/ruleset.h"

using namespace ccrules;
using namespace ccrules::rules;

namespace {

// CPU time: other work on the machine shall not count.
double cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

constexpr const char* kFile = "/rules/bench.lua";

class OneFile final : public Files {
 public:
  explicit OneFile(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] Result<std::string> read(const std::string& path) const override {
    return path == kFile ? Result<std::string>(text_) : bad_request("no " + path);
  }
  [[nodiscard]] bool exists(const std::string& path) const override { return path == kFile; }
  [[nodiscard]] std::vector<std::string> list(const std::string&) const override { return {}; }

 private:
  std::string text_;
};

config::Snapshot configuration() {
  config::Snapshot snapshot;
  for (const char* id : {"anthropic", "openai", "ollama"}) {
    config::Provider provider;
    provider.id = id;
    provider.dialect = "openai_chat";
    snapshot.providers.push_back(provider);
  }
  const auto route = [](const char* provider, const char* model) {
    config::Route row;
    row.provider = provider;
    row.model = model;
    return row;
  };
  snapshot.routes["default"] = route("anthropic", "claude-sonnet-5-5");
  snapshot.routes["longContext"] = route("openai", "gpt-6.1-sol");
  snapshot.routes["background"] = route("ollama", "qwen3-coder");
  snapshot.routes["think"] = route("anthropic", "claude-opus-5-5");
  snapshot.agents["rust-specialist"] = "ollama,qwen3-coder";
  snapshot.fallbacks = {{"claude-opus-*", {"openai,gpt-6.1-sol"}}, {"claude-*", {"openai,gpt-5.4-mini"}}};
  return snapshot;
}

std::string_view wanted;

bool is_wanted(std::string_view name) {
  return wanted.starts_with('=') ? name == wanted.substr(1) : name.find(wanted) != std::string_view::npos;
}

struct Case {
  bool traced = false;
  bool alone = false;       ///< without the built-in pack
  std::size_t models = 1;   ///< that requests ask for, one after the other
};

std::unique_ptr<Engine> load(const std::string& lua, bool alone) {
  config::Snapshot snapshot = configuration();
  if (!lua.empty()) snapshot.rules = {kFile};
  const OneFile files(lua);
  std::vector<config::Diagnostic> diagnostics;
  std::vector<RuleSource> sources = rule_sources(snapshot, files, diagnostics);
  if (alone) std::erase_if(sources, [](const RuleSource& source) { return !source.pack.empty(); });
  std::unique_ptr<Engine> engine = Engine::load(snapshot, files, std::move(sources), diagnostics);
  for (const config::Diagnostic& diagnostic : diagnostics) std::printf("%s\n", diagnostic.message.c_str());
  return engine;
}

void measure(const char* name, const std::string& lua, const Case& what = {}) {
  if (!is_wanted(name)) return;
  const std::unique_ptr<Engine> engine = load(lua, what.alone);
  if (engine == nullptr) return;
  std::vector<std::string> models = {"claude-sonnet-5-5"};
  while (models.size() < what.models) models.push_back("claude-sonnet-" + std::to_string(models.size()));
  chat::Outline outline;
  outline.model = models.front();
  Identity identity;
  identity.agent = "main";
  identity.session = "session-1";
  Facts facts;
  facts.outline = &outline;
  facts.identity = &identity;
  facts.tokens = 1200;
  constexpr int kRounds = 20000;
  std::size_t targets = 0;
  double best = 1e18;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const double begin = cpu_ns();
    std::size_t next = 0;
    for (int i = 0; i < kRounds; ++i) {
      if (models.size() > 1) {
        outline.model = models[next];
        next = next + 1 == models.size() ? 0 : next + 1;
      }
      std::optional<Trace> trace;
      if (what.traced) trace.emplace();
      targets += engine->decide(facts, trace ? &*trace : nullptr).targets.size();
    }
    best = std::min(best, (cpu_ns() - begin) / kRounds);
  }
  std::printf("%-28s %8.0f ns  (%zu rules, %zu targets)\n", name, best, engine->rule_count(), targets / kRounds / 5);
}

/// Rules that differ: `#` in them stands for their number.
std::string repeated(int count, const std::string& rule) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    out += "rule \"r" + number + "\" ";
    for (const char c : rule) out += c == '#' ? number : std::string(1, c);
    out += "\n";
  }
  return out;
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1) wanted = arguments[1];
  constexpr int kRules = 20;
  constexpr const char* kDeclarative = "{ when = { model = \"*haiku-#*\", tokens = { gt = 100 } }, to = \"ollama,x\" }";
  const std::string declarative = repeated(kRules, kDeclarative);
  const std::string lua = repeated(kRules, "{ when = function(req) return req.tokens > 6000# end, to = \"ollama,x\" }");
  const std::string matching = repeated(kRules, "{ when = { tokens = { gt = 10# } }, tag = { a = \"b\" } }");
  const std::string last = "rule \"last\" { to = \"openai,gpt-6.1-sol\" }\n";
  measure("built-in pack", "");
  measure("built-in pack, trace", "", {.traced = true});
  measure("20 declarative rules", declarative);
  measure("the same, 1000 models", declarative, {.models = 1000});
  measure("the same, without built-in", repeated(kRules - 1, kDeclarative) + last, {.alone = true});
  measure("20 declarative that match", matching);
  measure("20 Lua rules", lua);
  measure("20 Lua rules, trace", lua, {.traced = true});
}
