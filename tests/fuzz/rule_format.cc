// Formatting any rule file: what is Lua (or JSON) stays what it means, twice is the same as once, and anything else is refused.
// Rules that load decide alike before and after.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "chat/outline.h"
#include "config/snapshot.h"
#include "core/assert.h"
#include "core/world.h"
#include "rules/engine.h"
#include "rules/format.h"
#include "rules/lua_inspect.h"

using namespace ccrules;
using namespace ccrules::rules;

namespace {

class NoFiles final : public Files {
 public:
  [[nodiscard]] Result<std::string> read(const std::string& path) const override { return bad_request("cannot read " + path); }
  [[nodiscard]] bool exists(const std::string&) const override { return false; }
  [[nodiscard]] std::vector<std::string> list(const std::string&) const override { return {}; }
};

/// What the rules of one file make of a request; nothing when they do not load or one of them fails, which may be for want of time.
std::optional<std::string> decided(const std::string& path, std::string_view text) {
  static const config::Snapshot snapshot = [] {
    config::Snapshot made;
    config::Provider sim;
    sim.id = "sim";
    sim.dialect = "sim";
    made.providers.push_back(sim);
    return made;
  }();
  const NoFiles files;
  std::vector<RuleSource> sources(1);
  sources[0].files.push_back({path, std::make_shared<const std::string>(text)});
  std::vector<config::Diagnostic> diagnostics;
  const std::unique_ptr<Engine> engine = Engine::load(snapshot, files, std::move(sources), diagnostics);
  if (engine == nullptr) return std::nullopt;
  chat::Outline outline;
  outline.model = "claude-sonnet-5-5";
  const Identity identity;
  Facts facts;
  facts.outline = &outline;
  facts.identity = &identity;
  facts.tokens = 60001;
  const Decision decision = engine->decide(facts);
  if (!decision.failed_rules.empty()) return std::nullopt;
  return trace_json(decision, Trace(), "");
}

void check(std::string_view source, bool lua) {
  const Result<std::string> once = lua ? format_lua(source) : format_json(source);
  if (!once.ok()) {
    CCR_ASSERT(once.error().code != ErrorCode::kInternal);
    return;
  }
  const Result<std::string> twice = lua ? format_lua(*once) : format_json(*once);
  CCR_ASSERT(twice.ok() && *twice == *once);
  if (lua) CCR_ASSERT(same_lua(source, *once));
  const std::string path = lua ? "rules.lua" : "rules.json";
  const std::optional<std::string> before = decided(path, source);
  const std::optional<std::string> after = before ? decided(path, *once) : std::nullopt;
  CCR_ASSERT(!after || *before == *after);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  check(text, bytes[0] % 2 == 0);
  return 0;
}
