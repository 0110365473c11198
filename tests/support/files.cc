#include "support/files.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>

namespace ccrules::test {

std::string read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error("cannot read " + path);
  std::ostringstream text;
  text << stream.rdbuf();
  return std::move(text).str();
}

void write_file(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream << text;
  if (!stream.flush()) throw std::runtime_error("cannot write " + path);
}

std::string tests_dir() { return CCR_TESTS_DIR; }

std::optional<std::string> fixtures_dir() {
  const char* set = std::getenv("CCR_FIXTURES");
  const std::string path = set != nullptr ? set : tests_dir() + "/../../shared/fixtures";
  if (std::filesystem::is_directory(path)) return path;
  std::cerr << "SKIPPED: no recorded traffic at " << path << " (set CCR_FIXTURES)\n";
  return std::nullopt;
}

}  // namespace ccrules::test
