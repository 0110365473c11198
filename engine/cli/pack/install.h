#pragma once
#include <map>
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

/// Where packs are found by name: --index, else $CCRULES_PACK_INDEX.
IndexPlace index_place(const Arguments& arguments, const Io& io);
/// Gives every alias of a pack that stands for nothing here a target: asks on the terminal when it may.
/// Error: which alias needs a --model.
Result<void> map_aliases(const Workspace& workspace, const packs::Manifest& manifest, bool ask, Io& io,
                         std::map<std::string, std::string>& models);
/// "a,b" as a list; "none" and nothing are an empty one.
std::vector<std::string> comma_list(const std::string& text);
/// "error: ..." and the exit code of `error`.
Exit fail(Io& io, const Error& error);

/// An installed pack as a candidate; nothing (and diagnostics) when it cannot be read.
std::optional<Candidate> installed(const Workspace& workspace, const packs::LockedPack& locked, const Io& io,
                                   std::vector<config::Diagnostic>& diagnostics);

Exit pack_install(const Arguments& arguments, Io& io);
Exit pack_update(const Arguments& arguments, Io& io);
Exit pack_remove(const Arguments& arguments, Io& io);
Exit pack_list(const Arguments& arguments, Io& io);
Exit pack_diff(const Arguments& arguments, Io& io);
Exit pack_search(const Arguments& arguments, Io& io);

}  // namespace ccrules::cli
