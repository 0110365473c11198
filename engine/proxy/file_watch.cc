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

std::string too_large(const std::vector<std::string>& paths) {
  constexpr std::size_t kNamed = 5;
  std::string names;
  for (std::size_t i = 0; i < std::min(paths.size(), kNamed); ++i) names += (i == 0 ? "" : ", ") + paths[i];
  if (paths.size() > kNamed) names += " and " + std::to_string(paths.size() - kNamed) + " more";
  return "changes of " + names + " are not noticed: files of more than " + std::to_string(limits::kRuleFileBytes) +
         " bytes are not watched; split them, or run `ccrules reload` after changing them";
}

std::string too_many(const std::string& first) {
  return "changes of " + first + " and of what comes behind it are not noticed: at most " + std::to_string(limits::kWatchFiles) +
         " files and folders are watched; keep less beside the rules, or run `ccrules reload` after changing them";
}

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
  const Seen seen = look();
  known_ = last_ = seen.hash;
  if (!seen.too_large.empty()) blind_spots_.push_back(too_large(seen.too_large));
  if (!seen.first_left_out.empty()) blind_spots_.push_back(too_many(seen.first_left_out));
}

bool FileWatch::changed() {
  if (files_ == nullptr) return false;
  const std::uint64_t now = look().hash;
  const bool rests = now == last_;
  last_ = now;
  if (!rests || now == known_) return false;
  known_ = now;
  return true;
}

FileWatch::Seen FileWatch::look() const {
  Seen seen;
  const auto counts = [&seen](const std::string& path) {
    if (seen.looked_at < limits::kWatchFiles) {
      ++seen.looked_at;
      return true;
    }
    if (seen.first_left_out.empty()) seen.first_left_out = path;
    return false;
  };
  const auto add = [this, &seen, &counts](const std::string& path) {
    if (!counts(path)) return;
    if (files_->look(path).bytes > limits::kRuleFileBytes) {
      seen.too_large.push_back(path);
      return;
    }
    const Result<std::string> text = files_->read(path);
    seen.hash = digest::hash64(path, seen.hash);
    if (text.ok()) seen.hash = digest::hash64(*text, seen.hash);
  };
  const std::function<void(const std::string&, std::size_t)> walk = [&](const std::string& path, std::size_t depth) {
    const std::vector<std::string> names = files_->list(path);
    if (names.empty() && depth == 0) add(path);
    for (const std::string& name : names) {
      if (!seen.first_left_out.empty()) return;
      const std::string below = path + "/" + name;
      if (matters(name)) add(below);
      const bool folder = name.find('.') == std::string::npos && name != "node_modules" && name != "build";
      if (folder && depth < limits::kPackFolderDepth && counts(below)) walk(below, depth + 1);
    }
  };
  for (const std::string& path : paths_) walk(path, 0);
  for (const std::string& folder : test_folders_) {
    for (const std::string& name : files_->list(folder)) {
      if (is_test(name)) add(folder + "/" + name);
    }
  }
  return seen;
}

}  // namespace ccrules::proxy
