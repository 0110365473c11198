#include "proxy/file_watch.h"

#include <algorithm>
#include <functional>

#include "core/digest.h"
#include "core/limits.h"
#include "rules/pack_sources.h"

namespace ccrules::proxy {
namespace {

bool is_test(std::string_view name) {
  return name.ends_with("_test.lua") || name.ends_with(".test.lua") || name.ends_with(".jsonl");
}
bool matters(std::string_view name) { return name.ends_with(".lua") || name.ends_with(".json") || name.ends_with(".jsonl"); }

}  // namespace

FileWatch::FileWatch(const config::Snapshot& config, const Files& files) : files_(&files) {
  const auto add = [](std::vector<std::string>& paths, std::string path) {
    if (!path.empty() && std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(std::move(path));
  };
  add(paths_, config.file);
  add(paths_, config.dotenv);
  for (std::string& path : rules::lock_paths(config, files)) add(paths_, std::move(path));
  for (const std::vector<std::string>* rules : {&config.rules, &config.shadow}) {
    for (const std::string& path : *rules) {
      add(paths_, path);
      const std::size_t slash = path.find_last_of('/');
      if (slash != std::string::npos && files.list(path).empty()) add(test_folders_, path.substr(0, slash));
    }
  }
  known_ = last_ = look();
}

bool FileWatch::changed() {
  if (files_ == nullptr) return false;
  const std::uint64_t now = look();
  const bool rests = now == last_;
  last_ = now;
  if (!rests || now == known_) return false;
  known_ = now;
  return true;
}

std::uint64_t FileWatch::look() const {
  std::uint64_t hash = 0;
  std::size_t looked_at = 0;
  const auto add = [this, &hash, &looked_at](const std::string& path) {
    const Files::Entry entry = files_->look(path);
    if (entry.bytes > limits::kRuleFileBytes || ++looked_at > limits::kWatchFiles) return;
    const Result<std::string> text = files_->read(path);
    hash = digest::hash64(path, hash);
    if (text.ok()) hash = digest::hash64(*text, hash);
  };
  const std::function<void(const std::string&, std::size_t)> walk = [&](const std::string& path, std::size_t depth) {
    const std::vector<std::string> names = files_->list(path);
    if (names.empty() && depth == 0) add(path);
    for (const std::string& name : names) {
      if (looked_at >= limits::kWatchFiles) return;
      if (matters(name)) add(path + "/" + name);
      const bool folder = name.find('.') == std::string::npos && name != "node_modules" && name != "build";
      if (folder && depth < limits::kPackFolderDepth && ++looked_at < limits::kWatchFiles) walk(path + "/" + name, depth + 1);
    }
  };
  for (const std::string& path : paths_) walk(path, 0);
  for (const std::string& folder : test_folders_) {
    for (const std::string& name : files_->list(folder)) {
      if (is_test(name)) add(folder + "/" + name);
    }
  }
  return hash;
}

}  // namespace ccrules::proxy
