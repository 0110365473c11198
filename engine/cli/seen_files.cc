#include "cli/seen_files.h"

#include <algorithm>

#include "core/digest.h"

namespace ccrules::cli {
namespace {

std::string digest_of(const Result<std::string>& text) { return text.ok() ? digest::sha256_hex(*text) : std::string(); }

}  // namespace

Result<std::string> SeenFiles::read(const std::string& path) const {
  Result<std::string> text = files_.read(path);
  contents_.try_emplace(path, digest_of(text));
  return text;
}

bool SeenFiles::exists(const std::string& path) const {
  const bool there = files_.exists(path);
  there_.try_emplace(path, there);
  return there;
}

std::vector<std::string> SeenFiles::list(const std::string& directory) const {
  std::vector<std::string> names = files_.list(directory);
  names_.try_emplace(directory, names);
  return names;
}

Files::Entry SeenFiles::look(const std::string& path) const { return files_.look(path); }

bool SeenFiles::changed() const {
  return std::any_of(there_.begin(), there_.end(), [this](const auto& seen) { return files_.exists(seen.first) != seen.second; }) ||
         std::any_of(names_.begin(), names_.end(), [this](const auto& seen) { return files_.list(seen.first) != seen.second; }) ||
         std::any_of(contents_.begin(), contents_.end(),
                     [this](const auto& seen) { return digest_of(files_.read(seen.first)) != seen.second; });
}

}  // namespace ccrules::cli
