#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/load.h"

namespace ccrules::packs {

inline constexpr std::string_view kLockFile = "rules.lock";

/// A pack as rules.lock pins it.
struct LockedPack {
  std::string name;
  std::string version;
  std::string path;      ///< its folder; relative to the lock when below it
  std::string source;    ///< where it came from, for `update`; "./" is the lock's folder
  std::string identity;  ///< "sha256:..." of its pack.sums
  std::string key;       ///< "ed25519:..."; empty: it was not signed
  std::vector<std::string> granted;           ///< of what it needs, sorted
  std::map<std::string, std::string> models;  ///< its aliases -> local targets
  std::map<std::string, std::string> settings;  ///< as they were typed
  config::Where where;
};

/// Rules of a project that the user trusts as they are now.
struct TrustedPack {
  std::string path;      ///< folder with pack.json, absolute
  std::string project;   ///< requests from this folder and below are what its rules are for
  std::string identity;
  std::vector<std::string> granted;
  std::map<std::string, std::string> models;
  std::map<std::string, std::string> settings;
  config::Where where;
};

/// rules.lock: what is installed beside a configuration. It is written by the pack commands, whole or not at all.
struct Lock {
  std::vector<LockedPack> packs;      ///< in order of precedence
  std::vector<TrustedPack> projects;

  [[nodiscard]] const LockedPack* find(std::string_view name) const;
  [[nodiscard]] LockedPack* find(std::string_view name);
};

/// All mistakes with their places; nothing when there is one. An empty text is an empty lock.
std::optional<Lock> read_lock(const std::string& file, const std::string& text, std::vector<config::Diagnostic>& diagnostics);
/// Stable: the same lock gives the same bytes; one member a line, for reviews of changes.
std::string to_json(const Lock& lock);

/// rules.lock beside `config_file`; an empty Lock when there is none.
std::optional<Lock> load_lock(const Files& files, const std::string& config_file, std::vector<config::Diagnostic>& diagnostics);
/// Path of rules.lock for a configuration file; empty when that is.
std::string lock_path(const std::string& config_file);

}  // namespace ccrules::packs
