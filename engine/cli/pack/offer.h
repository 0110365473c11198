#pragma once
#include <vector>

#include "cli/pack/gather.h"

namespace ccrules::cli {

/// What an installation would do, before anybody says yes: loaded in memory with all that stays, and tested alone.
class Offer {
 public:
  /// All of them outlive this; `lock` names the candidates as they were decided.
  Offer(const Workspace& workspace, const Gathering& gathering, const packs::Lock& lock)
      : workspace_(workspace), gathering_(gathering), lock_(lock) {}

  /// Loads everything and runs the packs' own tests. Exit::kOk when it may be installed; else what is wrong was printed.
  Exit try_out(bool quiet, Io& io);
  /// {"schema":"ccrules.pack.install/1", ...}
  void write_json(bool changed, Io& io) const;

 private:
  bool load(Io& io);
  void show(Io& io) const;
  [[nodiscard]] std::vector<rules::RuleLine> rules_of(const std::string& pack) const;
  [[nodiscard]] std::optional<std::vector<rules::RuleChange>> changes(const Candidate& candidate, const Io& io) const;

  const Workspace& workspace_;
  const Gathering& gathering_;
  const packs::Lock& lock_;
  std::vector<rules::RuleLine> rules_;        ///< of everything, as it would be
  std::vector<rules::TestReport> reports_;  ///< of the candidates, in their order
};

}  // namespace ccrules::cli
