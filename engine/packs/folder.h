#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/world.h"

namespace ccrules::packs {

/// A pack's files in memory: path inside the pack -> bytes. Whether they came from a directory, an archive or a download, they
/// are checked here before anything is written anywhere. At most limits::kPackFiles files of limits::kPackBytes together.
using Folder = std::map<std::string, std::string, std::less<>>;

/// What a path inside a pack must be: relative, of letters, digits and "-_.+ @", no part that is empty or begins with a dot,
/// at most limits::kPackPathBytes long. Error: one sentence with the path.
Result<void> check_path(std::string_view path);
/// Adds a file; error when its path is bad, exists already or a limit is reached.
Result<void> add_file(Folder& folder, std::string_view path, std::string bytes);
/// Error when two paths are one on some file systems ("A" and "a"), or a file is where another one needs a folder.
Result<void> check_names(const Folder& folder);

/// Reads a directory. Names that begin with a dot are left out (.git and the like). Links, devices and pipes are refused.
Result<Folder> read_folder(const Files& files, const std::string& directory);

/// The file system with some files laid over it, for trying out what is not on the disk yet.
class OverlayFiles final : public Files {
 public:
  explicit OverlayFiles(const Files& below) : below_(below) {}
  void put(const std::string& path, std::string bytes) { files_.insert_or_assign(path, std::move(bytes)); }
  /// All files of a pack, as if it stood at `directory`.
  void put(const std::string& directory, const Folder& folder);
  [[nodiscard]] Result<std::string> read(const std::string& path) const override;
  [[nodiscard]] bool exists(const std::string& path) const override;
  [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override;
  [[nodiscard]] Entry look(const std::string& path) const override;

 private:
  [[nodiscard]] bool is_folder(const std::string& path) const;
  const Files& below_;
  std::map<std::string, std::string> files_;
};

}  // namespace ccrules::packs
