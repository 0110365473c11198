#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/models.h"
#include "core/world.h"
#include "rules/rule.h"
#include "rules/script.h"
#include "rules/source.h"

namespace ccrules::rules {

/// Looks into loading, for tests of rules.
struct LoadHooks {
  std::string pack;  ///< whose rules it is about; empty: the user's own files
  /// Sees what their files declared, and may change it, before it is compiled. Called once for each source.
  std::function<void(std::vector<Declaration>&)> declared;
  /// Notes every line of them that runs, now and later; must outlive the rules.
  Vm::Lines* lines = nullptr;
  /// Told the outcome of every condition of all rules; must outlive the rules.
  ConditionLog* log = nullptr;
};

struct AliasPlace {
  const SourceFile* file = nullptr;
  Spot at;
  bool used = false;
  Layer layer = Layer::kUser;
  bool made = false;  ///< the file does not exist, see RuleSource::File
};

/// All rules of a configuration, in order of precedence, with everything they need.
struct RuleSet {
  RuleSet(const config::Snapshot& snapshot, const Files& files_read) : targets(snapshot), models(snapshot.models()), zones(files_read) {}
  Targets targets;
  std::vector<std::unique_ptr<Targets>> pack_targets;  ///< of packs whose aliases stand for something of their own
  config::ModelTable models;  ///< what is known of models
  Zones zones;
  std::vector<std::unique_ptr<SourceFile>> files;
  std::vector<std::unique_ptr<Script>> scripts;
  std::vector<Rule> on_request;
  std::vector<Rule> about_target;  ///< those of the request's rules that are about the target
  std::vector<Rule> on_error;
  std::vector<Rule> on_response;
  std::size_t rule_count = 0;
  std::map<std::string, AliasPlace> aliases;
  ConditionLog* log = nullptr;  ///< see LoadHooks
  std::shared_ptr<const RuleSetRef> ref;  ///< hash, packs, overrides
};

/// Where a configuration's rules come from: `rules` of the configuration (files, folders, packs), then the built-in pack.
std::vector<RuleSource> rule_sources(const config::Snapshot& snapshot, const Files& files,
                                     std::vector<config::Diagnostic>& diagnostics);

/// The lists of rules, in the order of their phases.
std::vector<const std::vector<Rule>*> rule_lists(const RuleSet& set);

/// Reads and compiles the sources, which are sorted by layer. Null when there is an error; all of them are in `diagnostics`,
/// in the order of the files and lines.
std::unique_ptr<RuleSet> load_rules(const config::Snapshot& snapshot, const Files& files, std::vector<RuleSource> sources,
                                    std::vector<config::Diagnostic>& diagnostics,
                                    const LoadHooks* hooks = nullptr);

}  // namespace ccrules::rules
