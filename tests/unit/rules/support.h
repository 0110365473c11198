#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/snapshot.h"
#include "core/world.h"
#include "rules/engine.h"

namespace ccrules::rules::test {

/// Files in memory.
class MemoryFiles final : public Files {
 public:
  std::map<std::string, std::string> files;
  mutable int reads = 0;

  [[nodiscard]] Result<std::string> read(const std::string& path) const override;
  [[nodiscard]] bool exists(const std::string& path) const override;
  [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override;
};

/// Providers anthropic (claude-*), openai (gpt-*, o*), ollama and openrouter (any model), off (disabled), sim.
config::Snapshot snapshot();
config::Route route(std::string_view target);

/// The engine with one user file, rules/my.lua; loading must succeed.
std::unique_ptr<Engine> engine(std::string_view lua, const config::Snapshot& configuration = snapshot());
/// The diagnostics of a file that must not load, as "line:col message | hint".
std::vector<std::string> errors(std::string_view lua, const config::Snapshot& configuration = snapshot());

/// What check() says of a file that loads, each on a line of its own, written likewise.
std::string findings(const std::string& lua);

/// The same with one user file in JSON, rules/my.json.
std::unique_ptr<Engine> json_engine(std::string_view json);
std::vector<std::string> json_errors(std::string_view json);
/// The engine with sources that hold their text; loading must succeed, or the diagnostics come as errors() gives them.
std::unique_ptr<Engine> engine_of(std::vector<RuleSource> sources, const config::Snapshot& configuration = snapshot());
std::vector<std::string> errors_of(std::vector<RuleSource> sources, const config::Snapshot& configuration = snapshot());
/// A source of one file in memory.
RuleSource source(Layer layer, std::string pack, std::string path, std::string text);

/// A request with its facts; change what a test is about.
struct Sample {
  chat::Outline outline;
  Identity identity;
  Facts facts;
  std::map<std::string, std::string> headers;

  explicit Sample(std::string model = "claude-sonnet-5-5");
  Sample(const Sample&) = delete;
  Sample& operator=(const Sample&) = delete;
};

/// "openai,gpt-6; ollama,x" in order.
std::string targets(const Decision& decision);

}  // namespace ccrules::rules::test
