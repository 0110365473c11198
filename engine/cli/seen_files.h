#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/world.h"

namespace ccrules::cli {

/// Files that remember what somebody saw of them, the first time, and tell when that is no longer so. Single-threaded; `files`
/// outlives this.
class SeenFiles final : public Files {
 public:
  explicit SeenFiles(const Files& files) : files_(files) {}

  [[nodiscard]] Result<std::string> read(const std::string& path) const override;
  [[nodiscard]] bool exists(const std::string& path) const override;
  [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override;
  [[nodiscard]] Entry look(const std::string& path) const override;

  /// True when a file has other contents now, has come or gone, or a folder has other names in it.
  [[nodiscard]] bool changed() const;
  /// Files that were read, and folders that were listed.
  [[nodiscard]] std::size_t count() const { return contents_.size() + names_.size(); }

 private:
  const Files& files_;
  mutable std::map<std::string, std::string> contents_;  ///< path -> SHA-256; empty: could not be read
  mutable std::map<std::string, std::vector<std::string>> names_;
  mutable std::map<std::string, bool> there_;
};

}  // namespace ccrules::cli
