#pragma once
#include <string>
#include <utility>
#include <vector>

#include "config/load.h"
#include "rules/decision.h"
#include "rules/rule.h"
#include "rules/script.h"
#include "rules/source.h"

namespace ccrules::rules {

/// `override "name" { off = true }`: what the user's and the enforced files say about rules of others. Read all of them before the first
/// rule is asked about.
class Overrides {
 public:
  explicit Overrides(std::vector<config::Diagnostic>& diagnostics) : diagnostics_(diagnostics) {}
  /// Those among what a source of this layer declared.
  void read(const std::vector<Declaration>& declarations, Layer layer);
  /// True when the rule, by its "name" or "pack#name", is switched off: noted in `ref`.
  bool switch_off(const Rule& rule, RuleSetRef& ref);
  /// Reports overrides of rules that there are not.
  /// @param names of all rules, those of packs as "pack#name"
  void check(const std::vector<std::string>& names);

 private:
  struct Override {
    std::string name;
    Layer layer = Layer::kUser;
    const SourceFile* file = nullptr;
    Spot at;
    bool off = false;
    bool used = false;
  };
  void fail(const SourceFile& file, Spot at, std::string message, std::string hint = {}) {
    diagnostics_.push_back(file.error(at, std::move(message), std::move(hint)));
  }

  std::vector<Override> overrides_;
  std::vector<config::Diagnostic>& diagnostics_;
};

}  // namespace ccrules::rules
