#include "support.h"

#include <catch2/catch.hpp>

#include "rules/dry_run.h"
#include "rules/targets.h"

namespace ccrules::rules::test {

Result<std::string> MemoryFiles::read(const std::string& path) const {
  ++reads;
  const auto found = files.find(path);
  if (found == files.end()) return bad_request("cannot read " + path);
  return found->second;
}

bool MemoryFiles::exists(const std::string& path) const { return files.count(path) != 0; }

std::vector<std::string> MemoryFiles::list(const std::string& directory) const {
  std::vector<std::string> names;
  const std::string prefix = directory + "/";
  for (const auto& [path, text] : files) {
    if (!path.starts_with(prefix)) continue;
    std::string name = path.substr(prefix.size());
    name = name.substr(0, name.find('/'));
    if (names.empty() || names.back() != name) names.push_back(name);
  }
  return names;
}

config::Snapshot snapshot() {
  config::Snapshot snapshot;
  snapshot.file = "/etc/ccrules/ccrules.json";
  const auto add = [&snapshot](const char* id, const char* dialect, std::vector<std::string> models, bool enabled) {
    config::Provider provider;
    provider.id = id;
    provider.dialect = dialect;
    provider.models = std::move(models);
    provider.enabled = enabled;
    snapshot.providers.push_back(provider);
  };
  add("anthropic", "anthropic", {"claude-*"}, true);
  add("openai", "openai_chat", {"gpt-*", "o*"}, true);
  add("ollama", "openai_chat", {}, true);
  add("openrouter", "openai_chat", {}, true);
  add("off", "openai_chat", {"off-*", "switched-*"}, false);
  add("sim", "sim", {}, true);
  snapshot.rules = {"/etc/ccrules/rules/my.lua"};
  return snapshot;
}

config::Route route(std::string_view target) {
  config::Route route;
  const Target parsed = split_target(target).value();
  route.provider = parsed.provider;
  route.model = parsed.model;
  return route;
}

namespace {
std::string block(const std::vector<config::Diagnostic>& diagnostics) {
  std::string out;
  for (const config::Diagnostic& diagnostic : diagnostics) {
    out += diagnostic.where.file + ":" + std::to_string(diagnostic.where.line) + ":" +
           std::to_string(diagnostic.where.column) + ": " + diagnostic.message + " | " + diagnostic.hint + "\n";
  }
  return out;
}
}  // namespace

namespace {

std::unique_ptr<Engine> load(const std::string& path, std::string_view text, config::Snapshot configuration,
                             std::vector<config::Diagnostic>& diagnostics) {
  MemoryFiles files;
  files.files[path] = text;
  if (!configuration.rules.empty()) configuration.rules.front() = path;
  return Engine::load(configuration, files, diagnostics);
}

std::vector<std::string> lines(const std::vector<config::Diagnostic>& diagnostics) {
  std::vector<std::string> out;
  for (const config::Diagnostic& diagnostic : diagnostics) {
    out.push_back(std::to_string(diagnostic.where.line) + ":" + std::to_string(diagnostic.where.column) + " " +
                  diagnostic.message + (diagnostic.hint.empty() ? "" : " | " + diagnostic.hint));
  }
  return out;
}

constexpr const char* kLua = "/etc/ccrules/rules/my.lua";
constexpr const char* kJson = "/etc/ccrules/rules/my.json";

}  // namespace

std::unique_ptr<Engine> engine(std::string_view lua, const config::Snapshot& configuration) {
  std::vector<config::Diagnostic> diagnostics;
  std::unique_ptr<Engine> engine = load(kLua, lua, configuration, diagnostics);
  INFO(block(diagnostics));
  REQUIRE(engine != nullptr);
  return engine;
}

std::vector<std::string> errors(std::string_view lua, const config::Snapshot& configuration) {
  std::vector<config::Diagnostic> diagnostics;
  CHECK(load(kLua, lua, configuration, diagnostics) == nullptr);
  return lines(diagnostics);
}

std::string findings(const std::string& lua) {
  MemoryFiles files;
  files.files[kLua] = lua;
  std::string out;
  for (const std::string& line : lines(check(snapshot(), files))) out += line + "\n";
  return out;
}

std::unique_ptr<Engine> json_engine(std::string_view json) {
  std::vector<config::Diagnostic> diagnostics;
  std::unique_ptr<Engine> engine = load(kJson, json, snapshot(), diagnostics);
  INFO(block(diagnostics));
  REQUIRE(engine != nullptr);
  return engine;
}

std::vector<std::string> json_errors(std::string_view json) {
  std::vector<config::Diagnostic> diagnostics;
  CHECK(load(kJson, json, snapshot(), diagnostics) == nullptr);
  return lines(diagnostics);
}

RuleSource source(Layer layer, std::string pack, std::string path, std::string text) {
  RuleSource source;
  source.layer = layer;
  source.pack = std::move(pack);
  source.version = source.pack.empty() ? "" : "1.0.0";
  source.files.push_back({std::move(path), std::make_shared<const std::string>(std::move(text))});
  return source;
}

std::unique_ptr<Engine> engine_of(std::vector<RuleSource> sources, const config::Snapshot& configuration) {
  const MemoryFiles files;
  std::vector<config::Diagnostic> diagnostics;
  std::unique_ptr<Engine> engine = Engine::load(configuration, files, std::move(sources), diagnostics);
  INFO(block(diagnostics));
  REQUIRE(engine != nullptr);
  return engine;
}

std::vector<std::string> errors_of(std::vector<RuleSource> sources, const config::Snapshot& configuration) {
  const MemoryFiles files;
  std::vector<config::Diagnostic> diagnostics;
  CHECK(Engine::load(configuration, files, std::move(sources), diagnostics) == nullptr);
  return lines(diagnostics);
}

Sample::Sample(std::string model) {
  outline.model = std::move(model);
  identity.agent = "main";
  facts.outline = &outline;
  facts.identity = &identity;
  facts.dialect = "anthropic";
  facts.path = "/v1/messages";
  facts.tokens = 1200;
  facts.header = [this](std::string_view name) -> std::string_view {
    const auto found = headers.find(std::string(name));
    return found == headers.end() ? std::string_view() : std::string_view(found->second);
  };
}

std::string targets(const Decision& decision) {
  std::string out;
  for (const Target& target : decision.targets) {
    if (!out.empty()) out += "; ";
    out += target.provider + "," + target.model;
  }
  return out;
}

}  // namespace ccrules::rules::test
