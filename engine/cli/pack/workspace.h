#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/pack/trial.h"

namespace ccrules::cli {

/// A configuration with its lock, for commands that read or change what is installed.
struct Workspace {
  std::shared_ptr<const config::Snapshot> config;
  std::string lock_path;
  std::string lock_text;  ///< as it was read; empty: there is none
  packs::Lock lock;
  std::string directory;  ///< of the lock, with its slash
};
/// Prints what is wrong; nothing then, and the command ends with Exit::kUsage.
std::optional<Workspace> open_workspace(const Arguments& arguments, Io& io);

/// An installed pack as a candidate; nothing (and diagnostics) when it cannot be read.
std::optional<Candidate> installed(const Workspace& workspace, const packs::LockedPack& locked, const Io& io,
                                   std::vector<config::Diagnostic>& diagnostics);
/// Takes away the folders of installed packs that `lock` no longer names, where they are of our making.
void forget_folders(const Workspace& workspace, const packs::Lock& lock);

/// A source as rules.lock keeps it: what lies below the lock's folder is named from there ("./house-rules"), so that a lock in
/// version control serves everybody who has the rest.
std::string source_in_lock(const Workspace& workspace, const std::string& source);
/// The source of an installed pack, as fetch() takes it.
std::string source_of(const Workspace& workspace, const packs::LockedPack& locked);

/// Where packs are found by name: --index, else $CCRULES_PACK_INDEX.
IndexPlace index_place(const Arguments& arguments, const Io& io);

/// "error: ..." and the exit code of `error`.
Exit fail(Io& io, const Error& error);

}  // namespace ccrules::cli
