#pragma once
#include <optional>
#include <string>

#include "cli/io.h"
#include "core/result.h"
#include "packs/folder.h"
#include "packs/index.h"

namespace ccrules::cli {

/// A folder of its own below the system's temporary one, gone with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }  ///< empty when none could be made

 private:
  std::string path_;
};

/// A pack's files as they came from somewhere, unchecked but for what packs::Folder promises.
struct Fetched {
  packs::Folder folder;
  std::string source;              ///< where it came from, for rules.lock: fetch() takes it again
  std::optional<packs::IndexRow> row;  ///< what the index says it must be
};

/// Where to look for packs by name: a path, an https URL, or git+URL#REF:index.json.
struct IndexPlace {
  std::string location;  ///< empty: none
};

/// Gets a pack from a folder, an archive, an https URL, a git repository (see git.h) or by NAME[@RANGE] from an index. Errors
/// are one sentence; nothing is written outside a temporary folder.
Result<Fetched> fetch(const std::string& source, const IndexPlace& index, const Io& io);

/// Reads an index; its relative sources become ones that fetch() understands.
Result<packs::Index> fetch_index(const IndexPlace& place, const Io& io);

/// `path` as an absolute one.
std::string absolute_path(const Io& io, const std::string& path);
/// All diagnostics as one sentence "file:line:col: message; ...", for errors.
std::string in_one_line(const std::vector<config::Diagnostic>& diagnostics);

}  // namespace ccrules::cli
