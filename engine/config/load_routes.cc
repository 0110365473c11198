#include <algorithm>
#include <array>

#include "config/loader.h"
#include "core/text.h"

namespace ccrules::config {
namespace {

constexpr std::array<std::string_view, 4> kRouteNames = {"default", "longContext", "background", "think"};
constexpr std::array<std::string_view, 2> kTierNames = {"big", "small"};

/// "long_context" and "LongContext" look like longContext but would be routes for models of those names.
std::string folded(std::string_view name) {
  std::string out = text::lower(name);
  std::erase_if(out, [](char c) { return c == '_' || c == '-'; });
  return out;
}

}  // namespace

void Loader::read_routes() {
  const auto object = [this](std::string_view name) -> const Node* {
    const Node* node = section(name);
    if (node == nullptr || node->is(json::Type::kObject)) return node;
    error(Place::in_file(node->offset), std::string(name) + " must be an object: { ... }");
    return nullptr;
  };
  if (const Node* routes = object("routes")) {
    for (const Node::Member& member : routes->members) {
      for (const std::string_view special : kRouteNames) {
        if (member.key == special || folded(member.key) != folded(special)) continue;
        warning(Place::in_file(member.key_offset),
                "routes." + member.key + " is a route for a model of that name",
                "did you mean '" + std::string(special) + "'?");
      }
      if (auto route = read_route(member.value, "routes." + member.key))
        snapshot_->routes.insert_or_assign(member.key, *std::move(route));
    }
  }
  const auto from_text = [this](std::string_view section_name, std::string_view name, std::string_view text,
                                const Place& place) {
    const std::string path = std::string(section_name) + "." + std::string(name);
    auto route = read_target(text, path, place, false);
    if (!route) return;
    if (section_name == "routes")
      snapshot_->routes.insert_or_assign(std::string(name), *std::move(route));
    else
      snapshot_->tiers.insert_or_assign(std::string(name), std::string(text));
  };
  read_targets("tiers", snapshot_->tiers, true);
  const auto from_surroundings = [&](std::string_view section_name, std::span<const std::string_view> names) {
    for (const std::string_view name : names) {
      const std::string path = std::string(section_name) + "." + std::string(name);
      const std::string variable = "CCRULES_" + variable_name(path);
      if (const auto set = environment_.find(variable); set != environment_.end())
        from_text(section_name, name, set->second, Place::named(variable));
    }
    const std::string prefix = std::string(section_name) + ".";
    for (const auto& [path, value] : options_.overrides) {
      if (path.starts_with(prefix))
        from_text(section_name, std::string_view(path).substr(prefix.size()), value,
                  Place::named("--" + path));
    }
  };
  from_surroundings("routes", kRouteNames);
  from_surroundings("tiers", kTierNames);
  add_automatic_routes();
  read_targets("agents", snapshot_->agents, false);
  read_fallbacks();
}

/// With keys from the environment only, every model goes to the provider that has it. When none has Claude
/// models, the first one's big and small model stand in for them, so that a Claude client works at once.
void Loader::add_automatic_routes() {
  if (!automatic() || !snapshot_->tiers.empty() || !snapshot_->routes.empty()) return;
  const auto takes_claude = [](const Provider& provider) {
    return provider.enabled &&
           std::any_of(provider.models.begin(), provider.models.end(),
                       [](const std::string& glob) { return text::glob_match(glob, "claude-sonnet-5-5"); });
  };
  const auto& providers = snapshot_->providers;
  if (std::any_of(providers.begin(), providers.end(), takes_claude)) return;
  for (const Provider& provider : providers) {
    const Vendor* vendor = find_vendor(provider.id);
    if (!provider.enabled || vendor == nullptr || vendor->big.empty()) continue;
    snapshot_->tiers.emplace("big", provider.id + "," + vendor->big);
    snapshot_->tiers.emplace("small", provider.id + "," + vendor->small);
    return;
  }
}

std::optional<Route> Loader::read_route(const Node& node, const std::string& path) {
  if (node.is(json::Type::kString)) {
    const auto text = text_of(node, path);
    return text ? read_target(*text, path, Place::in_file(node.offset), false) : std::nullopt;
  }
  if (!node.is(json::Type::kObject)) {
    error(
        Place::in_file(node.offset),
        path +
            " must be \"provider,model\" or { \"provider\": ..., \"model\": ..., \"parameters\": { ... } }");
    return std::nullopt;
  }
  std::string provider;
  std::string model;
  std::map<std::string, std::string> parameters;
  Place place = Place::in_file(node.offset);
  const std::vector<std::string> known = {"provider", "model", "parameters"};
  for (const Node::Member& member : node.members) {
    const std::string child = path + "." + member.key;
    if (member.key == "parameters") {
      if (!member.value.is(json::Type::kObject))
        error(Place::in_file(member.value.offset), child + " must be an object: { ... }");
      for (const Node::Member& parameter : member.value.members)
        parameters.insert_or_assign(parameter.key, to_json(parameter.value));
    } else if (member.key == "provider" || member.key == "model") {
      if (!member.value.is(json::Type::kString)) {
        error(Place::in_file(member.value.offset), child + " must be a text in double quotes");
        return std::nullopt;
      }
      const auto text = text_of(member.value, child);
      if (!text) return std::nullopt;
      (member.key == "provider" ? provider : model) = *text;
      if (member.key == "provider") place = Place::in_file(member.value.offset);
    } else {
      unknown(member, child, known);
    }
  }
  if (provider.empty() || model.empty()) {
    error(Place::in_file(node.offset), path + " needs both provider and model");
    return std::nullopt;
  }
  auto route = read_target(provider + "," + model, path, place, false);
  if (route) route->parameters_json = std::move(parameters);
  return route;
}

std::optional<Route> Loader::read_target(std::string_view text, const std::string& path, const Place& place,
                                         bool alias_allowed) {
  const auto comma = text.find(',');
  if (comma == std::string_view::npos) {
    if (alias_allowed) {
      check_alias(std::string(text), path, place);
    } else {
      error(place, path + " must be \"provider,model\"");
    }
    return std::nullopt;
  }
  Route route;
  route.provider = text::trim(text.substr(0, comma));
  route.model = text::trim(text.substr(comma + 1));
  route.where = where(place);
  if (route.provider.empty() || route.model.empty()) {
    error(place, path + ": the " + (route.provider.empty() ? "provider before" : "model after") +
                     " the comma is missing in \"" + text::to_valid_utf8(text) + "\"");
    return std::nullopt;
  }
  const Provider* provider = snapshot_->provider(route.provider);
  if (provider == nullptr) {
    std::vector<std::string> known;
    std::string list;
    for (const Provider& row : snapshot_->providers) {
      known.push_back(row.id);
      list += (list.empty() ? "" : ", ") + row.id;
    }
    const std::string near = text::did_you_mean(route.provider, known);
    error(place,
          path + " names the provider '" + text::to_valid_utf8(route.provider) + "', which is not configured",
          near.empty() ? "configured: " + list : "did you mean '" + near + "'?");
    return std::nullopt;
  }
  if (!provider->enabled) {
    warning(place, path + " leads to the provider " + route.provider + ", which is switched off");
  }
  return route;
}

/// A name without comma stands for a route, a tier, a provider (same model), a model that a provider lists,
/// or an alias of a rule file (which the rules check when they load).
void Loader::check_alias(const std::string& name, const std::string& path, const Place& place) {
  const Snapshot& s = *snapshot_;
  if (s.routes.contains(name) || s.tiers.contains(name) || s.provider(name) != nullptr || !s.rules.empty())
    return;
  std::vector<std::string> known;
  for (const auto& [route, target] : s.routes) known.push_back(route);
  for (const auto& [tier, target] : s.tiers) known.push_back(tier);
  for (const Provider& provider : s.providers) {
    known.push_back(provider.id);
    const auto has = [&name](const std::string& glob) { return glob != "*" && text::glob_match(glob, name); };
    if (std::any_of(provider.models.begin(), provider.models.end(), has)) return;
  }
  const std::string near = text::did_you_mean(name, known);
  error(place, path + " must be \"provider,model\", the name of a route or a model that a provider lists",
        near.empty() ? "" : "did you mean '" + near + "'?");
}

void Loader::read_targets(std::string_view section_name, std::map<std::string, std::string>& targets,
                          bool only_tiers) {
  const Node* node = section(section_name);
  if (node == nullptr) return;
  if (!node->is(json::Type::kObject))
    return error(Place::in_file(node->offset), std::string(section_name) + " must be an object: { ... }");
  const std::vector<std::string> known(kTierNames.begin(), kTierNames.end());
  for (const Node::Member& member : node->members) {
    const std::string path = std::string(section_name) + "." + member.key;
    if (only_tiers && std::find(known.begin(), known.end(), member.key) == known.end()) {
      unknown(member, path, known);
    } else if (!member.value.is(json::Type::kString)) {
      error(Place::in_file(member.value.offset), path + " must be \"provider,model\"");
    } else if (const auto text = text_of(member.value, path)) {
      (void)read_target(*text, path, Place::in_file(member.value.offset),
                        true);  // only its complaints are of interest
      targets.insert_or_assign(member.key, *text);
    }
  }
}

void Loader::read_fallbacks() {
  const Node* node = section("fallbacks");
  if (node == nullptr) return;
  if (!node->is(json::Type::kObject))
    return error(Place::in_file(node->offset), "fallbacks must be an object: { \"model\": [ ... ] }");
  for (const Node::Member& member : node->members) {
    const std::string path = "fallbacks." + member.key;
    const Node& value = member.value;
    if (!value.is(json::Type::kArray) && !value.is(json::Type::kString)) {
      error(Place::in_file(value.offset), path + " must be a list: [ \"provider,model\" ]");
      continue;
    }
    std::vector<std::string> targets;
    const auto add = [&](const Node& item) {
      if (!item.is(json::Type::kString))
        return error(Place::in_file(item.offset), path + " must hold texts: \"provider,model\"");
      const auto text = text_of(item, path);
      if (!text) return;
      (void)read_target(*text, path, Place::in_file(item.offset),
                        true);  // only its complaints are of interest
      targets.push_back(*text);
    };
    if (value.is(json::Type::kString)) add(value);
    for (const Node& item : value.items) add(item);
    snapshot_->fallbacks.emplace_back(member.key, std::move(targets));
  }
}

}  // namespace ccrules::config
