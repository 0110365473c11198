#include "cli/pack/workspace.h"

#include <filesystem>
#include <system_error>

#include "cli/load.h"

namespace ccrules::cli {

std::optional<Workspace> open_workspace(const Arguments& arguments, Io& io) {
  config::Options options = config_options(arguments, io);
  options.dry_run = true;
  Workspace workspace;
  workspace.config = load_config(options, io);
  if (workspace.config == nullptr) return std::nullopt;
  if (workspace.config->file.empty()) {
    (void)usage_error(io, "there is no configuration to install packs for; write one first: echo '{}' > ccrules.json");
    return std::nullopt;
  }
  workspace.lock_path = packs::lock_path(workspace.config->file);
  workspace.directory = workspace.lock_path.substr(0, workspace.lock_path.rfind('/') + 1);
  if (io.files.exists(workspace.lock_path)) {
    Result<std::string> text = io.files.read(workspace.lock_path);
    if (!text.ok()) {
      (void)fail(io, text.error());  // the caller ends with the same code
      return std::nullopt;
    }
    workspace.lock_text = *std::move(text);
  }
  std::vector<config::Diagnostic> found;
  std::optional<packs::Lock> lock = packs::read_lock(workspace.lock_path, workspace.lock_text, found);
  if (!lock) {
    print_diagnostics(std::move(found), io, Where::kErr);
    return std::nullopt;
  }
  workspace.lock = *std::move(lock);
  return workspace;
}

std::optional<Candidate> installed(const Workspace& workspace, const packs::LockedPack& locked, const Io& io,
                                   std::vector<config::Diagnostic>& diagnostics) {
  const std::string directory = locked.path.starts_with('/') ? locked.path : workspace.directory + locked.path;
  Result<packs::Folder> folder = packs::read_folder(io.files, directory);
  if (!folder.ok()) {
    config::Diagnostic diagnostic;
    diagnostic.where = locked.where;
    diagnostic.message = "pack " + locked.name + " cannot be read: " + folder.error().message;
    diagnostics.push_back(std::move(diagnostic));
    return std::nullopt;
  }
  return make_draft({*std::move(folder), locked.source, std::nullopt}, directory, diagnostics);
}

void forget_folders(const Workspace& workspace, const packs::Lock& lock) {
  for (const packs::LockedPack& old : workspace.lock.packs) {
    const packs::LockedPack* now = lock.find(old.name);
    if (now != nullptr && now->path == old.path) continue;
    if (!old.path.starts_with("packs/")) continue;  // not of our making
    std::error_code ignored;
    std::filesystem::remove_all(workspace.directory + old.path, ignored);
  }
}

std::string source_in_lock(const Workspace& workspace, const std::string& source) {
  if (!source.starts_with(workspace.directory)) return source;
  return "./" + source.substr(workspace.directory.size());
}

std::string source_of(const Workspace& workspace, const packs::LockedPack& locked) {
  return locked.source.starts_with("./") ? workspace.directory + locked.source.substr(2) : locked.source;
}

IndexPlace index_place(const Arguments& arguments, const Io& io) {
  const auto found = io.environment.find("CCRULES_PACK_INDEX");
  std::string location = arguments.value("index");
  if (location.empty() && found != io.environment.end()) location = found->second;
  // A path goes into rules.lock, to be found from anywhere.
  if (!location.empty() && location.find("://") == std::string::npos) location = absolute_path(io, location);
  return {std::move(location)};
}

Exit fail(Io& io, const Error& error) {
  (void)usage_error(io, error.message);  // the code below is more exact
  return error.code == ErrorCode::kConnectFailed || error.code == ErrorCode::kUpstreamTimeout ? Exit::kUnreachable : Exit::kUsage;
}

}  // namespace ccrules::cli
