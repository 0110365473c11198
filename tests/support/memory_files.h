#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/world.h"

namespace ccrules::test {

/// A file system that is a map from path to text.
class MemoryFiles final : public Files {
 public:
  MemoryFiles() = default;
  explicit MemoryFiles(std::map<std::string, std::string> files) : files_(std::move(files)) {}
  [[nodiscard]] Result<std::string> read(const std::string& path) const override {
    const auto found = files_.find(path);
    if (found == files_.end()) return bad_request("cannot read " + path + ": No such file or directory");
    return found->second;
  }
  [[nodiscard]] bool exists(const std::string& path) const override { return files_.contains(path); }
  [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override {
    std::vector<std::string> names;
    for (const auto& [path, text] : files_) {
      if (path.starts_with(directory + "/") && path.find('/', directory.size() + 1) == std::string::npos) {
        names.push_back(path.substr(directory.size() + 1));
      }
    }
    return names;
  }

 private:
  std::map<std::string, std::string> files_;
};

}  // namespace ccrules::test
