// Milliseconds to load rules without a pack, with one that is installed and signed, and with ten of them: reading, hashing,
// checking the signature, a Lua state of its own, compiling. Run: build/release/tests/bench_packs
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>
#include <string>

#include "packs/lock.h"
#include "packs/seal.h"
#include "rules/engine.h"

using namespace ccrules;

namespace {

// CPU time: other work on the machine shall not count.
double cpu_ms() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

class NoFiles final : public Files {
 public:
  [[nodiscard]] Result<std::string> read(const std::string& path) const override { return bad_request("no " + path); }
  [[nodiscard]] bool exists(const std::string&) const override { return false; }
  [[nodiscard]] std::vector<std::string> list(const std::string&) const override { return {}; }
};

// For this measurement alone.
constexpr const char* kKey =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAHJhcUMpJyXsOBkVvjzIBh4neTq9Sy6jvn9EdIhx8M0\n-----END PRIVATE KEY-----\n";

packs::Folder make_pack(const std::string& name) {
  std::string rules;
  std::string tests;
  for (int i = 0; i < 20; ++i) {
    const std::string n = std::to_string(i);
    rules += "rule \"r" + n + "\" {\n  when = { tokens = { gt = " + n + "000 }, agent = \"agent-" + n +
             "\", model = function(model) return model == \"m" + n + "\" end },\n  to = \"ollama,model-" + n + "\",\n}\n";
    tests += "case \"" + n + "\" { given = { tokens = " + n + " }, expect = { by = \"default\" } }\n";
  }
  packs::Folder folder = {{"pack.json", R"({ "name": ")" + name + R"(", "version": "1.0.0", "engine": "*", "kind": "lua",
    "summary": "twenty rules", "license": "MIT", "settings": { "a": { "default": 1 } } })"},
                          {"rules/rules.lua", rules},
                          {"tests/rules_test.lua", tests},
                          {"README.md", std::string(4000, 'x')}};
  if (!packs::sign(folder, kKey).ok()) std::printf("cannot sign\n");
  return folder;
}

void measure(const char* what, int packs_installed) {
  const NoFiles nothing;
  packs::OverlayFiles files(nothing);
  packs::Lock lock;
  for (int i = 0; i < packs_installed; ++i) {
    const std::string name = "pack-" + std::to_string(i);
    const packs::Folder folder = make_pack(name);
    files.put("/etc/ccrules/" + name, folder);
    packs::LockedPack pack;
    pack.name = name;
    pack.version = "1.0.0";
    pack.path = name;
    pack.source = "bench";
    pack.identity = packs::identity_of(folder);
    pack.key = packs::check_seal(folder)->key;
    lock.packs.push_back(pack);
  }
  files.put("/etc/ccrules/rules.lock", packs::to_json(lock));
  config::Snapshot snapshot;
  snapshot.file = "/etc/ccrules/ccrules.json";
  config::Provider provider;
  provider.id = "ollama";
  provider.dialect = "openai_chat";
  snapshot.providers.push_back(provider);
  double best = 1e9;
  for (int round = 0; round < 200; ++round) {
    std::vector<config::Diagnostic> found;
    const double begin = cpu_ms();
    const std::unique_ptr<rules::Engine> engine = rules::Engine::load(snapshot, files, found);
    best = std::min(best, cpu_ms() - begin);
    if (engine == nullptr) {
      std::printf("%s: %s\n", what, found.front().message.c_str());
      return;
    }
  }
  std::printf("%-24s %8.3f ms\n", what, best);
}

}  // namespace

int main() {
  measure("no pack", 0);
  measure("one signed Lua pack", 1);
  measure("ten signed Lua packs", 10);
}
