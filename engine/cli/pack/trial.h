#pragma once
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/pack/fetch.h"
#include "packs/lock.h"
#include "packs/manifest.h"
#include "packs/seal.h"
#include "rules/dry_run.h"
#include "rules/rule_list.h"

/// Trying packs out in memory before anything is written.
namespace ccrules::cli {

/// A pack that was read and is sound by itself.
struct Candidate {
  packs::Folder folder;
  packs::Manifest manifest;
  packs::Seal seal;
  std::string source;  ///< for rules.lock
};

/// Checks what was fetched: sums and signature, manifest, the version of ccrules. Diagnostics name files below `shown`.
std::optional<Candidate> make_candidate(Fetched fetched, const std::string& shown, std::vector<config::Diagnostic>& diagnostics);
/// The same of a pack being written: what pack.sums and pack.sig say does not count.
std::optional<Candidate> make_draft(Fetched fetched, const std::string& shown, std::vector<config::Diagnostic>& diagnostics);

/// "packs/acme-team-cost-1.2.0-3f9a2b1c", relative to the lock.
std::string home_of(const Candidate& candidate);

/// Runs a pack's own tests with nothing of this machine: usual vendors without keys, everything it needs granted, every alias a
/// model of the simulator. `others`: packs it may depend on.
rules::TestReport test_alone(const Candidate& candidate, const std::vector<const Candidate*>& others);
/// Its rules, loaded in the same way. Empty with diagnostics when they do not load.
std::vector<rules::RuleLine> rules_alone(const Candidate& candidate, const std::vector<const Candidate*>& others,
                                         std::vector<config::Diagnostic>& diagnostics);

/// Rules as they would be with `lock` in place of rules.lock and the candidates in their places.
std::vector<rules::RuleLine> rules_with(const config::Snapshot& config, const packs::Lock& lock, const std::string& lock_path,
                                        const std::vector<Candidate>& candidates, const Io& io,
                                        std::vector<config::Diagnostic>& diagnostics);

}  // namespace ccrules::cli
