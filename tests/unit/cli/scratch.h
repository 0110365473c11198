#pragma once
#include <string>

#include "unit/cli/run_cli.h"

namespace ccrules::test {

/// A folder of its own that is gone afterwards.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const;
  /// Runs a command line as a user standing in the folder, with a UTF-8 terminal's locale and no keys.
  [[nodiscard]] CliResult run(const std::vector<std::string>& line, const std::string& in = {}) const;

 private:
  std::string folder_;
};

}  // namespace ccrules::test
