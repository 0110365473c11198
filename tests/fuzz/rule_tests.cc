// Any bytes as a test file, Lua or JSONL: it is refused with places, or every test in it runs to an end.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "config/snapshot.h"
#include "core/assert.h"
#include "core/world.h"
#include "rules/engine.h"
#include "rules/test_file.h"
#include "rules/test_run.h"

using namespace ccrules;
using namespace ccrules::rules;

namespace {

/// A rule file, and a sample under every other name that ends in .json; no packs.
class FewFiles final : public Files {
 public:
  [[nodiscard]] Result<std::string> read(const std::string& path) const override {
    if (!exists(path)) return bad_request("there is no " + path);
    if (path == "/rules.lua") {
      return std::string("rule 'long' { when = { tokens = { gt = 5 } }, to = 'sim,long' }\nrule 'rest' { to = 'sim,x' }\n"
                         "rule 'busy' { on = 'error', when = { status = 529 }, retry = true }");
    }
    return std::string(R"({"model":"x","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]})");
  }
  [[nodiscard]] bool exists(const std::string& path) const override {
    return path == "/rules.lua" || (path.ends_with(".json") && !path.ends_with("pack.json"));
  }
  [[nodiscard]] std::vector<std::string> list(const std::string&) const override { return {}; }
};

struct World {
  config::Snapshot snapshot;
  FewFiles files;
  std::unique_ptr<Engine> engine;
  World() {
    config::Provider provider;
    provider.id = "sim";
    provider.dialect = "sim";
    snapshot.providers.push_back(provider);
    snapshot.rules = {"/rules.lua"};
    std::vector<config::Diagnostic> diagnostics;
    engine = Engine::load(snapshot, files, diagnostics);
    CCR_ASSERT(engine != nullptr);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  const bool lines = size > 0 && data[0] == '{';
  const auto file = std::make_shared<const SourceFile>(SourceFile{
      lines ? "/a.jsonl" : "/a_test.lua", "a", std::string(reinterpret_cast<const char*>(data), size)});
  std::vector<TestCase> tests;
  std::vector<config::Diagnostic> diagnostics;
  const bool read = read_tests(file, world.files, tests, diagnostics);
  CCR_ASSERT(read == diagnostics.empty());
  CCR_ASSERT(read || tests.empty());
  for (const config::Diagnostic& diagnostic : diagnostics) CCR_ASSERT(!diagnostic.message.empty());
  RunOptions options;
  options.files = &world.files;
  options.upstream = [](const Sample& sample, const Decision&) -> Result<std::string> { return sample.body; };
  TestRunner runner(*world.engine, world.snapshot, options);
  for (const TestCase& test : tests) {
    if (test.over.values.size() > 100) continue;  // long is not wrong
    const CaseResult result = runner.run(test);
    CCR_ASSERT(result.passed == result.expected.empty());
  }
  return 0;
}
