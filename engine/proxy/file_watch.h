#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "config/snapshot.h"
#include "core/world.h"

namespace ccrules::proxy {

/// Notices that files have changed: the configuration, rules, candidates and the tests beside them. Compares contents, so that
/// editors which replace files, and file systems without notifications, make no difference.
class FileWatch {
 public:
  FileWatch() = default;
  /// What stands there now is known. `files` outlives this.
  FileWatch(const config::Snapshot& config, const Files& files);
  /// True once for every change: at the first look that finds the files as the look before did (nobody is writing any more),
  /// but not as they were known.
  bool changed();
  /// What was too large or too much to look at: sentences for the operator that name a file, the limit and what to do. At most two.
  [[nodiscard]] const std::vector<std::string>& blind_spots() const noexcept { return blind_spots_; }

 private:
  /// What a look found.
  struct Seen {
    std::uint64_t hash = 0;
    std::size_t looked_at = 0;
    std::vector<std::string> too_large;
    std::string first_left_out;  ///< empty: nothing was left out
  };
  [[nodiscard]] Seen look() const;

  const Files* files_ = nullptr;
  std::vector<std::string> paths_;         ///< files, and folders with all below them
  std::vector<std::string> test_folders_;  ///< folders whose test files stand beside a rule file
  std::vector<std::string> blind_spots_;
  std::uint64_t known_ = 0;
  std::uint64_t last_ = 0;
};

}  // namespace ccrules::proxy
