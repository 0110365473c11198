#pragma once
#include <optional>
#include <string>
#include <vector>

namespace ccrules::test {

/// Whole file; fails the test when it cannot be read.
std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& text);
/// tests/ of the source tree.
std::string tests_dir();
/// Folder of recorded provider traffic beside the checkout (or $CCR_FIXTURES); nullopt, with a line that says so, when absent.
std::optional<std::string> fixtures_dir();

}  // namespace ccrules::test
