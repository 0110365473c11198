#include "config/load.h"

#include <catch2/catch.hpp>

#include "support/memory_files.h"

using namespace ccrules;

namespace {

config::Loaded load(const std::string& text, Environment environment = {},
                    std::map<std::string, std::string> overrides = {}) {
  const test::MemoryFiles files({{"/etc/ccrules/ccrules.json", text}});
  config::Options options;
  options.working_directory = "/work";
  options.overrides = std::move(overrides);
  return config::load(files, environment, options);
}

config::Loaded load_nothing(const Environment& environment) {
  config::Options options;
  options.working_directory = "/work";
  return config::load(test::MemoryFiles(), environment, options);
}

std::string all(const config::Loaded& loaded) {
  std::string out;
  for (const config::Diagnostic& diagnostic : loaded.diagnostics) out += config::render(diagnostic);
  return out;
}

}  // namespace

TEST_CASE("without a file and without keys, the simulator answers every model") {
  const config::Loaded loaded = load_nothing({{"HOME", "/user"}});
  REQUIRE(loaded.snapshot);
  CHECK(all(loaded).empty());
  REQUIRE(loaded.snapshot->providers.size() == 1);
  CHECK(loaded.snapshot->providers[0].id == "sim");
  CHECK(loaded.snapshot->providers[0].models == std::vector<std::string>{"*"});
  CHECK(loaded.snapshot->ledger.path == "/user/.local/state/ccrules/ledger.db");
  CHECK(loaded.snapshot->listen.port == 3456);
}

TEST_CASE("without a file, every provider with a key in the environment is there, and sim last") {
  const config::Loaded loaded =
      load_nothing({{"GROQ_API_KEY", "g"}, {"ANTHROPIC_API_KEY", "a"}, {"OPENAI_API_KEY", ""}});
  REQUIRE(loaded.snapshot);
  const auto& providers = loaded.snapshot->providers;
  REQUIRE(providers.size() == 3);
  CHECK(providers[0].id == "anthropic");
  CHECK(providers[0].base_url == "https://api.anthropic.com");
  CHECK(providers[0].api_key == "a");
  CHECK(providers[1].id == "groq");
  CHECK(providers[1].dialect == "openai_chat");
  CHECK(providers[2].models == std::vector<std::string>{"sim-*"});
  CHECK(loaded.snapshot->tiers.empty());
}

TEST_CASE("without a provider of Claude models, the first one's big and small models stand in") {
  const config::Loaded loaded = load_nothing({{"DEEPSEEK_API_KEY", "d"}});
  REQUIRE(loaded.snapshot);
  CHECK(loaded.snapshot->tiers.at("big") == "deepseek,deepseek-v4-pro");
  CHECK(loaded.snapshot->tiers.at("small") == "deepseek,deepseek-flash");
}

TEST_CASE("a file with comments and trailing commas is read") {
  const config::Loaded loaded = load(R"({
    // where we listen
    "listen": { "port": 4000, },
    "providers": { "local": { "dialect": "openai_chat", "base_url": "http://localhost:8000/v1/", "timeouts": { "first_byte": "120s" } } },
    "routes": { "default": "local,qwen3-coder", "gpt-4.1": { "provider": "local", "model": "x", "parameters": { "max_tokens": 64000 } } },
    "timeouts": { "idle": "1m" }, /* all of them */
    "limits": { "body": "1MB" },
  })");
  INFO(all(loaded));
  REQUIRE(loaded.snapshot);
  CHECK(loaded.diagnostics.empty());
  const config::Snapshot& s = *loaded.snapshot;
  CHECK(s.file == "/etc/ccrules/ccrules.json");
  CHECK(s.listen.port == 4000);
  CHECK(s.providers[0].base_url == "http://localhost:8000/v1");
  CHECK(s.providers[0].timeouts.first_byte.count() == 120000);
  CHECK(s.providers[0].timeouts.idle.count() == 60000);
  CHECK(s.routes.at("default").model == "qwen3-coder");
  CHECK(s.routes.at("gpt-4.1").parameters_json.at("max_tokens") == "64000");
  CHECK(s.limits.body == 1048576);
}

TEST_CASE("all errors come at once, each at its own place") {
  const config::Loaded loaded = load(R"({
  "listn": {},
  "listen": { "port": "http" },
  "routes": { "default": "nobody,x", "think": "sim," }
})");
  CHECK_FALSE(loaded.snapshot);
  CHECK(all(loaded) ==
        "/etc/ccrules/ccrules.json:2:3: error: unknown setting 'listn'\n"
        "  2 |   \"listn\": {},\n"
        "    |   ^\n"
        "  hint: did you mean 'listen'?\n"
        "/etc/ccrules/ccrules.json:3:23: error: listen.port must be a whole number from 0 to 65535\n"
        "  3 |   \"listen\": { \"port\": \"http\" },\n"
        "    |                       ^\n"
        "/etc/ccrules/ccrules.json:4:26: error: routes.default names the provider 'nobody', which is not "
        "configured\n"
        "  4 |   \"routes\": { \"default\": \"nobody,x\", \"think\": \"sim,\" }\n"
        "    |                          ^\n"
        "  hint: configured: sim\n"
        "/etc/ccrules/ccrules.json:4:47: error: routes.think: the model after the comma is missing in "
        "\"sim,\"\n"
        "  4 |   \"routes\": { \"default\": \"nobody,x\", \"think\": \"sim,\" }\n"
        "    |                                               ^\n");
}

TEST_CASE("a flag wins over the environment, and that over the file") {
  const std::string text = R"({ "listen": { "port": 1000 }, "log": { "level": "debug" } })";
  CHECK(load(text).snapshot->listen.port == 1000);
  CHECK(load(text, {{"CCRULES_PORT", "2000"}}).snapshot->listen.port == 2000);
  CHECK(load(text, {{"CCRULES_PORT", "2000"}}, {{"listen.port", "3000"}}).snapshot->listen.port == 3000);
  CHECK(load(text, {{"CCRULES_LOG_LEVEL", "error"}}).snapshot->log.level == log::Level::kError);
}
