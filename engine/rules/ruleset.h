#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/models.h"
#include "core/world.h"
#include "rules/compile_when.h"
#include "rules/conditions.h"
#include "rules/effects.h"
#include "rules/script.h"
#include "rules/source.h"

namespace ccrules::rules {

/// Text with facts in braces: "token count ({tokens}) exceeds threshold".
struct Template {
  struct Part {
    std::string text;
    bool is_fact = false;
    api::Fact fact = api::Fact::kModel;
  };
  std::vector<Part> parts;
  [[nodiscard]] std::string render(Reader& reader) const;
};

/// One compiled rule.
struct Rule {
  std::string name;
  std::string pack;   ///< "default" for the built-in one, empty for the user's own files
  Layer layer = Layer::kUser;
  std::string where;  ///< "rules/my.lua:12"
  const SourceFile* file = nullptr;
  Spot at;
  Spot to_at;
  RuleContext context;
  std::size_t number = 0;     ///< index into what the engine keeps per rule
  bool about_target = false;  ///< reads target_provider or provider_class: judged once the targets are known, may deny and tag
  bool uses_lua = false;      ///< its condition or an effect is a function
  Condition when;
  Template reason;    ///< empty: the rule's name speaks
  std::optional<std::string> reason_text;  ///< of a chosen target, when no fact is part of it
  TargetEffect to;
  TargetEffect fallback;
  DenyEffect deny;
  SetEffect set;
  HeaderEffect headers;
  TagEffect tag;
  CacheEffect cache;
  BudgetEffect budget;
  StrictEffect strict;
  RetryEffect retry;
  std::optional<bool> next_fallback;
  int next_fallback_function = 0;
  Script* script = nullptr;

  [[nodiscard]] bool has_effect() const;
  [[nodiscard]] bool may_deny() const { return deny.kind != DenyEffect::Kind::kNone; }
  /// Nothing but the two slots that targets go to.
  [[nodiscard]] bool only_targets() const;
};

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
