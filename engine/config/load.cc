#include "config/load.h"

#include <algorithm>
#include <array>
#include <utility>

#include "config/loader.h"
#include "core/text.h"

namespace ccrules::config {
namespace {

constexpr std::string_view kVariablePrefix = "CCRULES_";
constexpr std::string_view kListenPrefix = "listen.";

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::vector<std::string> names_below(const std::string& path) {
  std::vector<std::string> names;
  const auto add = [&](std::string_view name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.emplace_back(name);
  };
  const std::string prefix = path.empty() ? "" : path + ".";
  for (const Setting<Snapshot>& setting : settings()) {
    if (!setting.name.starts_with(prefix)) continue;
    const std::string_view rest = setting.name.substr(prefix.size());
    add(rest.substr(0, rest.find('.')));
  }
  if (path.empty()) {
    for (const std::string_view name : section_names()) add(name);
  }
  return names;
}

bool is_section(const std::string& path) {
  return !names_below(path).empty();
}

bool contains(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

const Setting<Snapshot>* find_setting(std::string_view path) {
  for (const Setting<Snapshot>& setting : settings()) {
    if (setting.name == path) return &setting;
  }
  return nullptr;
}

/// The variables that set it. CCRULES_PORT is what people write; it wins over the long form.
std::vector<std::string> variables_of(const Setting<Snapshot>& setting) {
  std::vector<std::string> names = {std::string(kVariablePrefix) + variable_name(setting.name)};
  if (setting.name.starts_with(kListenPrefix))
    names.push_back(std::string(kVariablePrefix) + variable_name(setting.name.substr(kListenPrefix.size())));
  return names;
}

}  // namespace

Loaded load(const Files& files, const Environment& environment, const Options& options) {
  return Loader(files, environment, options).run();
}

Loader::Loader(const Files& files, const Environment& environment, const Options& options)
    : files_(files), environment_(environment), options_(options), directory_(options.working_directory) {}

/// Order matters: later sources win over earlier ones, and routes need to know the providers.
Loaded Loader::run() {
  if (find_file()) {
    root_ = source_->parse(diagnostics_);
    if (root_ && !root_->is(json::Type::kObject)) {
      error(Place::in_file(root_->offset), "the configuration must be an object: { ... }");
      root_.reset();
    }
    if (root_) {
      refuse_duplicates(*root_);
      read_sections(*root_);
    }
  }
  // A file that cannot be read leaves everything else unjudged: its own error is the one to repair first.
  if (diagnostics_.empty() || root_) {
    read_environment();
    read_overrides();
    read_providers();
    read_routes();
    finish_paths();
    load_zone();
    load_models();
    name_models();
    check_listen();
    check_retry();
    check_variable_names();
  }
  std::stable_sort(diagnostics_.begin(), diagnostics_.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::pair(a.where.line, a.where.column) < std::pair(b.where.line, b.where.column);
  });
  const bool failed =
      std::any_of(diagnostics_.begin(), diagnostics_.end(), [](const Diagnostic& d) { return !d.warning; });
  return Loaded{failed ? nullptr : std::move(snapshot_), std::move(diagnostics_)};
}

bool Loader::find_file() {
  std::string path;
  const std::string from_variable = variable_or("CCRULES_CONFIG");
  if (!options_.config_path.empty() || !from_variable.empty()) {
    const bool flag = !options_.config_path.empty();
    path =
        resolve_path(flag ? options_.config_path : from_variable, options_.working_directory, environment_);
    if (!files_.exists(path)) {
      error(Place::named(flag ? "--config" : "CCRULES_CONFIG"), "there is no file " + path);
      return false;
    }
  } else {
    const std::string home = variable_or("HOME");
    const std::string user =
        variable_or("XDG_CONFIG_HOME", home.empty() ? "" : home + "/.config");
    const std::array<std::string, 3> candidates = {
        resolve_path("ccrules.json", options_.working_directory, environment_),
        user.empty() ? "" : user + "/ccrules/ccrules.json", "/etc/ccrules/ccrules.json"};
    const auto found = std::find_if(
        candidates.begin(), candidates.end(),
        [this](const std::string& candidate) { return !candidate.empty() && files_.exists(candidate); });
    if (found == candidates.end()) return false;
    path = *found;
  }
  Result<std::string> text = files_.read(path);
  if (!text) {
    error(Place::named(path), text.error().message);
    return false;
  }
  directory_ = directory_of(path);
  const std::string dotenv = directory_ + "/.env";
  if (files_.exists(dotenv)) {
    const Result<std::string> variables = files_.read(dotenv);
    if (variables) {
      environment_.merge(parse_dotenv(*variables));
    } else {
      error(Place::named(dotenv), variables.error().message);
    }
    snapshot_->dotenv = dotenv;
  }
  snapshot_->file = path;
  source_.emplace(path, *std::move(text));
  return true;
}

void Loader::read_sections(const Node& root) {
  const std::vector<std::string> known = names_below("");
  for (const Node::Member& member : root.members) {
    if (const Setting<Snapshot>* setting = find_setting(member.key)) {
      set(*setting, *snapshot_, member.key, member.value);
    } else if (member.key == "prices") {
      read_prices(member.value);
    } else if (member.key == "budgets") {
      read_budgets(member.value);
    } else if (member.key == "rate_limits") {
      read_rate_limits(member.value);
    } else if (contains(section_names(), member.key)) {
      continue;  // providers and routes are read when the environment is known
    } else if (is_section(member.key)) {
      read_section(member.value, member.key);
    } else {
      unknown(member, member.key, known);
    }
  }
}

void Loader::read_section(const Node& node, const std::string& path) {
  if (!node.is(json::Type::kObject))
    return error(Place::in_file(node.offset), path + " must be an object: { ... }");
  const std::vector<std::string> known = names_below(path);
  for (const Node::Member& member : node.members) {
    const std::string child = path + "." + member.key;
    if (const Setting<Snapshot>* setting = find_setting(child))
      set(*setting, *snapshot_, child, member.value);
    else if (is_section(child))
      read_section(member.value, child);
    else
      unknown(member, child, known);
  }
}

void Loader::read_environment() {
  for (const Setting<Snapshot>& setting : settings()) {
    for (const std::string& name : variables_of(setting)) {
      const auto variable = environment_.find(name);
      if (variable == environment_.end()) continue;
      set(setting, *snapshot_, std::string(setting.name), variable->second, Place::named(name));
    }
  }
}

void Loader::read_overrides() {
  for (const auto& [path, value] : options_.overrides) {
    if (path.starts_with("providers.") || path.starts_with("routes.") || path.starts_with("tiers.")) continue;
    if (const Setting<Snapshot>* setting = find_setting(path)) {
      set(*setting, *snapshot_, path, value, Place::named("--" + path));
    } else {
      error(Place::named("--" + path), "there is no setting of this name");
    }
  }
}

/// A variable of ours with a typing error in it would silently do nothing.
void Loader::check_variable_names() {
  std::vector<std::string> known = {"CCRULES_CONFIG"};
  for (const Setting<Snapshot>& setting : settings()) {
    for (std::string& name : variables_of(setting)) known.push_back(std::move(name));
  }
  for (const auto& [name, value] : environment_) {
    if (!name.starts_with(kVariablePrefix) || std::find(known.begin(), known.end(), name) != known.end())
      continue;
    const std::string near = text::did_you_mean(name, known);
    // Only a near miss: other programs may use the prefix for their own.
    if (!near.empty() && near.size() + 2 >= name.size() && name.size() + 2 >= near.size()) {
      warning(Place::named(name), "this variable sets nothing", "did you mean " + near + "?");
    }
  }
}

std::string Loader::variable_or(std::string_view name, std::string otherwise) const {
  const auto found = environment_.find(name);
  return found == environment_.end() || found->second.empty() ? std::move(otherwise) : found->second;
}

Loader::Place Loader::set_place(const std::string& setting) const {
  const auto found = set_at_.find(setting);
  return found == set_at_.end() ? Place::named(setting) : found->second;
}

void Loader::refuse_duplicates(const Node& node) {
  std::map<std::string_view, std::size_t> seen;
  for (const Node::Member& member : node.members) {
    const auto [first, fresh] = seen.emplace(member.key, member.key_offset);
    if (!fresh) {
      const Where earlier = where(Place::in_file(first->second));
      error(Place::in_file(member.key_offset),
            "'" + member.key + "' is already set in line " + std::to_string(earlier.line));
    }
    refuse_duplicates(member.value);
  }
  for (const Node& item : node.items) refuse_duplicates(item);
}

void Loader::unknown(const Node::Member& member, const std::string& path,
                     std::span<const std::string> known) {
  const std::string near = text::did_you_mean(member.key, known);
  std::string hint;
  if (!near.empty()) {
    hint = "did you mean '" + near + "'?";
  } else {
    for (const std::string& name : known) hint += (hint.empty() ? "known here: " : ", ") + name;
  }
  error(Place::in_file(member.key_offset), "unknown setting '" + text::to_valid_utf8(path) + "'",
        std::move(hint));
}

template <class Section>
bool Loader::set(const Setting<Section>& setting, Section& section, const std::string& path,
                 std::string_view text, const Place& place) {
  if (auto problem = assign(setting.slot(section), text, setting.bounds)) {
    error(place, path + " " + *problem);
    return false;
  }
  set_at_.insert_or_assign(path, place);
  return true;
}

template <class Section>
bool Loader::set(const Setting<Section>& setting, Section& section, const std::string& path,
                 const Node& node) {
  const Slot slot = setting.slot(section);
  const Place place = Place::in_file(node.offset);
  if (auto* const* list = std::get_if<std::vector<std::string>*>(&slot);
      list != nullptr && !node.is(json::Type::kString)) {
    if (!node.is(json::Type::kArray))
      return error(place, path + " must be a list of texts: [ \"...\" ]"), false;
    std::vector<std::string> items;
    for (const Node& item : node.items) {
      if (!item.is(json::Type::kString))
        return error(Place::in_file(item.offset), path + " must hold texts in double quotes"), false;
      const auto text = text_of(item, path);
      if (!text) return false;
      items.push_back(*text);
    }
    **list = std::move(items);
    set_at_.insert_or_assign(path, place);
    return true;
  }
  switch (node.type) {
    case json::Type::kString: {
      const auto text = text_of(node, path);
      if (!text) return false;
      if (auto* const* list = std::get_if<std::vector<std::string>*>(&slot)) {
        **list = {*text};
        set_at_.insert_or_assign(path, place);
        return true;
      }
      return set(setting, section, path, *text, place);
    }
    case json::Type::kNumber:
      if (takes_number(slot)) return set(setting, section, path, node.text, place);
      break;
    case json::Type::kBool:
      if (std::holds_alternative<bool*>(slot)) return set(setting, section, path, node.text, place);
      break;
    case json::Type::kNull:
    case json::Type::kArray:
    case json::Type::kObject:
      break;
  }
  std::optional<std::string> expected;
  if (!std::holds_alternative<std::string*>(slot))
    expected = assign(slot, "?", setting.bounds);  // valid for no other kind
  error(place, path + " " + expected.value_or("must be a text in double quotes"));
  return false;
}

template bool Loader::set(const Setting<Provider>&, Provider&, const std::string&, const Node&);
template bool Loader::set(const Setting<Provider>&, Provider&, const std::string&, std::string_view,
                          const Place&);

std::optional<std::string> Loader::text_of(const Node& node, const std::string& path) {
  const Surroundings surroundings{files_, environment_, directory_};
  Interpolated result = interpolate(node.text, surroundings);
  if (!result.problem.empty()) {
    error(Place::in_file(node.offset), path + ": " + result.problem);
    return std::nullopt;
  }
  if (!result.unset_variable.empty()) {
    error(Place::in_file(node.offset),
          path + ": the environment variable " + result.unset_variable + " is not set",
          "set it, or write ${" + result.unset_variable + ":-default}");
    return std::nullopt;
  }
  return std::move(result.text);
}

const Node* Loader::section(std::string_view name) const {
  if (!root_) return nullptr;
  for (const Node::Member& member : root_->members) {
    if (member.key == name) return &member.value;
  }
  return nullptr;
}

Where Loader::where(const Place& place) const {
  if (place.offset && source_) return source_->where(*place.offset);
  return Where{place.label, 0, 0};
}

void Loader::error(const Place& place, std::string message, std::string hint) {
  if (place.offset && source_) {
    diagnostics_.push_back(source_->diagnostic(*place.offset, std::move(message), std::move(hint)));
  } else {
    diagnostics_.push_back(Diagnostic{where(place), std::move(message), std::move(hint), {}, false});
  }
}

void Loader::warning(const Place& place, std::string message, std::string hint) {
  error(place, std::move(message), std::move(hint));
  diagnostics_.back().warning = true;
}

}  // namespace ccrules::config
