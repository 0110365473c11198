#include "unit/cli/scratch.h"

#include <cstdlib>
#include <filesystem>

#include "support/files.h"

namespace ccrules::test {

Scratch::Scratch() {
  char name[] = "/tmp/ccrules-cli-XXXXXX";
  folder_ = mkdtemp(name);
}

Scratch::~Scratch() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void Scratch::write(const std::string& name, const std::string& text) const {
  write_file(path(name), text);
}

CliResult Scratch::run(const std::vector<std::string>& line, const std::string& in) const {
  const Environment environment = {{"HOME", folder_}, {"LANG", "C.UTF-8"}};
  return run_cli(line, 0, in, folder_, environment);
}

}  // namespace ccrules::test
