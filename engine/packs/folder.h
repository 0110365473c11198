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
/// Adds a file; error when its path is bad, exists already (also in other letters: "A" and "a") or a limit is reached.
Result<void> add_file(Folder& folder, std::string_view path, std::string bytes);

/// Reads a directory. Names that begin with a dot are left out (.git and the like). Links, devices and pipes are refused.
Result<Folder> read_folder(const Files& files, const std::string& directory);

/// The file system with a pack laid over it at `directory`, for trying out what is not installed.
class FolderFiles final : public Files {
 public:
  FolderFiles(const Files& below, std::string directory, const Folder& folder)
      : below_(below), prefix_(std::move(directory) + "/"), folder_(folder) {}
  [[nodiscard]] Result<std::string> read(const std::string& path) const override;
  [[nodiscard]] bool exists(const std::string& path) const override;
  [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override;
  [[nodiscard]] Entry look(const std::string& path) const override;

 private:
  /// True when `path` lies in the pack; `inside` is then its path there, empty for the directory itself.
  bool covers(const std::string& path, std::string& inside) const;
  const Files& below_;
  std::string prefix_;
  const Folder& folder_;
};

}  // namespace ccrules::packs
