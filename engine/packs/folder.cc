#include "packs/folder.h"

#include <algorithm>
#include <set>

#include "core/limits.h"
#include "core/text.h"

namespace ccrules::packs {
namespace {

/// A path as messages show it: no control characters, not endless.
std::string shown(std::string_view path) {
  constexpr std::size_t kShownBytes = 120;
  std::string out = text::to_valid_utf8(path.substr(0, kShownBytes));
  std::replace_if(out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  if (path.size() > kShownBytes) out += "...";
  return "'" + out + "'";
}

bool is_path_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("-_.+ @/").find(c) != std::string_view::npos;
}

class FolderReader {
 public:
  explicit FolderReader(const Files& files) : files_(files) {}

  Result<Folder> read(const std::string& directory) {
    CCR_CHECK(visit(directory, {}, 0));
    CCR_CHECK(check_names(folder_));
    return std::move(folder_);
  }

 private:
  Result<void> visit(const std::string& directory, const std::string& prefix, std::size_t depth) {
    if (depth > limits::kPackFolderDepth) return bad_request("folders are nested too deep in the pack: " + shown(prefix));
    for (const std::string& name : files_.list(directory)) {
      if (name.starts_with('.')) continue;
      const std::string path = directory + "/" + name;
      const std::string inside = prefix.empty() ? name : prefix + "/" + name;
      const Files::Entry entry = files_.look(path);
      switch (entry.kind) {
        case Files::Kind::kFolder: {
          CCR_CHECK(check_path(inside));
          CCR_CHECK(visit(path, inside, depth + 1));
          break;
        }
        case Files::Kind::kFile: {
          if (entry.bytes > limits::kPackBytes) return bad_request(shown(inside) + " is too large for a pack");
          CCR_TRY(bytes, files_.read(path));
          CCR_CHECK(add_file(folder_, inside, std::move(bytes)));
          break;
        }
        case Files::Kind::kLink: return bad_request(shown(inside) + " is a link; packs hold plain files only");
        case Files::Kind::kOther:
        case Files::Kind::kNone: return bad_request(shown(inside) + " is no plain file; packs hold plain files only");
      }
    }
    return {};
  }

  const Files& files_;
  Folder folder_;
};

}  // namespace

Result<void> check_path(std::string_view path) {
  if (path.empty()) return bad_request("a file without a name is in the pack");
  if (path.size() > limits::kPackPathBytes) {
    return bad_request("a path in the pack is longer than " + std::to_string(limits::kPackPathBytes) + " bytes: " + shown(path));
  }
  if (path.front() == '/') return bad_request("a path in the pack is absolute: " + shown(path));
  if (!std::all_of(path.begin(), path.end(), is_path_character)) {
    return bad_request("a path in the pack may only hold letters, digits and -_.+@ and blanks: " + shown(path));
  }
  for (const std::string_view part : text::split(path, '/')) {
    if (part == "..") return bad_request("a path in the pack leads out of it: " + shown(path));
    if (part.empty() || part.starts_with('.') || part.ends_with('.') || part.starts_with(' ') || part.ends_with(' ')) {
      return bad_request("names in a pack are not empty and do not begin or end with a dot or a blank: " + shown(path));
    }
  }
  return {};
}

Result<void> add_file(Folder& folder, std::string_view path, std::string bytes) {
  CCR_CHECK(check_path(path));
  if (folder.size() >= limits::kPackFiles) {
    return bad_request("the pack holds more than " + std::to_string(limits::kPackFiles) + " files");
  }
  if (folder.contains(path)) return bad_request("two files of the pack have the same name: " + shown(path));
  std::size_t total = bytes.size();
  for (const auto& [other, text] : folder) total += text.size();
  if (total > limits::kPackBytes) {
    return bad_request("the pack holds more than " + std::to_string(limits::kPackBytes >> 20U) + " MiB");
  }
  folder.emplace(path, std::move(bytes));
  return {};
}

Result<void> check_names(const Folder& folder) {
  std::set<std::string> lower;
  for (const auto& [path, bytes] : folder) {
    if (!lower.insert(text::lower(path)).second) return bad_request("two files of the pack have the same name: " + shown(path));
  }
  for (const std::string& path : lower) {
    for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      if (!lower.contains(path.substr(0, slash))) continue;
      return bad_request("a file and a folder of the pack have the same name: " + shown(path.substr(0, slash)));
    }
  }
  return {};
}

Result<Folder> read_folder(const Files& files, const std::string& directory) {
  if (files.look(directory).kind == Files::Kind::kNone) return bad_request("there is no folder " + directory);
  return FolderReader(files).read(directory);
}

void OverlayFiles::put(const std::string& directory, const Folder& folder) {
  for (const auto& [path, bytes] : folder) put(directory + "/" + path, bytes);
}

Result<std::string> OverlayFiles::read(const std::string& path) const {
  const auto found = files_.find(path);
  return found != files_.end() ? Result<std::string>(found->second) : below_.read(path);
}

bool OverlayFiles::is_folder(const std::string& path) const {
  const auto first = files_.lower_bound(path + "/");
  return first != files_.end() && first->first.starts_with(path + "/");
}

bool OverlayFiles::exists(const std::string& path) const {
  return files_.contains(path) || is_folder(path) || below_.exists(path);
}

std::vector<std::string> OverlayFiles::list(const std::string& directory) const {
  const std::string prefix = directory + "/";
  std::vector<std::string> names = below_.list(directory);
  for (auto file = files_.lower_bound(prefix); file != files_.end() && file->first.starts_with(prefix); ++file) {
    names.push_back(file->first.substr(prefix.size(), file->first.find('/', prefix.size()) - prefix.size()));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Files::Entry OverlayFiles::look(const std::string& path) const {
  if (const auto found = files_.find(path); found != files_.end()) return {Kind::kFile, found->second.size()};
  return is_folder(path) ? Entry{Kind::kFolder, 0} : below_.look(path);
}

}  // namespace ccrules::packs
