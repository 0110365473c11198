#pragma once
#include <string>
#include <vector>

#include "config/load.h"
#include "core/world.h"
#include "packs/lock.h"
#include "packs/manifest.h"
#include "rules/source.h"

namespace ccrules::rules {

/// The packs of a configuration as rule sources: folders named in `rules`, then what rules.lock pins, then trusted projects.
/// Nothing of a pack is believed before it was checked: its files must be those that were installed, signed by the key that is
/// locked, made for this version of ccrules, and all that it depends on must be there.
class PackSources {
 public:
  PackSources(const config::Snapshot& snapshot, const Files& files, std::vector<config::Diagnostic>& diagnostics);

  /// True for a folder with a pack.json.
  static bool is_pack(const Files& files, const std::string& path);
  /// One path of the configuration's `rules` for which is_pack() holds. A pack that rules.lock does not pin is granted nothing.
  void add(const std::string& path);
  /// Everything, in order of precedence within the layers. A changed project only gives a warning: its rules do not apply
  /// until they are trusted again.
  std::vector<RuleSource> finish();

 private:
  void add_locked(const packs::LockedPack& locked, const std::string& directory);
  void add_project(const packs::TrustedPack& trusted);
  /// What installers chose for a pack.
  struct Choices {
    const std::vector<std::string>& granted;
    const std::map<std::string, std::string>& models;
    const std::map<std::string, std::string>& settings;
    config::Where where;  ///< of the entry in rules.lock, for messages
  };
  bool open(const packs::Folder& folder, const std::string& directory, const Choices& choices, RuleSource source);
  void fail(const config::Where& where, std::string message, std::string hint = {}, bool warning = false);

  const config::Snapshot& snapshot_;
  const Files& files_;
  std::vector<config::Diagnostic>& diagnostics_;
  packs::Lock lock_;
  std::string directory_;  ///< of rules.lock, with its slash
  std::vector<std::string> seen_;
  std::vector<RuleSource> sources_;
  std::vector<packs::Manifest> manifests_;
};

/// What else decides about the rules of a configuration than itself and its `rules`: rules.lock, whether it exists or not, and the
/// folders of the projects it trusts. Empty without a configuration file.
std::vector<std::string> lock_paths(const config::Snapshot& snapshot, const Files& files);

}  // namespace ccrules::rules
