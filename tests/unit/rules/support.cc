#include "support.h"

#include <catch2/catch.hpp>

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

std::unique_ptr<Engine> engine(std::string_view lua, const config::Snapshot& configuration) {
  MemoryFiles files;
  files.files["/etc/ccrules/rules/my.lua"] = lua;
  std::vector<config::Diagnostic> diagnostics;
  std::unique_ptr<Engine> engine = Engine::load(configuration, files, diagnostics);
  INFO(block(diagnostics));
  REQUIRE(engine != nullptr);
  return engine;
}

std::vector<std::string> errors(std::string_view lua, const config::Snapshot& configuration) {
  MemoryFiles files;
  files.files["/etc/ccrules/rules/my.lua"] = lua;
  std::vector<config::Diagnostic> diagnostics;
  const std::unique_ptr<Engine> engine = Engine::load(configuration, files, diagnostics);
  CHECK(engine == nullptr);
  std::vector<std::string> out;
  for (const config::Diagnostic& diagnostic : diagnostics) {
    out.push_back(std::to_string(diagnostic.where.line) + ":" + std::to_string(diagnostic.where.column) + " " +
                  diagnostic.message + (diagnostic.hint.empty() ? "" : " | " + diagnostic.hint));
  }
  return out;
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
