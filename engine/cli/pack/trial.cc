#include "cli/pack/trial.h"

#include <algorithm>

#include "config/load.h"
#include "core/assert.h"

namespace ccrules::cli {
namespace {

// A place that no disk has.
constexpr const char* kAlone = "/pack";
constexpr const char* kAloneConfig = R"({
  "providers": { "anthropic": {}, "openai": {}, "gemini": {}, "openrouter": {}, "ollama": {} },
  "routes": { "default": "anthropic,claude-sonnet-5-5" }
})";

class NoFiles final : public Files {
 public:
  [[nodiscard]] Result<std::string> read(const std::string& path) const override {
    return bad_request("cannot read " + path + ": only files of the pack can be read");
  }
  [[nodiscard]] bool exists(const std::string&) const override { return false; }
  [[nodiscard]] std::vector<std::string> list(const std::string&) const override { return {}; }
};

packs::LockedPack locked(const Candidate& candidate, const std::string& path) {
  packs::LockedPack pack;
  pack.name = candidate.manifest.name;
  pack.version = candidate.manifest.version.text();
  pack.path = path;
  pack.source = candidate.source;
  pack.identity = candidate.seal.identity;
  pack.key = candidate.seal.key;
  return pack;
}

/// A configuration in memory with the pack and what it depends on.
class Alone {
 public:
  Alone(const Candidate& candidate, const std::vector<const Candidate*>& others) : files_(nothing_) {
    packs::Lock lock;
    add(candidate, lock);
    for (const Candidate* other : others) {
      if (other != &candidate && lock.find(other->manifest.name) == nullptr) add(*other, lock);
    }
    files_.put(std::string(kAlone) + "/ccrules.json", kAloneConfig);
    files_.put(packs::lock_path(std::string(kAlone) + "/ccrules.json"), packs::to_json(lock));
    config::Options options;
    options.config_path = std::string(kAlone) + "/ccrules.json";
    options.working_directory = kAlone;
    options.dry_run = true;
    config_ = config::load(files_, {}, options).snapshot;
    CCR_ASSERT(config_ != nullptr);
  }

  [[nodiscard]] const config::Snapshot& config() const { return *config_; }
  [[nodiscard]] const Files& files() const { return files_; }
  [[nodiscard]] static std::string directory(const Candidate& candidate) {
    return std::string(kAlone) + "/" + candidate.manifest.name;
  }

 private:
  void add(const Candidate& candidate, packs::Lock& lock) {
    files_.put(directory(candidate), candidate.folder);
    packs::LockedPack pack = locked(candidate, candidate.manifest.name);
    pack.key.clear();  // whoever signed it: this is about what the rules do
    for (const std::string& need : candidate.manifest.needs) {
      if (packs::is_grantable(need)) pack.granted.push_back(need);
    }
    for (const auto& [alias, model] : candidate.manifest.models) pack.models[alias] = "sim,sim-" + alias;
    lock.packs.push_back(std::move(pack));
  }

  NoFiles nothing_;
  packs::OverlayFiles files_;
  std::shared_ptr<const config::Snapshot> config_;
};

std::vector<rules::RuleLine> load_and_list(const config::Snapshot& config, const Files& files,
                                           std::vector<config::Diagnostic>& diagnostics) {
  const auto is_error = [](const config::Diagnostic& one) { return !one.warning; };
  std::vector<rules::RuleSource> sources = rules::rule_sources(config, files, diagnostics);
  if (std::any_of(diagnostics.begin(), diagnostics.end(), is_error)) return {};
  const std::unique_ptr<rules::RuleSet> set = rules::load_rules(config, files, std::move(sources), diagnostics);
  return set == nullptr ? std::vector<rules::RuleLine>() : rules::list_rules(*set);
}

std::optional<Candidate> check(Fetched fetched, packs::Seal seal, const std::string& shown,
                               std::vector<config::Diagnostic>& diagnostics) {
  std::optional<packs::Manifest> manifest = packs::read_manifest(fetched.folder, shown + "/pack.json", diagnostics);
  if (!manifest) return std::nullopt;
  if (std::optional<config::Diagnostic> refused = packs::check_engine(*manifest, CCR_VERSION)) {
    diagnostics.push_back(*std::move(refused));
    return std::nullopt;
  }
  return Candidate{std::move(fetched.folder), *std::move(manifest), std::move(seal), std::move(fetched.source)};
}

}  // namespace

std::optional<Candidate> make_candidate(Fetched fetched, const std::string& shown, std::vector<config::Diagnostic>& diagnostics) {
  Result<packs::Seal> seal = packs::check_seal(fetched.folder);
  if (!seal.ok()) {
    config::Diagnostic diagnostic;
    diagnostic.where.file = shown;
    diagnostic.message = seal.error().message;
    diagnostics.push_back(std::move(diagnostic));
    return std::nullopt;
  }
  return check(std::move(fetched), *std::move(seal), shown, diagnostics);
}

std::optional<Candidate> make_draft(Fetched fetched, const std::string& shown, std::vector<config::Diagnostic>& diagnostics) {
  packs::Seal seal;
  seal.identity = packs::identity_of(fetched.folder);
  return check(std::move(fetched), std::move(seal), shown, diagnostics);
}

std::string home_of(const Candidate& candidate) {
  constexpr std::size_t kDigits = 8;
  std::string name = candidate.manifest.name;
  std::replace(name.begin(), name.end(), '/', '-');
  const std::string hash = candidate.seal.identity.substr(candidate.seal.identity.find(':') + 1, kDigits);
  return "packs/" + name + "-" + candidate.manifest.version.text() + "-" + hash;
}

rules::TestReport test_alone(const Candidate& candidate, const std::vector<const Candidate*>& others) {
  const Alone alone(candidate, others);
  std::vector<std::string> paths;
  for (const std::string& path : candidate.manifest.tests) paths.push_back(Alone::directory(candidate) + "/" + path);
  return rules::run_tests(paths, alone.config(), alone.files());
}

std::vector<rules::RuleLine> rules_alone(const Candidate& candidate, const std::vector<const Candidate*>& others,
                                         std::vector<config::Diagnostic>& diagnostics) {
  const Alone alone(candidate, others);
  std::vector<rules::RuleLine> rules = load_and_list(alone.config(), alone.files(), diagnostics);
  std::erase_if(rules, [&](const rules::RuleLine& rule) { return rule.pack != candidate.manifest.name; });
  return rules;
}

std::vector<rules::RuleLine> rules_with(const config::Snapshot& config, const packs::Lock& lock, const std::string& lock_path,
                                        const std::vector<Candidate>& candidates, const Io& io,
                                        std::vector<config::Diagnostic>& diagnostics) {
  packs::OverlayFiles files(io.files);
  files.put(lock_path, packs::to_json(lock));
  const std::string directory = lock_path.substr(0, lock_path.rfind('/') + 1);
  for (const Candidate& candidate : candidates) files.put(directory + home_of(candidate), candidate.folder);
  return load_and_list(config, files, diagnostics);
}

}  // namespace ccrules::cli
