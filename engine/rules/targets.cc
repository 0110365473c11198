#include "rules/targets.h"

#include <algorithm>

#include "core/text.h"

namespace ccrules::rules {
namespace {

constexpr int kAliasHops = 8;  // an alias of an alias of ...: more is a circle

bool matches_any(const std::vector<std::string>& globs, std::string_view model) {
  return std::any_of(globs.begin(), globs.end(),
                     [model](const std::string& glob) { return text::glob_match(glob, model, true); });
}

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

std::string mean(std::string_view word, const std::vector<std::string>& names) {
  const std::string near = text::did_you_mean(word, names);
  return near.empty() ? std::string() : "did you mean '" + near + "'?";
}

}  // namespace

std::optional<Target> split_target(std::string_view text) {
  const std::size_t comma = text.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  Target target;
  target.provider = text::trim(text.substr(0, comma));
  target.model = text::trim(text.substr(comma + 1));
  return target;
}

Targets::Targets(const config::Snapshot& snapshot) : routes_(snapshot.routes), tiers_(snapshot.tiers) {
  for (const config::Provider& provider : snapshot.providers) {
    providers_.push_back({provider.id, provider.models, provider.enabled, provider.dialect == "sim",
                          provider.local || provider.dialect == "sim"});
  }
}

bool Targets::add_alias(const std::string& name, const std::string& target) {
  return aliases_.emplace(name, target).second;
}

const Targets::Provider* Targets::find(std::string_view id) const {
  for (const Provider& provider : providers_) {
    if (provider.id == id) return &provider;
  }
  return nullptr;
}

bool Targets::exists(std::string_view provider) const { return find(provider) != nullptr; }

bool Targets::local(std::string_view provider) const {
  const Provider* found = find(provider);
  return found != nullptr && found->local;
}

bool Targets::enabled(std::string_view provider) const {
  const Provider* found = find(provider);
  return found != nullptr && found->enabled;
}

std::optional<Choice> Targets::pair(std::string_view provider, std::string_view model, TargetProblem& problem) const {
  const Provider* found = find(provider);
  if (found == nullptr) {
    std::vector<std::string> ids;
    for (const Provider& each : providers_) ids.push_back(each.id);
    problem.message = "there is no provider " + quoted(provider);
    problem.hint = mean(provider, ids);
    if (problem.hint.empty()) problem.hint = "providers: " + joined(ids);
    return std::nullopt;
  }
  if (!model.empty() && !found->models.empty() && !matches_any(found->models, model)) {
    problem.message = "provider " + quoted(provider) + " has no model " + quoted(model);
    problem.hint = mean(model, found->models);
    if (problem.hint.empty()) problem.hint = "its models: " + joined(found->models);
    return std::nullopt;
  }
  Choice choice;
  choice.target.provider = provider;
  choice.target.model = model;
  return choice;
}

std::optional<std::string> Targets::follow(std::string_view alias) const {
  std::string name(alias);
  for (int hop = 0; hop < kAliasHops; ++hop) {
    const auto found = aliases_.find(name);
    if (found == aliases_.end()) return name;
    name = found->second;
  }
  return std::nullopt;
}

std::optional<Choice> Targets::resolve(std::string_view text, TargetProblem& problem) const {
  const std::optional<std::string> end = follow(text);
  if (!end) {
    problem.message = "alias " + quoted(text) + " leads in a circle";
    return std::nullopt;
  }
  const std::string& name = *end;
  if (const std::optional<Target> target = split_target(name)) {
    if (target->provider.empty() || target->model.empty()) {
      problem.message = "target " + quoted(name) + " has an empty half: write provider,model";
      return std::nullopt;
    }
    return pair(target->provider, target->model, problem);
  }
  if (routes_.find(name) != routes_.end()) return route(name, problem);
  if (exists(name)) return pair(name, {}, problem);
  for (const Provider& provider : providers_) {
    if (!provider.models.empty() && matches_any(provider.models, name)) return pair(provider.id, name, problem);
  }
  std::vector<std::string> names;
  for (const auto& [alias, target] : aliases_) names.push_back(alias);
  for (const auto& [route, target] : routes_) names.push_back(route);
  for (const Provider& provider : providers_) names.push_back(provider.id);
  problem.message = quoted(name) + " is no target: neither an alias, nor a route, nor a provider, nor a model that a provider lists";
  problem.hint = mean(name, names);
  if (problem.hint.empty()) problem.hint = "write provider,model; names: " + joined(names);
  return std::nullopt;
}

std::optional<Choice> Targets::configured(std::string_view text, TargetProblem& problem) const {
  std::string name = follow(text).value_or(std::string(text));
  const auto tier = tiers_.find(name);
  if (tier != tiers_.end()) name = tier->second;
  const std::optional<Target> target = split_target(name);
  if (!target || target->provider.empty() || target->model.empty()) return resolve(name, problem);
  if (!exists(target->provider)) return pair(target->provider, {}, problem);
  Choice choice;
  choice.target = *target;
  return choice;
}

std::optional<Choice> Targets::route(std::string_view name, TargetProblem& problem) const {
  const auto found = routes_.find(std::string(name));
  if (found == routes_.end()) {
    problem.message = "there is no route " + quoted(name);
    return std::nullopt;
  }
  const config::Route& route = found->second;
  // The operator's own word: the model need not be among those the provider lists.
  if (!exists(route.provider)) return pair(route.provider, {}, problem);
  Choice choice;
  choice.target = Target{route.provider, route.model};
  for (const auto& [field, value_json] : route.parameters_json) {
    choice.defaults.push_back(FieldEdit{field, FieldEdit::Kind::kDefault, value_json});
  }
  return choice;
}

std::optional<Target> Targets::serving(std::string_view model) const {
  const Provider* any = nullptr;
  const Provider* simulator = nullptr;
  std::size_t others = 0;
  for (const Provider& provider : providers_) {
    if (!provider.enabled) continue;
    if (!provider.models.empty()) {
      if (matches_any(provider.models, model)) return Target{provider.id, std::string(model)};
    } else if (any == nullptr && !provider.simulator) {
      any = &provider;
    }
    if (provider.simulator) {
      simulator = &provider;
    } else {
      ++others;
    }
  }
  // A made-up answer must not stand in for a provider that lacks the model.
  if (any == nullptr && others == 0 && simulator != nullptr && simulator->models.empty()) any = simulator;
  if (any == nullptr) return std::nullopt;
  return Target{any->id, std::string(model)};
}

std::string Targets::listing() const {
  std::string out;
  for (const Provider& provider : providers_) {
    if (!provider.enabled) continue;
    if (!out.empty()) out += ", ";
    out += provider.id + " (" + (provider.models.empty() ? std::string("any model") : joined(provider.models)) + ")";
  }
  return out.empty() ? "none" : out;
}

}  // namespace ccrules::rules
