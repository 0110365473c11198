#include "config/load.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "config/loader.h"
#include "core/text.h"

namespace ccrules::config {
namespace {

constexpr std::string_view kVariablePrefix = "CCRULES_";
constexpr std::string_view kListenPrefix = "listen.";

std::string variable_or(const Environment& environment, std::string_view name, std::string otherwise = {}) {
  const auto found = environment.find(name);
  return found == environment.end() || found->second.empty() ? std::move(otherwise) : found->second;
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// As it is listened on: without the brackets that an address has in a URL, and in small letters.
std::string plain_host(std::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return text::lower(host);
}

/// Addresses of this machine only, of a plain host. Names other than localhost may mean anything, "127.example.org" too.
bool is_loopback(const std::string& host) {
  if (host == "localhost" || host == "::1") return true;
  const std::vector<std::string_view> parts = text::split(host, '.');
  return parts.size() == 4 && parts[0] == "127" &&
         std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
           const auto number = text::to_int(part);
           return number && *number >= 0 && *number <= 255;
         });
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

std::string number_text(const Node& node) {
  return node.is(json::Type::kNumber) ? node.text : std::string();
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
    snapshot_->listen.host = plain_host(snapshot_->listen.host);
    check_listen();
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
  const std::string from_variable = variable_or(environment_, "CCRULES_CONFIG");
  if (!options_.config_path.empty() || !from_variable.empty()) {
    const bool flag = !options_.config_path.empty();
    path =
        resolve_path(flag ? options_.config_path : from_variable, options_.working_directory, environment_);
    if (!files_.exists(path)) {
      error(Place::named(flag ? "--config" : "CCRULES_CONFIG"), "there is no file " + path);
      return false;
    }
  } else {
    const std::string home = variable_or(environment_, "HOME");
    const std::string user =
        variable_or(environment_, "XDG_CONFIG_HOME", home.empty() ? "" : home + "/.config");
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

void Loader::read_prices(const Node& node) {
  if (!node.is(json::Type::kObject))
    return error(Place::in_file(node.offset), "prices must be an object: { \"model\": { ... } }");
  const std::vector<std::string> known = {"input", "output", "cache_read", "cache_write_5m",
                                          "cache_write_1h"};
  for (const Node::Member& row : node.members) {
    const std::string path = "prices." + row.key;
    if (!row.value.is(json::Type::kObject)) {
      error(Place::in_file(row.value.offset),
            path + " must be an object with USD per million tokens: { \"input\": 4, \"output\": 20 }");
      continue;
    }
    Price price;
    price.model = row.key;
    const std::array<std::optional<std::int64_t>*, 5> rates = {
        &price.rates.input_picousd, &price.rates.output_picousd, &price.rates.cache_read_picousd,
        &price.rates.cache_write_5m_picousd, &price.rates.cache_write_1h_picousd};
    for (const Node::Member& member : row.value.members) {
      const auto name = std::find(known.begin(), known.end(), member.key);
      if (name == known.end()) {
        unknown(member, path + "." + member.key, known);
        continue;
      }
      const std::string text = number_text(member.value);
      if (text.empty() || text.front() == '-') {
        error(Place::in_file(member.value.offset),
              path + "." + member.key + " must be a number of USD per million tokens, not negative");
        continue;
      }
      *rates[static_cast<std::size_t>(name - known.begin())] =
          picousd_per_token(std::strtod(text.c_str(), nullptr));
    }
    snapshot_->prices.push_back(std::move(price));
  }
  // The most exact row decides; `prices` is an object, so the order in the file carries no meaning.
  std::stable_sort(snapshot_->prices.begin(), snapshot_->prices.end(), [](const Price& a, const Price& b) {
    return std::pair(text::is_glob(a.model), b.model.size()) <
           std::pair(text::is_glob(b.model), a.model.size());
  });
}

void Loader::read_budgets(const Node& node) {
  if (!node.is(json::Type::kArray)) {
    return error(Place::in_file(node.offset),
                 "budgets must be a list: [ { \"scope\": \"all\", \"usd\": 25, \"per\": \"day\" } ]");
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) read_budget(node.items[i], "budgets[" + std::to_string(i) + "]");
}

/// "all", "project", "project:/srv/web".
void Loader::read_scope(const std::string& text, const Place& at, const std::string& path, const char* what, std::string& by,
                        std::string& key) {
  constexpr std::array<std::string_view, 9> kGroupings = {"session", "user", "project",  "client", "agent",
                                                          "model",   "key",  "subagent", "tag"};
  const std::size_t colon = text.find(':');
  by = text == "all" ? std::string() : text.substr(0, colon);
  key = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  const bool whose = colon == std::string::npos || !key.empty();
  if (text == "all" || (contains(kGroupings, by) && whose)) return;
  error(at, path + ".scope must be \"all\", one of session, user, project, client, agent, model, key, subagent, tag (each has the " +
                what + " of its own), or one of them such as \"project:/srv/web\"");
}

void Loader::read_budget(const Node& node, const std::string& path) {
  if (!node.is(json::Type::kObject)) {
    return error(Place::in_file(node.offset), path + " must be an object: { \"scope\": \"all\", \"usd\": 25, \"per\": \"day\" }");
  }
  static const std::vector<std::string> known = {"scope", "usd", "per", "mode"};
  Budget budget;
  budget.where = where(Place::in_file(node.offset));
  bool has_usd = false;
  for (const Node::Member& member : node.members) {
    const Place at = Place::in_file(member.value.offset);
    const std::string text = member.value.is(json::Type::kString) ? member.value.text : std::string();
    if (member.key == "scope") {
      read_scope(text, at, path, "budget", budget.by, budget.key);
    } else if (member.key == "usd") {
      const std::string number = number_text(member.value);
      has_usd = true;
      constexpr double kMostUsd = 1e9;  // in nano-USD it fits
      const double usd = std::strtod(number.c_str(), nullptr);
      if (number.empty() || number.front() == '-' || usd > kMostUsd) {
        error(at, path + ".usd must be a number of US dollars, not negative and at most 1000000000");
      } else {
        budget.nanousd = std::llround(usd * 1e9);
      }
    } else if (member.key == "per") {
      budget.per = text;
      if (text != "hour" && text != "day" && text != "week" && text != "month" && text != "total") {
        error(at, path + ".per must be \"hour\", \"day\", \"week\", \"month\" or \"total\"");
      }
    } else if (member.key == "mode") {
      budget.hard = text != "soft";
      if (text != "hard" && text != "soft") error(at, path + ".mode must be \"hard\" or \"soft\"");
    } else {
      unknown(member, path + "." + member.key, known);
    }
  }
  if (!has_usd) error(Place::in_file(node.offset), path + " needs usd: how many US dollars may be spent");
  snapshot_->budgets.push_back(std::move(budget));
}

void Loader::read_rate_limits(const Node& node) {
  if (!node.is(json::Type::kArray)) {
    return error(Place::in_file(node.offset),
                 "rate_limits must be a list: [ { \"scope\": \"session\", \"requests\": 60, \"per\": \"1m\" } ]");
  }
  for (std::size_t i = 0; i < node.items.size(); ++i)
    read_rate_limit(node.items[i], "rate_limits[" + std::to_string(i) + "]");
}

void Loader::read_rate_limit(const Node& node, const std::string& path) {
  if (!node.is(json::Type::kObject)) {
    return error(Place::in_file(node.offset),
                 path + " must be an object: { \"scope\": \"session\", \"requests\": 60, \"per\": \"1m\" }");
  }
  static const std::vector<std::string> known = {"scope", "requests", "tokens", "concurrent", "per", "wait", "fair"};
  RateLimit limit;
  limit.where = where(Place::in_file(node.offset));
  for (const Node::Member& member : node.members) {
    const Place at = Place::in_file(member.value.offset);
    const std::string text = member.value.is(json::Type::kString) ? member.value.text : std::string();
    if (member.key == "scope") {
      read_scope(text, at, path, "limit", limit.by, limit.key);
    } else if (member.key == "requests" || member.key == "tokens" || member.key == "concurrent") {
      const auto number = text::to_int(number_text(member.value));
      if (!number || *number < 0) {
        error(at, path + "." + member.key + " must be a whole number, not negative");
      } else {
        (member.key == "requests" ? limit.requests : member.key == "tokens" ? limit.tokens : limit.concurrent) = *number;
      }
    } else if (member.key == "fair") {
      if (member.value.is(json::Type::kBool)) {
        limit.fair = member.value.text == "true";
      } else {
        error(Place::in_file(member.value.offset), path + ".fair must be true or false");
      }
    } else if (member.key == "per" || member.key == "wait") {
      const auto time = parse_duration(text);
      const bool per = member.key == "per";
      if (!time || time->count() < (per ? 1 : 0)) {
        error(at, path + "." + member.key + " must be a duration such as \"1m\"");
      } else {
        (per ? limit.per : limit.wait) = *time;
      }
    } else {
      unknown(member, path + "." + member.key, known);
    }
  }
  if (limit.requests < 0 && limit.tokens < 0 && limit.concurrent < 0)
    error(Place::in_file(node.offset), path + " needs requests, tokens or concurrent: how many there may be");
  snapshot_->rate_limits.push_back(std::move(limit));
}

void Loader::read_environment() {
  for (const Setting<Snapshot>& setting : settings()) {
    std::vector<std::string> names = {std::string(kVariablePrefix) + variable_name(setting.name)};
    // CCRULES_PORT is what people write; it wins over the long form.
    if (setting.name.starts_with(kListenPrefix)) {
      names.push_back(std::string(kVariablePrefix) +
                      variable_name(setting.name.substr(kListenPrefix.size())));
    }
    for (const std::string& name : names) {
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
    known.push_back(std::string(kVariablePrefix) + variable_name(setting.name));
    if (setting.name.starts_with(kListenPrefix)) {
      known.push_back(std::string(kVariablePrefix) +
                      variable_name(setting.name.substr(kListenPrefix.size())));
    }
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

Loader::Place Loader::set_place(const std::string& setting) const {
  const auto found = set_at_.find(setting);
  return found == set_at_.end() ? Place::named(setting) : found->second;
}

void Loader::finish_paths() {
  Snapshot& s = *snapshot_;
  const auto resolve = [&](std::string& path, const std::string& setting) {
    // What the file says is relative to the file; what a flag or variable says, to where the user stands.
    const auto place = set_at_.find(setting);
    const bool in_file = place == set_at_.end() || place->second.offset.has_value();
    path = resolve_path(path, in_file ? directory_ : options_.working_directory, environment_);
  };
  const auto resolve_existing = [&](std::string& path, const std::string& setting) {
    resolve(path, setting);
    if (!path.empty() && !files_.exists(path)) error(set_place(setting), setting + ": there is no file " + path);
  };
  const auto resolve_each = [&](std::vector<std::string>& paths, const std::string& setting) {
    for (auto path = paths.begin(); path != paths.end(); ++path) {
      resolve_existing(*path, setting);
      if (path->empty()) {
        error(set_place(setting), setting + " holds an empty path; name a file, or leave it out");
      } else if (std::find(paths.begin(), path, *path) != path) {
        error(set_place(setting), setting + " holds " + *path + " twice; once is enough");
      }
    }
  };
  resolve_each(s.rules, "rules");
  resolve_each(s.shadow, "shadow");
  resolve_existing(s.listen.tls_cert, "listen.tls.cert");
  resolve_existing(s.listen.tls_key, "listen.tls.key");
  resolve(s.log.file, "log.file");
  resolve(s.cache.persist, "cache.persist");
  for (Provider& provider : s.providers)
    resolve_existing(provider.ca_file, "providers." + provider.id + ".ca_file");
  if (s.ledger.path.empty()) {
    const std::string home = variable_or(environment_, "HOME");
    const std::string state =
        variable_or(environment_, "XDG_STATE_HOME", home.empty() ? "" : home + "/.local/state");
    s.ledger.path = state.empty()
                        ? resolve_path("ccrules-ledger.db", options_.working_directory, environment_)
                        : state + "/ccrules/ledger.db";
  } else {
    resolve(s.ledger.path, "ledger.path");
  }
  if (s.ledger.bodies != "none") {
    const auto place = set_at_.find("ledger.bodies");
    if (place != set_at_.end()) error(place->second, "ledger.bodies must be \"none\" in this version");
  }
}

void Loader::load_zone() {
  if (snapshot_->time_zone == "UTC") return;  // takes no file
  Result<TimeZone> zone = TimeZone::load(files_, snapshot_->time_zone);
  if (zone) {
    snapshot_->zone = *std::move(zone);
    return;
  }
  error(set_place("time_zone"), "time_zone: " + zone.error().message);
}

/// What `ccrules models --update` has put there. A file that cannot be read is an error: the prices in it would count for nothing.
void Loader::load_models() {
  Snapshot& s = *snapshot_;
  const Place at = set_place("models_dir");
  if (s.models_dir.empty()) {
    const std::string home = variable_or(environment_, "HOME");
    const std::string state = variable_or(environment_, "XDG_STATE_HOME", home.empty() ? "" : home + "/.local/state");
    if (state.empty()) return;
    s.models_dir = state + "/ccrules/models";
  } else {
    const bool in_file = at.offset.has_value();
    s.models_dir = resolve_path(s.models_dir, in_file ? directory_ : options_.working_directory, environment_);
  }
  std::vector<std::string> texts;
  for (const std::string& name : files_.list(s.models_dir)) {
    if (!name.ends_with(".json")) continue;
    const std::string path = s.models_dir + "/" + name;
    Result<std::string> text = files_.read(path);
    const Result<ModelTable> alone = text ? ModelTable::newer({*text}) : Result<ModelTable>(text.error());
    if (alone) {
      texts.push_back(*std::move(text));
    } else {
      error(at, path + ": " + alone.error().message, "repair it, replace it with `ccrules models --update FILE`, or delete it");
    }
  }
  if (texts.empty()) return;
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  Result<ModelTable> table = ModelTable::newer(views);
  if (table) s.newer_models = std::make_shared<const ModelTable>(*std::move(table));
}

void Loader::check_listen() {
  const Listen& listen = snapshot_->listen;
  if (listen.host.empty())
    error(set_place("listen.host"), "listen.host must not be empty");
  else if (!is_loopback(listen.host) && listen.api_key.empty()) {
    error(set_place("listen.host"),
          "listen.host " + listen.host + " is reachable from other machines, so listen.api_key must be set",
          "set listen.api_key (or CCRULES_API_KEY), or listen on 127.0.0.1");
  }
  if (listen.tls_cert.empty() != listen.tls_key.empty()) {
    const bool no_key = listen.tls_key.empty();
    error(set_place(no_key ? "listen.tls.cert" : "listen.tls.key"),
          no_key ? "listen.tls.key must be set together with listen.tls.cert"
                 : "listen.tls.cert must be set together with listen.tls.key");
  }
  if (listen.compress != "auto" && listen.compress != "on" && listen.compress != "off")
    error(set_place("listen.compress"), "listen.compress must be auto, on or off");
  for (const auto& [name, key] : {std::pair("listen.api_key", &listen.api_key), std::pair("listen.admin_key", &listen.admin_key)}) {
    const bool sendable = text::trim(*key) == *key && std::none_of(key->begin(), key->end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    });
    if (!sendable)
      error(set_place(name), std::string(name) + " must be one line without control characters, and without blanks around it: no header could carry it");
  }
  if (!listen.admin_key.empty() && listen.admin_key == listen.api_key) {
    error(set_place("listen.admin_key"), "listen.admin_key is the same as listen.api_key, so every client could change this proxy",
          "give it another value, or leave it out: then it takes listen.api_key and this machine");
  }
  for (const std::string& host : listen.allowed_hosts) {
    const bool plain = !host.empty() && host.find_first_of(" /@#?\t\r\n") == std::string::npos;
    if (!plain)
      error(set_place("listen.allowed_hosts"),
            "listen.allowed_hosts holds host names only, such as \"proxy.example.org\"");
  }
  if (snapshot_->retry.base > snapshot_->retry.at_most) {
    error(set_place(set_at_.contains("retry.base") ? "retry.base" : "retry.at_most"),
          "retry.base must not be longer than retry.at_most");
  }
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
