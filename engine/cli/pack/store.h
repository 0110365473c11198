#pragma once
#include <string>
#include <vector>

#include "core/result.h"
#include "packs/folder.h"

namespace ccrules::cli {

/// A pack's folder to be written.
struct Placement {
  std::string directory;
  const packs::Folder* folder = nullptr;
};

/// Writes folders, then rules.lock, by a rename: that is the moment when anything changes for readers. On failure the disk is as
/// it was. Fails when `old_lock` is no longer what stands there (somebody else was faster), or while another ccrules writes.
Result<void> commit(const std::string& lock_path, const std::string& old_lock, const std::string& new_lock,
                    const std::vector<Placement>& placements);

/// Writes one file by a rename, with its folder; for archives, keys' users and indexes. The old file stays on failure.
Result<void> replace_file(const std::string& path, std::string_view bytes);

/// Writes a whole new folder; error when something is there already.
Result<void> create_folder(const std::string& directory, const packs::Folder& folder);

}  // namespace ccrules::cli
