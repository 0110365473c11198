#include <algorithm>
#include <array>

#include "config/loader.h"
#include "core/digest.h"
#include "core/limits.h"
#include "core/text.h"

namespace ccrules::config {
namespace {

constexpr std::string_view kVariablePrefix = "CCRULES_PROVIDERS_";
constexpr std::string_view kPathPrefix = "providers.";
constexpr std::string_view kSimulator = "sim";
constexpr std::array<std::string_view, 6> kDialects = {"anthropic", "openai_chat", "openai_responses", "gemini", "ollama", "sim"};
constexpr std::array<std::string_view, 3> kCompressions = {"auto", "on", "off"};
constexpr std::array<std::string_view, 8> kAuths = {"default", "bearer", "x-api-key",   "x-goog-api-key",
                                                    "api-key", "sigv4",  "none",        "passthrough"};
constexpr std::array<std::string_view, 3> kClouds = {"", "vertex", "bedrock"};
constexpr std::array<std::string_view, 8> kStyles = {
    "", "effort", "thinking", "thinking_kept", "enable_thinking", "reasoning", "reasoning_enabled", "chat_template"};
constexpr std::array<std::string_view, 4> kReplays = {"", "reasoning_content", "reasoning_details", "thought_signature"};
/// Headers that frame the message or carry the credential: not the configuration's to set.
constexpr std::array<std::string_view, 6> kFixedHeaders = {
    "host", "content-length", "transfer-encoding", "connection", "upgrade", "expect"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string join(std::span<const std::string_view> names) {
  std::string out;
  for (const std::string_view name : names) {
    if (!name.empty()) out += (out.empty() ? "" : ", ") + std::string(name);
  }
  return out;
}

const Setting<Provider>* find_setting(std::string_view name) {
  for (const Setting<Provider>& setting : provider_settings()) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

std::vector<std::string> names_below(const std::string& prefix) {
  std::vector<std::string> names;
  for (const Setting<Provider>& setting : provider_settings()) {
    if (!setting.name.starts_with(prefix)) continue;
    const std::string_view rest = setting.name.substr(prefix.size());
    std::string name(rest.substr(0, rest.find('.')));
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  if (prefix.empty()) names.insert(names.end(), {"headers", "switches"});
  return names;
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.';
}

bool is_header_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return is_name_char(c) || std::string_view("!#$%&'*+^`|~").find(c) != std::string_view::npos;
  });
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// What is wrong with a base URL; empty: nothing. security.md 10.
std::string url_problem(std::string_view url) {
  std::string_view rest = url;
  if (rest.starts_with("https://"))
    rest.remove_prefix(8);
  else if (rest.starts_with("http://"))
    rest.remove_prefix(7);
  else
    return "must start with https:// or http://";
  for (const char c : rest) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f) return "must not hold spaces, line breaks or characters outside ASCII";
    if (c == '\\') return "must not hold a backslash";
  }
  if (rest.find('#') != std::string_view::npos) return "must not hold '#'";
  if (rest.find('?') != std::string_view::npos) return "must not hold a query ('?')";
  const std::string_view authority = rest.substr(0, rest.find('/'));
  if (authority.find('@') != std::string_view::npos)
    return "must not hold a user name or password; use api_key";
  std::string_view host = authority;
  std::string_view port;
  if (host.starts_with("[")) {
    const auto close = host.find(']');
    if (close == std::string_view::npos) return "holds '[' without ']'";
    port = host.substr(close + 1);
    host = host.substr(1, close - 1);
    if (!port.empty() && port.front() != ':') return "holds something other than a port after ']'";
    if (host.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos)
      return "holds no valid address between '[' and ']'";
  } else if (const auto colon = host.find(':'); colon != std::string_view::npos) {
    port = host.substr(colon);
    host = host.substr(0, colon);
    if (!std::all_of(host.begin(), host.end(), is_name_char)) return "holds a host name that cannot be";
  } else if (!std::all_of(host.begin(), host.end(), is_name_char)) {
    return "holds a host name that cannot be";
  }
  if (host.empty()) return "names no host";
  if (!port.empty()) {
    const auto number = text::to_int(port.substr(1));
    if (!number || *number < 1 || *number > 65535) return "holds a port that is not a number from 1 to 65535";
  }
  return {};
}

}  // namespace

void Loader::read_providers() {
  const Node* node = section("providers");
  if (node != nullptr && !node->is(json::Type::kObject)) {
    error(Place::in_file(node->offset), "providers must be an object: { \"name\": { ... } }");
  } else if (node != nullptr) {
    for (const Node::Member& member : node->members) read_provider(member);
  } else {
    add_automatic_providers();
  }
  apply_provider_variables();
  for (const auto& [path, value] : options_.overrides) {
    if (path.starts_with(kPathPrefix))
      apply_provider_text(path.substr(kPathPrefix.size()), value, Place::named("--" + path));
  }
  for (Provider& provider : snapshot_->providers) {
    take_firsts(provider);
    find_key(provider);
    check_provider(provider);
    make_lanes(provider);
    if (provider.dialect != kSimulator) find_proxy(provider);
  }
  add_simulator();
}

/// Without `providers` in a file, the environment's keys say which there are.
bool Loader::automatic() const {
  return section("providers") == nullptr;
}

Provider Loader::made_from(const Vendor& vendor, const std::string& dialect, Place place) {
  Provider provider;
  provider.id = vendor.id;
  provider.dialect = dialect;
  provider.models = vendor.models;
  provider.local = vendor.local;
  provider.timeouts = snapshot_->timeouts;
  provider.hedge = snapshot_->hedge;
  provider.where = where(place);
  if (const auto endpoint = vendor.endpoints.find(dialect); endpoint != vendor.endpoints.end()) {
    provider.base_url = endpoint->second.base_url;
    provider.auth = endpoint->second.auth;
    provider.switches = endpoint->second.switches;
    provider.reasoning_replay = endpoint->second.reasoning_replay;
    provider.reasoning_style = endpoint->second.reasoning_style;
    provider.cloud = endpoint->second.cloud;
  }
  return provider;
}

const std::string* Loader::key_in_environment(const Vendor& vendor) const {
  for (const std::string& name : vendor.api_key_env) {
    const auto variable = environment_.find(name);
    if (variable != environment_.end() && !variable->second.empty()) return &variable->second;
  }
  return nullptr;
}

void Loader::add_automatic_providers() {
  for (const Vendor& vendor : vendors()) {
    const std::string* key = key_in_environment(vendor);
    if (key == nullptr || vendor.needs_address(vendor.dialect)) continue;
    snapshot_->providers.push_back(
        made_from(vendor, vendor.dialect, Place::named(vendor.api_key_env.front())));
    snapshot_->providers.back().api_key = *key;
  }
}

void Loader::read_provider(const Node::Member& member) {
  const std::string path = std::string(kPathPrefix) + member.key;
  const Place place = Place::in_file(member.key_offset);
  if (member.key.empty() || !std::all_of(member.key.begin(), member.key.end(), is_name_char)) {
    return error(place, "a provider's name may hold letters, digits, '-', '_' and '.' only");
  }
  if (!member.value.is(json::Type::kObject))
    return error(Place::in_file(member.value.offset), path + " must be an object: { ... }");
  std::string dialect;
  for (const Node::Member& inner : member.value.members) {
    if (inner.key == "dialect" && inner.value.is(json::Type::kString)) dialect = inner.value.text;
  }
  Provider provider;
  if (const Vendor* vendor = find_vendor(member.key)) {
    provider = made_from(*vendor, dialect.empty() ? vendor->dialect : dialect, place);
  } else {
    provider.id = member.key;
    provider.timeouts = snapshot_->timeouts;
    provider.hedge = snapshot_->hedge;
    provider.where = where(place);
  }
  read_provider_members(provider, member.value, path, "");
  set_at_.emplace(path, place);
  snapshot_->providers.push_back(std::move(provider));
}

void Loader::read_provider_members(Provider& provider, const Node& node, const std::string& path,
                                   const std::string& prefix) {
  if (!node.is(json::Type::kObject))
    return error(Place::in_file(node.offset), path + " must be an object: { ... }");
  for (const Node::Member& member : node.members) {
    const std::string name = prefix + member.key;
    const std::string child = path + "." + member.key;
    if (name == "api_key")
      set_api_key(provider, member.value, child);
    else if (const Setting<Provider>* setting = find_setting(name))
      set(*setting, provider, child, member.value);
    else if (name == "switches")
      read_switches(provider, member.value, child);
    else if (name == "headers")
      read_headers(provider, member.value, child);
    else if (!names_below(name + ".").empty())
      read_provider_members(provider, member.value, child, name + ".");
    else
      unknown(member, child, names_below(prefix));
  }
}

void Loader::read_switches(Provider& provider, const Node& node, const std::string& path) {
  if (!node.is(json::Type::kObject))
    return error(Place::in_file(node.offset), path + " must be an object: { \"vision\": false }");
  const std::vector<std::string> known(switch_names().begin(), switch_names().end());
  for (const Node::Member& member : node.members) {
    if (std::find(known.begin(), known.end(), member.key) == known.end())
      unknown(member, path + "." + member.key, known);
    else if (!member.value.is(json::Type::kBool))
      error(Place::in_file(member.value.offset), path + "." + member.key + " must be true or false");
    else
      provider.switches.insert_or_assign(member.key, member.value.text == "true");
  }
}

void Loader::read_headers(Provider& provider, const Node& node, const std::string& path) {
  if (!node.is(json::Type::kObject))
    return error(Place::in_file(node.offset), path + " must be an object: { \"x-name\": \"value\" }");
  for (const Node::Member& member : node.members) {
    const std::string child = path + "." + member.key;
    if (!is_header_name(member.key)) {
      error(Place::in_file(member.key_offset), path + ": this is no header name");
    } else if (contains(kFixedHeaders, text::lower(member.key))) {
      error(Place::in_file(member.key_offset), child + " is set by ccrules itself");
    } else if (!member.value.is(json::Type::kString)) {
      error(Place::in_file(member.value.offset), child + " must be a text in double quotes");
    } else if (const auto value = text_of(member.value, child)) {
      if (has_control(*value))
        error(Place::in_file(member.value.offset), child + " must be one line without control characters");
      provider.headers.insert_or_assign(member.key, *value);
    }
  }
}

/// A key whose variable is not set switches the provider off instead of stopping the program: one file then
/// serves machines that have different keys.
void Loader::set_api_key(Provider& provider, const Node& node, const std::string& path) {
  if (node.is(json::Type::kString)) {
    const Interpolated key = interpolate(node.text, Surroundings{files_, environment_, directory_});
    if (key.problem.empty() && !key.unset_variable.empty()) {
      key_missing_.insert_or_assign(provider.id, key.unset_variable);
      set_at_.insert_or_assign(path, Place::in_file(node.offset));
      return;
    }
  }
  set(*find_setting("api_key"), provider, path, node);
}

/// CCRULES_PROVIDERS_<NAME>_<SETTING>: the longest name that fits wins, so that names may contain each other.
void Loader::apply_provider_variables() {
  for (const auto& [variable, value] : environment_) {
    if (!variable.starts_with(kVariablePrefix)) continue;
    const std::string_view rest = std::string_view(variable).substr(kVariablePrefix.size());
    std::string id;
    std::string_view setting_name;
    const auto consider = [&](const std::string& candidate) {
      const std::string name = variable_name(candidate) + "_";
      if (candidate.size() <= id.size() || !rest.starts_with(name)) return;
      for (const Setting<Provider>& setting : provider_settings()) {
        if (variable_name(setting.name) != rest.substr(name.size())) continue;
        id = candidate;
        setting_name = setting.name;
      }
    };
    for (const Provider& provider : snapshot_->providers) consider(provider.id);
    for (const Vendor& vendor : vendors()) consider(vendor.id);
    if (id.empty()) {
      warning(Place::named(variable), "names no provider and setting",
              "write CCRULES_PROVIDERS_<NAME>_<SETTING>, such as CCRULES_PROVIDERS_GROQ_API_KEY");
      continue;
    }
    apply_provider_text(id + "." + std::string(setting_name), value, Place::named(variable));
  }
}

/// `path` is "<id>.<setting>"; a vendor that is not there yet appears.
void Loader::apply_provider_text(const std::string& path, std::string_view text, const Place& place) {
  for (const Setting<Provider>& setting : provider_settings()) {
    const std::string suffix = "." + std::string(setting.name);
    if (!path.ends_with(suffix)) continue;
    const std::string id = path.substr(0, path.size() - suffix.size());
    auto& providers = snapshot_->providers;
    auto row = std::find_if(providers.begin(), providers.end(),
                            [&](const Provider& provider) { return provider.id == id; });
    if (row == providers.end()) {
      const Vendor* vendor = find_vendor(id);
      if (vendor == nullptr) continue;
      row = providers.insert(providers.end(), made_from(*vendor, vendor->dialect, place));
    }
    if (setting.name == "dialect") {  // the vendor's other endpoint, unless the file says where to go
      const Vendor* vendor = find_vendor(id);
      const auto endpoint =
          vendor == nullptr ? decltype(vendor->endpoints.end()){} : vendor->endpoints.find(text);
      if (vendor != nullptr && endpoint != vendor->endpoints.end() &&
          !set_at_.contains(std::string(kPathPrefix) + id + ".base_url")) {
        row->base_url = endpoint->second.base_url;
        row->auth = endpoint->second.auth;
        row->cloud = endpoint->second.cloud;
      }
    }
    set(setting, *row, std::string(kPathPrefix) + path, text, place);
    if (setting.name == "api_key") key_missing_.erase(id);
    return;
  }
  error(place, "there is no provider setting of this name");
}

Loader::Place Loader::place_of(const std::string& path, const Provider& provider) const {
  const std::string base = std::string(kPathPrefix) + provider.id;
  if (const auto exact = set_at_.find(base + "." + path); exact != set_at_.end()) return exact->second;
  if (const auto row = set_at_.find(base); row != set_at_.end()) return row->second;
  return Place::named(base);
}

/// Of several keys or addresses the first stands where a single one does. A key that is empty is one that this machine has not.
void Loader::take_firsts(Provider& provider) {
  const std::string path = std::string(kPathPrefix) + provider.id;
  std::erase(provider.api_keys, std::string());
  if (provider.api_key.empty() && !provider.api_keys.empty()) {
    provider.api_key = provider.api_keys.front();
    key_missing_.erase(provider.id);
  } else if (provider.api_key.empty() && set_at_.contains(path + ".api_keys")) {
    key_missing_.emplace(provider.id, "every key of its api_keys");
  }
  for (std::string& url : provider.base_urls) {
    while (url.ends_with("/")) url.pop_back();
  }
  if (!provider.base_urls.empty() && !set_at_.contains(path + ".base_url")) provider.base_url = provider.base_urls.front();
}

/// Every address with every key, where that is more than one.
void Loader::make_lanes(Provider& provider) {
  const std::string path = std::string(kPathPrefix) + provider.id;
  const auto with_first = [](const std::string& first, const std::vector<std::string>& others) {
    std::vector<std::string> all = {first};
    for (const std::string& other : others) {
      if (std::find(all.begin(), all.end(), other) == all.end()) all.push_back(other);
    }
    return all;
  };
  const std::vector<std::string> urls = with_first(provider.base_url, provider.base_urls);
  const std::vector<std::string> keys = with_first(provider.api_key, provider.api_keys);
  for (const std::string& url : urls) {
    const std::string problem = url == provider.base_url ? std::string() : url_problem(url);
    if (!problem.empty()) error(place_of("base_urls", provider), path + ".base_urls: '" + url + "' " + problem);
  }
  for (const std::string& key : keys) {
    if (has_control(key)) error(place_of("api_keys", provider), path + ".api_keys must each be one line without control characters");
  }
  if (urls.size() * keys.size() > limits::kLanes) {
    return error(place_of(keys.size() > 1 ? "api_keys" : "base_urls", provider),
                 path + " has more than " + std::to_string(limits::kLanes) + " pairs of an address and a key");
  }
  if (urls.size() * keys.size() < 2) return;
  for (const std::string& url : urls) {
    for (const std::string& key : keys) {
      provider.lanes.push_back({url, key, digest::hash64(key, digest::hash64(url, digest::hash64(provider.id)))});
    }
  }
}

/// The key of a known vendor comes from its usual variable; without one the provider is off, and says why.
void Loader::find_key(Provider& provider) {
  const Vendor* vendor = find_vendor(provider.id);
  const bool says_key = set_at_.contains(std::string(kPathPrefix) + provider.id + ".api_key");
  if (vendor != nullptr && !says_key && provider.api_key.empty() && provider.auth != "none" &&
      provider.auth != "passthrough") {
    const auto endpoint = vendor->endpoints.find(provider.dialect);
    const bool vendors_own =
        endpoint != vendor->endpoints.end() && endpoint->second.base_url == provider.base_url;
    if (const std::string* key = key_in_environment(*vendor); key != nullptr && vendors_own)
      provider.api_key = *key;
    else if (vendors_own && !vendor->api_key_env.empty())
      key_missing_.emplace(provider.id, vendor->api_key_env.front());
  }
  const auto missing = key_missing_.find(provider.id);
  if (missing == key_missing_.end() || !provider.enabled || options_.dry_run) return;
  provider.enabled = false;
  warning(place_of("api_key", provider),
          "provider " + provider.id + " is switched off: " + missing->second + " is not set");
}

void Loader::check_provider(Provider& provider) {
  const std::string path = std::string(kPathPrefix) + provider.id;
  if (provider.dialect.empty()) {
    error(place_of("dialect", provider),
          path + ".dialect must be set: anthropic, openai_chat, openai_responses, gemini or ollama");
  } else if (!contains(kDialects, provider.dialect)) {
    const std::vector<std::string> known(kDialects.begin(), kDialects.end());
    const std::string near = text::did_you_mean(provider.dialect, known);
    error(place_of("dialect", provider), path + ".dialect must be one of " + join(kDialects),
          near.empty() ? "" : "did you mean '" + near + "'?");
  }
  if (provider.dialect != kSimulator) check_url(provider, place_of("base_url", provider));
  while (provider.base_url.ends_with("/")) provider.base_url.pop_back();
  if (!contains(kAuths, provider.auth))
    error(place_of("auth", provider), path + ".auth must be one of " + join(kAuths));
  if (provider.auth == "none" && !provider.api_key.empty() && provider.dialect != kSimulator) {
    const char* member = provider.api_keys.empty() ? "api_key" : "api_keys";
    warning(place_of(member, provider), path + "." + member + " is not sent: auth is none", "leave out auth, or the key");
  }
  check_cloud(provider);
  if (!contains(kCompressions, provider.compression))
    error(place_of("compression", provider), path + ".compression must be one of " + join(kCompressions));
  if (provider.http2 != "auto" && provider.http2 != "off")
    error(place_of("http2", provider), path + ".http2 must be auto or off");
  if (!contains(kReplays, provider.reasoning_replay)) {
    error(place_of("reasoning_replay", provider),
          path + ".reasoning_replay must be one of " + join(kReplays) + " or empty");
  }
  if (!contains(kStyles, provider.reasoning_style)) {
    error(place_of("reasoning_style", provider),
          path + ".reasoning_style must be one of " + join(kStyles) + " or empty");
  }
  if (has_control(provider.api_key))
    error(place_of("api_key", provider), path + ".api_key must be one line without control characters");
  if (std::any_of(provider.models.begin(), provider.models.end(),
                  [](const std::string& glob) { return glob.empty(); })) {
    error(place_of("models", provider), path + ".models holds an empty name");
  }
}

/// What stands in another vendor's envelope, or is signed.
void Loader::check_cloud(const Provider& provider) {
  const std::string path = std::string(kPathPrefix) + provider.id;
  if (!contains(kClouds, provider.cloud)) {
    error(place_of("cloud", provider), path + ".cloud must be vertex, bedrock or empty");
  } else if (!provider.cloud.empty() && provider.dialect != "anthropic") {
    error(place_of("cloud", provider), path + ".cloud is for Claude there: set dialect to anthropic, or leave cloud out");
  }
  if (provider.auth != "sigv4") return;
  const std::size_t slash = provider.aws_scope.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == provider.aws_scope.size() ||
      provider.aws_scope.find('/', slash + 1) != std::string::npos) {
    error(place_of("aws_scope", provider), path + ".aws_scope must be what auth sigv4 signs for, as region/service");
  }
  const auto check_key = [&](const std::string& key, const char* member) {
    const auto colons = std::count(key.begin(), key.end(), ':');
    if (!key.empty() && colons != 1 && colons != 2)
      error(place_of(member, provider), path + "." + member + " must be KEY-ID:SECRET or KEY-ID:SECRET:SESSION-TOKEN for auth sigv4");
  };
  check_key(provider.api_key, "api_key");
  for (const std::string& key : provider.api_keys) {
    if (key != provider.api_key) check_key(key, "api_keys");
  }
}

void Loader::check_url(const Provider& provider, const Place& place) {
  const std::string path = std::string(kPathPrefix) + provider.id + ".base_url ";
  if (provider.base_url.empty()) return error(place, path + "must be set");
  const std::string problem = url_problem(provider.base_url);
  if (problem.empty() && provider.base_url.find("YOUR-") != std::string::npos && provider.enabled)
    return error(place, path + "must name your own resource: '" + provider.base_url + "' shows where it stands");
  if (problem.empty()) return;
  const bool no_scheme = provider.base_url.find("://") == std::string::npos;
  const bool near = provider.base_url.starts_with("localhost") || provider.base_url.starts_with("127.");
  const std::string completed = (near ? "http://" : "https://") + provider.base_url;
  const bool helps = no_scheme && url_problem(completed).empty();
  error(place, path + problem, helps ? "did you mean '" + completed + "'?" : "");
}

/// The provider's own `proxy`, else the global one, else HTTPS_PROXY or HTTP_PROXY; the last two leave out
/// what no_proxy names and this machine.
void Loader::find_proxy(Provider& provider) {
  const bool https = text::starts_with_ignore_case(provider.base_url, "https://");
  std::string_view authority = std::string_view(provider.base_url).substr(std::min<std::size_t>(https ? 8 : 7, provider.base_url.size()));
  authority = authority.substr(0, authority.find('/'));
  ForwardProxy there;  // the provider's own address reads like one
  if (!read_forward_proxy((https ? "https://" : "http://") + std::string(authority), there).empty()) return;

  const auto variable = [&](const std::string& name) -> std::string {
    for (const std::string& spelling : {text::lower(name), name}) {
      const auto found = environment_.find(spelling);
      if (found != environment_.end() && !found->second.empty()) return found->second;
    }
    return {};
  };
  std::string url = provider.proxy;
  std::string setting = "providers." + provider.id + ".proxy";
  Place place = place_of("proxy", provider);
  if (url.empty()) {
    std::vector<std::string> direct = snapshot_->no_proxy;
    if (direct.empty()) {
      std::string rules = variable("NO_PROXY");
      std::replace(rules.begin(), rules.end(), ' ', ',');
      for (const std::string_view rule : text::split(rules, ',')) direct.emplace_back(rule);
    }
    if (is_loopback_host(there.host) || bypasses_proxy(direct, there.host, there.port)) return;
    url = snapshot_->proxy;
    setting = "proxy";
    const auto set = set_at_.find("proxy");
    place = set == set_at_.end() ? Place::named(setting) : set->second;
  }
  if (url.empty()) {
    setting = https ? "HTTPS_PROXY" : "HTTP_PROXY";
    place = Place::named(setting);
    url = variable(setting);
  }
  if (url.empty() || url == "off") return;
  const std::string problem = read_forward_proxy(url, provider.via);
  const std::string message = setting + " " + problem;
  const bool told = std::any_of(diagnostics_.begin(), diagnostics_.end(),
                                [&](const Diagnostic& known) { return known.message == message; });
  if (problem.empty() || told) return;
  error(place, message, "write it as http://host:port or http://user:password@host:port, or set proxy to \"off\"");
  diagnostics_.back().source_line.clear();  // it may hold a password
}

/// `sim` is always there and always last; alone it answers every model, so that the first request works
/// without a key.
void Loader::add_simulator() {
  auto& providers = snapshot_->providers;
  const auto same = std::find_if(providers.begin(), providers.end(),
                                 [](const Provider& provider) { return provider.id == kSimulator; });
  Provider simulator;
  if (same != providers.end()) {
    if (same->dialect != kSimulator) {
      error(place_of("dialect", *same),
            "providers.sim is the built-in simulator; give this provider another name");
    }
    simulator = std::move(*same);
    providers.erase(same);
  } else {
    simulator.id = kSimulator;
    simulator.dialect = kSimulator;
    simulator.timeouts = snapshot_->timeouts;
    simulator.hedge = snapshot_->hedge;
  }
  const bool alone =
      providers.empty();  // a provider that is only switched off must not be replaced in silence
  if (simulator.models.empty())
    simulator.models = alone ? std::vector<std::string>{"*"} : std::vector<std::string>{"sim-*"};
  simulator.local = true;
  simulator.auth = "none";
  providers.push_back(std::move(simulator));
}

}  // namespace ccrules::config
