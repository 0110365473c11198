#include "cli/pack/choices.h"

#include <algorithm>
#include <istream>
#include <memory>
#include <optional>
#include <utility>

#include "cli/paint.h"
#include "core/text.h"
#include "rules/ruleset.h"

namespace ccrules::cli {
namespace {

/// True when a provider that is there is among the suggestions.
bool suggestion_is_served(const Workspace& workspace, const packs::Manifest::Model& model) {
  return std::any_of(model.suggests.begin(), model.suggests.end(), [&workspace](const std::string& target) {
    const config::Provider* provider = workspace.config->provider(target.substr(0, target.find(',')));
    return provider != nullptr && provider->enabled;
  });
}

/// The rules in force, for the aliases of the user's own files and of other packs; null when they do not load.
std::unique_ptr<rules::RuleSet> rules_in_force(const Workspace& workspace, const Io& io) {
  std::vector<config::Diagnostic> ignored;
  std::vector<rules::RuleSource> sources = rules::rule_sources(*workspace.config, io.files, ignored);
  return rules::load_rules(*workspace.config, io.files, std::move(sources), ignored);
}

/// What an alias of a pack is to stand for must be a target.
Result<void> check_target(const rules::Targets& targets, const std::string& alias, const std::string& target) {
  rules::TargetProblem problem;
  if (targets.resolve(target, problem)) return {};
  return bad_request("--model " + alias + "=" + target + ": " + problem.message + (problem.hint.empty() ? "" : "; " + problem.hint));
}

/// "NAME=VALUE" texts of a flag that may be given more than once.
Result<std::map<std::string, std::string>> pairs(const std::vector<std::string>& given, const char* flag) {
  std::map<std::string, std::string> out;
  for (const std::string& text : given) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return bad_request(std::string("--") + flag + " wants NAME=VALUE (got '" + text + "')");
    }
    out[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return out;
}

bool holds(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

Result<Choices> Choices::read(const Arguments& arguments, Io& io) {
  Choices choices(arguments, io);
  for (const std::string& need : comma_list(arguments.value("grant"))) {
    if (!packs::is_grantable(need)) return bad_request("--grant takes text, headers and spend (got '" + need + "')");
    choices.granted_.push_back(need);
  }
  CCR_TRY(models, pairs(arguments.values("model"), "model"));
  choices.models_ = std::move(models);
  CCR_TRY(settings, pairs(arguments.values("set"), "set"));
  choices.settings_ = std::move(settings);
  return choices;
}

Result<void> Choices::check_aliases(const std::vector<Candidate>& candidates) const {
  std::vector<std::string> known;
  for (const Candidate& candidate : candidates) {
    for (const auto& [alias, model] : candidate.manifest.models) known.push_back(alias);
  }
  for (const auto& [alias, target] : models_) {
    if (std::find(known.begin(), known.end(), alias) != known.end()) continue;
    const std::string near = text::did_you_mean(alias, known);
    return bad_request("--model " + alias + ": no pack here uses that alias" + (near.empty() ? "" : "; did you mean '" + near + "'?"));
  }
  return {};
}

Result<void> Choices::enter(const Workspace& workspace, const Candidate& candidate, bool only, packs::Lock& lock) {
  const packs::Manifest& manifest = candidate.manifest;
  packs::LockedPack pack;
  if (const packs::LockedPack* locked = lock.find(manifest.name)) pack = *locked;
  pack.name = manifest.name;
  pack.version = manifest.version.text();
  pack.path = home_of(candidate);
  pack.source = source_in_lock(workspace, candidate.source);
  pack.identity = candidate.seal.identity;
  pack.key = candidate.seal.key;
  pack.granted = granted_for(manifest, pack.granted);
  for (const auto& [alias, target] : models_) {
    if (manifest.models.contains(alias)) pack.models[alias] = target;
  }
  for (const auto& [name, value] : settings_) {
    if (manifest.settings.contains(name) || only) pack.settings[name] = value;
  }
  std::erase_if(pack.models, [&manifest](const auto& model) { return !manifest.models.contains(model.first); });
  CCR_CHECK(map_aliases(workspace, manifest, asks(), *io_, pack.models));
  CCR_TRY(settings, packs::settings_lua(manifest, pack.settings));
  (void)settings;  // only whether they fit
  if (packs::LockedPack* locked = lock.find(manifest.name)) {
    *locked = std::move(pack);
  } else {
    lock.packs.push_back(std::move(pack));
  }
  return {};
}

Result<void> Choices::confirm() {
  if (arguments_->has("yes") || arguments_->has("dry-run")) return {};
  if (!asks()) return bad_request("nothing was installed: say --yes (and --grant for what it needs) when nobody can be asked");
  const std::string said = answer("Install? [y/N]");
  if (said != "y" && said != "yes") return bad_request("nothing was installed");
  return {};
}

bool Choices::asks() const { return io_->err_is_terminal && !arguments_->has("yes") && !arguments_->json(); }

std::string Choices::answer(const std::string& question) {
  io_->err << question << " " << std::flush;
  std::string line;
  std::getline(io_->in, line);
  return std::string(text::trim(line));
}

bool Choices::ask_grant(const packs::Manifest& manifest, const std::string& need) {
  if (!asks() || arguments_->has("grant")) return false;
  const char* what = need == "text"      ? "read the text of prompts"
                     : need == "headers" ? "read request headers"
                                         : "read what was spent";
  const std::string said = answer(manifest.name + " wants to " + what + ". Grant that? [y/N]");
  return said == "y" || said == "yes";
}

// What was granted before stays granted; what is no longer needed does not.
std::vector<std::string> Choices::granted_for(const packs::Manifest& manifest, const std::vector<std::string>& before) {
  std::vector<std::string> granted;
  for (const std::string& need : manifest.needs) {
    if (!packs::is_grantable(need)) continue;
    const bool stays = holds(before, need) && !arguments_->has("grant");
    if (holds(granted_, need) || stays || ask_grant(manifest, need)) granted.push_back(need);
  }
  return granted;
}

Result<void> map_aliases(const Workspace& workspace, const packs::Manifest& manifest, bool ask, Io& io,
                         std::map<std::string, std::string>& models) {
  const std::unique_ptr<rules::RuleSet> set = manifest.models.empty() ? nullptr : rules_in_force(workspace, io);
  const rules::Targets targets = set != nullptr ? set->targets : rules::Targets(*workspace.config);
  for (const auto& [alias, model] : manifest.models) {
    if (const auto chosen = models.find(alias); chosen != models.end()) {
      CCR_CHECK(check_target(targets, alias, chosen->second));
      continue;
    }
    if (suggestion_is_served(workspace, model) || targets.aliases().contains(alias)) continue;
    std::string target;
    if (ask) {
      io.err << manifest.name << " uses '" << alias << "' (" << plain_text(model.about) << "). Which provider,model is that? "
             << std::flush;
      std::getline(io.in, target);
      target = text::trim(target);
    }
    if (target.empty()) {
      return bad_request(manifest.name + " uses the alias '" + alias + "' (" + plain_text(model.about) +
                         "), which means nothing here: say --model " + alias + "=PROVIDER,MODEL");
    }
    CCR_CHECK(check_target(targets, alias, target));
    models[alias] = target;
  }
  return {};
}

std::vector<std::string> comma_list(const std::string& text) {
  std::vector<std::string> out;
  for (const std::string_view part : text::split(text, ',')) {
    if (!text::trim(part).empty() && text::trim(part) != "none") out.emplace_back(text::trim(part));
  }
  return out;
}

}  // namespace ccrules::cli
