#include "rules/pack_sources.h"

#include <algorithm>
#include <memory>

#include "core/json.h"
#include "packs/seal.h"

namespace ccrules::rules {
namespace {

const std::vector<std::string> kNothingGranted;
const std::map<std::string, std::string> kNothingChosen;

Grants grants_of(const packs::Manifest& manifest, const std::vector<std::string>& granted) {
  const auto has = [&](const char* need) {
    return std::find(granted.begin(), granted.end(), need) != granted.end() &&
           std::find(manifest.needs.begin(), manifest.needs.end(), need) != manifest.needs.end();
  };
  Grants grants = Grants::none();
  grants.text = has("text");
  grants.headers = has("headers");
  grants.spend = has("spend");
  return grants;
}

bool can_serve(const config::Snapshot& snapshot, std::string_view target) {
  const config::Provider* provider = snapshot.provider(target.substr(0, target.find(',')));
  return provider != nullptr && provider->enabled;
}

/// What the pack's aliases stand for: what the installer chose, else the first suggestion that can be served.
std::map<std::string, RuleSource::Model> models_of(const packs::Manifest& manifest, const std::map<std::string, std::string>& chosen,
                                                   const config::Snapshot& snapshot) {
  std::map<std::string, RuleSource::Model> out;
  for (const auto& [alias, model] : manifest.models) {
    if (const auto found = chosen.find(alias); found != chosen.end()) {
      out[alias] = {found->second, true};
      continue;
    }
    const auto suggestion = std::find_if(model.suggests.begin(), model.suggests.end(),
                                         [&](const std::string& target) { return can_serve(snapshot, target); });
    if (suggestion != model.suggests.end()) out[alias] = {*suggestion, false};
  }
  return out;
}

/// The same as a rule file, for everybody who has nothing else by those names.
std::string aliases_json(const std::map<std::string, RuleSource::Model>& models) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().key("alias").begin_object();
  for (const auto& [alias, model] : models) writer.member(alias, model.target);
  writer.end_object().end_object();
  return out;
}

}  // namespace

PackSources::PackSources(const config::Snapshot& snapshot, const Files& files, std::vector<config::Diagnostic>& diagnostics)
    : snapshot_(snapshot), files_(files), diagnostics_(diagnostics) {
  if (std::optional<packs::Lock> lock = packs::load_lock(files, snapshot.file, diagnostics)) lock_ = *std::move(lock);
  directory_ = snapshot.file.substr(0, snapshot.file.rfind('/') + 1);
}

bool PackSources::is_pack(const Files& files, const std::string& path) {
  return files.exists(path + "/" + std::string(packs::kManifestFile));
}

void PackSources::fail(const config::Where& where, std::string message, std::string hint, bool warning) {
  config::Diagnostic diagnostic;
  diagnostic.where = where;
  diagnostic.message = std::move(message);
  diagnostic.hint = std::move(hint);
  diagnostic.warning = warning;
  diagnostics_.push_back(std::move(diagnostic));
}

void PackSources::add(const std::string& path) {
  std::string directory = path;
  while (directory.size() > 1 && directory.ends_with('/')) directory.pop_back();
  for (const packs::LockedPack& locked : lock_.packs) {
    if (locked.path != directory && directory_ + locked.path != directory) continue;
    add_locked(locked, directory);
    return;
  }
  const Result<packs::Folder> folder = packs::read_folder(files_, directory);
  if (!folder.ok()) {
    fail({directory, 0, 0}, folder.error().message);
    return;
  }
  const Choices choices{kNothingGranted, kNothingChosen, kNothingChosen, {}};
  RuleSource source;
  source.layer = Layer::kPack;
  open(*folder, directory, choices, std::move(source));
}

void PackSources::add_locked(const packs::LockedPack& locked, const std::string& directory) {
  if (std::find(seen_.begin(), seen_.end(), locked.name) != seen_.end()) return;
  seen_.push_back(locked.name);
  const std::string again = "ccrules pack install " + locked.source + " puts it back, ccrules pack remove " + locked.name + " forgets it";
  const Result<packs::Folder> folder = packs::read_folder(files_, directory);
  if (!folder.ok()) {
    fail(locked.where, "pack " + locked.name + " cannot be read: " + folder.error().message, again);
    return;
  }
  if (packs::identity_of(*folder) != locked.identity) {
    const Result<packs::Seal> seal = packs::check_seal(*folder);
    fail(locked.where, "pack " + locked.name + " is not the one that was installed" +
                           (seal.ok() ? "" : ": " + seal.error().message), again);
    return;
  }
  if (!locked.key.empty()) {
    const Result<packs::Seal> seal = packs::check_seal(*folder);
    const std::string wanted = "pack " + locked.name + " is locked to the key " + packs::short_key(locked.key);
    if (!seal.ok()) {
      fail(locked.where, wanted + ": " + seal.error().message, again);
      return;
    }
    if (seal->key != locked.key) {
      const std::string it_is = seal->key.empty() ? "is not signed any more" : "is signed by " + packs::short_key(seal->key);
      fail(locked.where, wanted + ", but " + it_is, again);
      return;
    }
  }
  const Choices choices{locked.granted, locked.models, locked.settings, locked.where};
  RuleSource source;
  source.layer = Layer::kPack;
  open(*folder, directory, choices, std::move(source));
}

void PackSources::add_project(const packs::TrustedPack& trusted) {
  const Result<packs::Folder> folder = packs::read_folder(files_, trusted.path);
  const std::string hint = "look at them, then: ccrules trust " + trusted.path;
  if (!folder.ok()) {
    fail(trusted.where, "the rules of project " + trusted.project + " are not used: " + folder.error().message, hint, true);
    return;
  }
  if (packs::identity_of(*folder) != trusted.identity) {
    fail(trusted.where, "the rules of project " + trusted.project + " are not used: they changed since they were trusted", hint, true);
    return;
  }
  const Choices choices{trusted.granted, trusted.models, trusted.settings, trusted.where};
  RuleSource source;
  source.layer = Layer::kProject;
  source.project = trusted.project;
  open(*folder, trusted.path, choices, std::move(source));
}

bool PackSources::open(const packs::Folder& folder, const std::string& directory, const Choices& choices, RuleSource source) {
  const std::optional<packs::Manifest> manifest =
      packs::read_manifest(folder, directory + "/" + std::string(packs::kManifestFile), diagnostics_);
  if (!manifest) return false;
  if (std::optional<config::Diagnostic> refused = packs::check_engine(*manifest, CCR_VERSION)) {
    diagnostics_.push_back(*std::move(refused));
    return false;
  }
  source.pack = manifest->name;
  source.version = manifest->version.text();
  source.grants = grants_of(*manifest, choices.granted);
  source.data_only = manifest->kind == packs::Manifest::Kind::kData;
  if (!manifest->models.empty()) {
    source.models = models_of(*manifest, choices.models, snapshot_);
    source.installed_at = choices.where;
    source.files.push_back({directory + "/models.json", std::make_shared<const std::string>(aliases_json(source.models)), true});
  }
  const Result<std::string> settings = packs::settings_lua(*manifest, choices.settings);
  if (!settings.ok()) {
    fail(choices.where.file.empty() ? manifest->place.where : choices.where, settings.error().message);
    return false;
  }
  const auto is_lua = [](const std::string& path) { return path.ends_with(".lua"); };
  if (std::any_of(manifest->rules.begin(), manifest->rules.end(), is_lua)) {
    const auto flag = [](bool on) { return on ? "true" : "false"; };
    const std::string granted = std::string("granted = { text = ") + flag(source.grants.text) + ", headers = " +
                                flag(source.grants.headers) + ", spend = " + flag(source.grants.spend) + " }\n";
    source.files.push_back({directory + "/settings.lua", std::make_shared<const std::string>(*settings + granted), true});
  }
  for (const std::string& path : manifest->rules) {
    source.files.push_back({directory + "/" + path, std::make_shared<const std::string>(folder.find(path)->second), false});
  }
  if (source.layer == Layer::kPack) manifests_.push_back(*manifest);
  sources_.push_back(std::move(source));
  return true;
}

std::vector<RuleSource> PackSources::finish() {
  for (const packs::LockedPack& locked : lock_.packs) {
    add_locked(locked, locked.path.starts_with('/') ? locked.path : directory_ + locked.path);
  }
  std::vector<const packs::Manifest*> manifests;
  for (const packs::Manifest& manifest : manifests_) manifests.push_back(&manifest);
  (void)packs::in_dependency_order(manifests, diagnostics_);  // for what it reports; the order is that of the lock
  for (const packs::TrustedPack& trusted : lock_.projects) add_project(trusted);
  return std::move(sources_);
}

std::vector<std::string> lock_paths(const config::Snapshot& snapshot, const Files& files) {
  std::vector<std::string> paths;
  std::string path = packs::lock_path(snapshot.file);
  if (path.empty()) return paths;
  std::vector<config::Diagnostic> not_now;  // who loads it says what is wrong with it
  const std::optional<packs::Lock> lock = packs::load_lock(files, snapshot.file, not_now);
  paths.push_back(std::move(path));
  if (!lock) return paths;
  for (const packs::TrustedPack& project : lock->projects) paths.push_back(project.path);
  return paths;
}

}  // namespace ccrules::rules
