#include <catch2/catch.hpp>

#include "packs/lock.h"
#include "packs/seal.h"
#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using namespace ccrules::rules::test;
using Catch::Contains;

namespace {

constexpr const char* kHome = "/etc/ccrules/";

packs::Folder pack(const std::string& name, const std::string& rules, const std::string& more = {}) {
  return {{"pack.json", "{ \"name\": \"" + name + "\", \"version\": \"1.0.0\", \"engine\": \"*\", \"kind\": \"lua\", \"summary\": \"s\", "
                        "\"license\": \"MIT\"" + more + " }"},
          {"rules/a.lua", rules}};
}

/// A configuration with packs installed and named.
struct Machine {
  MemoryFiles files;
  packs::Lock lock;
  config::Snapshot config = snapshot();
  std::vector<config::Diagnostic> found;

  Machine() { config.rules.clear(); }
  packs::LockedPack& install(const std::string& name, const packs::Folder& folder) {
    put("packs/" + name, folder);
    lock.packs.push_back({name, "1.0.0", "packs/" + name, "./" + name, packs::identity_of(folder), {}, {}, {}, {}, {}});
    return lock.packs.back();
  }
  void put(const std::string& directory, const packs::Folder& folder) {
    for (const auto& [path, text] : folder) files.files[kHome + directory + "/" + path] = text;
  }
  std::unique_ptr<Engine> load() {
    files.files[std::string(kHome) + "rules.lock"] = packs::to_json(lock);
    found.clear();
    return Engine::load(config, files, found);
  }
  std::string first() { return found.empty() ? std::string() : found.front().message; }
};

std::string decided(Engine& engine) {
  const Sample sample;
  return targets(engine.decide(sample.facts));
}

}  // namespace

TEST_CASE("packs decide in the order of the lock, below the user's own files") {
  Machine machine;
  machine.install("first", pack("first", R"(rule "a" { to = "ollama,first" })"));
  machine.install("second", pack("second", R"(rule "a" { to = "ollama,second" })"));
  CHECK(decided(*machine.load()) == "ollama,first");
  std::swap(machine.lock.packs[0], machine.lock.packs[1]);
  CHECK(decided(*machine.load()) == "ollama,second");
  machine.config.rules = {"/etc/ccrules/rules/my.lua"};
  machine.files.files["/etc/ccrules/rules/my.lua"] = R"(rule "mine" { to = "openai,gpt-6" })";
  CHECK(decided(*machine.load()) == "openai,gpt-6");
}

TEST_CASE("a folder in `rules` with a pack.json is a pack, with nothing granted") {
  Machine machine;
  machine.config.rules = {"/etc/ccrules/mine"};
  machine.put("mine", pack("me/mine", R"(rule "a" { when = function(req) return granted.text == false end, to = "ollama,mine" })"));
  CHECK(decided(*machine.load()) == "ollama,mine");
  machine.put("mine", pack("me/mine", R"(rule "a" { when = { ["text.system"] = "x" }, to = "ollama,mine" })", R"(, "needs": ["text"])"));
  CHECK(machine.load() == nullptr);
}

TEST_CASE("grants are those of the lock, and only for what the manifest asks") {
  Machine machine;
  const packs::Folder reader = pack("reader", R"(rule "a" { when = { ["text.system"] = none { "x" } }, to = "ollama,read" })", R"(, "needs": ["text"])");
  machine.install("reader", reader).granted = {"text"};
  CHECK(machine.load() != nullptr);
  machine.lock.packs.front().granted = {"headers"};
  CHECK(machine.load() == nullptr);
}

TEST_CASE("packs that call different things by one name each get their own") {
  Machine machine;
  const std::string cheap = R"(, "models": { "cheap": { "about": "a small one", "suggests": ["openrouter,suggested"] } })";
  const std::string rule = R"(rule "a" { when = { model = "MODEL" }, to = "cheap" })";
  const auto rule_for = [&rule](const char* model) { return std::string(rule).replace(rule.find("MODEL"), 5, model); };
  machine.install("first", pack("first", rule_for("one"), cheap)).models["cheap"] = "ollama,first";
  machine.install("second", pack("second", rule_for("two"), cheap)).models["cheap"] = "ollama,second";
  machine.install("third", pack("third", rule_for("three"), cheap));
  const auto decided_for = [&machine](const char* model) {
    Sample sample;
    sample.outline.model = model;
    return targets(machine.load()->decide(sample.facts));
  };
  CHECK(decided_for("one") == "ollama,first");
  CHECK(decided_for("two") == "ollama,second");
  CHECK(decided_for("three") == "openrouter,suggested");

  // An alias of the user's own comes before a suggestion, not before what was chosen for the pack.
  machine.config.rules = {"/etc/ccrules/rules/my.lua"};
  machine.files.files["/etc/ccrules/rules/my.lua"] = R"(alias { cheap = "ollama,own" })";
  CHECK(decided_for("one") == "ollama,first");
  CHECK(decided_for("three") == "ollama,own");
}

TEST_CASE("an alias that stands for nothing is said once, at the pack's entry in the lock") {
  Machine machine;
  machine.install("first", pack("first", R"(rule "a" { to = "cheap" })", R"(, "models": { "cheap": "a small one" })"))
      .models["cheap"] = "nobody,x";
  CHECK(machine.load() == nullptr);
  REQUIRE(machine.found.size() == 1);
  CHECK(machine.found.front().where.file == "/etc/ccrules/rules.lock");
  CHECK(machine.found.front().where.line > 0);
  CHECK(machine.first() == "pack first: its alias 'cheap' stands for 'nobody,x', but there is no provider 'nobody'");
}

TEST_CASE("aliases are what the installer mapped, else the first suggestion that can be served") {
  Machine machine;
  const packs::Folder cheap = pack("p", R"(rule "a" { to = "cheap" })",
                                   R"(, "models": { "cheap": { "about": "x", "suggests": ["nobody,x", "off,off-1", "openrouter,some/one"] } })");
  machine.install("p", cheap);
  CHECK(decided(*machine.load()) == "openrouter,some/one");
  machine.lock.packs.front().models["cheap"] = "ollama,qwen";
  CHECK(decided(*machine.load()) == "ollama,qwen");
}

TEST_CASE("settings of the lock reach the pack's rules alone") {
  Machine machine;
  machine.install("p", pack("p", R"(rule "a" { to = settings.target })", R"(, "settings": { "target": { "default": "ollama,default" } })"));
  CHECK(decided(*machine.load()) == "ollama,default");
  machine.lock.packs.front().settings["target"] = "ollama,chosen";
  CHECK(decided(*machine.load()) == "ollama,chosen");
  machine.lock.packs.front().settings["targt"] = "x";
  CHECK(machine.load() == nullptr);
  CHECK_THAT(machine.first(), Contains("p has no setting 'targt'; did you mean 'target'?"));
}

TEST_CASE("a pack that is not what the lock says is an error at the lock's line") {
  Machine machine;
  machine.install("p", pack("p", R"(rule "a" { to = "ollama,p" })"));
  machine.files.files["/etc/ccrules/packs/p/rules/a.lua"] += "-- more\n";
  CHECK(machine.load() == nullptr);
  CHECK(machine.first() == "pack p is not the one that was installed");
  CHECK(machine.found.front().where.file == "/etc/ccrules/rules.lock");
  CHECK(machine.found.front().where.line == 4);

  Machine keyed;
  keyed.install("p", pack("p", R"(rule "a" { to = "ollama,p" })")).key = "ed25519:" + std::string(64, 'a');
  CHECK(keyed.load() == nullptr);
  CHECK(keyed.first() == "pack p is locked to the key ed25519:aaaaaaaaaaaaaaaa, but is not signed any more");
}

TEST_CASE("what a pack depends on must be there") {
  Machine machine;
  machine.install("top", pack("top", R"(rule "a" { to = "ollama,p" })", R"(, "depends": { "base": "^2" })"));
  CHECK(machine.load() == nullptr);
  CHECK(machine.first() == "top depends on base ^2, which is not installed");
  machine.install("base", pack("base", R"(rule "a" { tag = { b = 1 } })"));
  CHECK(machine.load() == nullptr);
  CHECK(machine.first() == "top depends on base ^2, but version 1.0.0 is there");
}
