#include <algorithm>
#include <memory>
#include <string>

#include "core/embedded.h"
#include "rules/pack_sources.h"
#include "rules/ruleset.h"

namespace ccrules::rules {
namespace {

constexpr std::string_view kDefaultPack = "rules/default/";

bool is_test_file(std::string_view path) { return path.ends_with("_test.lua") || path.ends_with(".test.lua"); }
bool is_rule_file(std::string_view path) {
  return (path.ends_with(".lua") && !is_test_file(path)) || path.ends_with("rules.json");
}

std::string_view without_slashes(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path;
}

class Collector {
 public:
  /// `configuration`: its file, which ends in "rules.json" and may stand beside its rules.
  Collector(const Files& files, std::string_view configuration, std::vector<config::Diagnostic>& diagnostics)
      : files_(files), configuration_(configuration), diagnostics_(diagnostics) {}

  // One path of the configuration's `rules`: a file, or a folder of them.
  void add(const std::string& path, RuleSource& source) {
    if (path.ends_with(".lua") || path.ends_with(".json")) {
      source.files.push_back({path, nullptr});
      return;
    }
    const std::string folder(without_slashes(path));
    if (files_.look(files_.behind_links(folder)).kind != Files::Kind::kFolder) {
      const Result<std::string> text = files_.read(path);
      fail(path, text.ok() ? "a rule file ends in .lua or .json" : text.error().message);
      return;
    }
    const std::size_t before = source.files.size();
    for (const std::string& entry : files_.list(folder)) {
      std::string file = folder + "/" + entry;
      if (is_rule_file(entry) && file != configuration_) source.files.push_back({std::move(file), nullptr});
    }
    if (source.files.size() == before)
      fail(folder, "this folder of `rules` holds no rule file", "put one there (night.lua, rules.json), or take the folder out of the configuration");
  }

 private:
  void fail(const std::string& path, std::string message, std::string hint = {}) {
    config::Diagnostic diagnostic;
    diagnostic.where.file = path;
    diagnostic.message = std::move(message);
    diagnostic.hint = std::move(hint);
    diagnostics_.push_back(std::move(diagnostic));
  }

  const Files& files_;
  std::string_view configuration_;
  std::vector<config::Diagnostic>& diagnostics_;
};

RuleSource built_in() {
  RuleSource source;
  source.layer = Layer::kBuiltIn;
  source.pack = "default";
  source.version = CCR_VERSION;
  for (const embedded::Row& row : embedded::files()) {
    const std::string_view name = row.name;
    if (!name.starts_with(kDefaultPack) || !is_rule_file(name)) continue;
    source.files.push_back({std::string(name), std::make_shared<const std::string>(row.text())});
  }
  return source;
}

}  // namespace

std::vector<RuleSource> rule_sources(const config::Snapshot& snapshot, const Files& files,
                                     std::vector<config::Diagnostic>& diagnostics) {
  std::vector<RuleSource> sources(1);
  Collector collector(files, snapshot.file, diagnostics);
  PackSources packs(snapshot, files, diagnostics);
  for (const std::string& path : snapshot.rules) {
    if (PackSources::is_pack(files, path)) {
      packs.add(path);
    } else {
      collector.add(path, sources.front());
    }
  }
  for (RuleSource& pack : packs.finish()) sources.push_back(std::move(pack));
  sources.push_back(built_in());
  return sources;
}

}  // namespace ccrules::rules
