#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/load.h"
#include "packs/manifest.h"

namespace ccrules::packs {

/// One version of one pack in an index.
struct IndexRow {
  std::string name;
  Version version;
  std::string source;    ///< archive: an URL, or a path relative to the index
  std::string identity;  ///< what the archive's files must be
  std::string key;       ///< who signed it; empty: nobody
  std::string kind;
  std::string summary;
  std::string engine;                          ///< range of ccrules versions
  std::vector<std::string> needs;
  std::map<std::string, std::string> depends;  ///< name -> range
};

/// A list of packs: one static JSON file, in a git repository, on a web server or in a folder.
struct Index {
  std::vector<IndexRow> rows;  ///< sorted by name, newest version first

  /// The newest version in `range` that works with `engine_version`; null when there is none.
  [[nodiscard]] const IndexRow* newest(std::string_view name, const Range& range, std::string_view engine_version) const;
  /// Adds a row or replaces that of the same name and version.
  void put(IndexRow row);
};

std::optional<Index> read_index(const std::string& file, const std::string& text, std::vector<config::Diagnostic>& diagnostics);
std::string to_json(const Index& index);

}  // namespace ccrules::packs
