#include <algorithm>
#include <utility>

#include "config/loader.h"
#include "config/model_name.h"
#include "core/text.h"

/// What can be settled and judged only when everything is set.
namespace ccrules::config {
namespace {

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

}  // namespace

std::string Loader::state_directory() const {
  const std::string home = variable_or("HOME");
  return variable_or("XDG_STATE_HOME", home.empty() ? "" : home + "/.local/state");
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
    const std::string state = state_directory();
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
    const std::string state = state_directory();
    if (state.empty()) return;
    s.models_dir = state + "/ccrules/models";
  } else {
    const bool in_file = at.offset.has_value();
    s.models_dir = resolve_path(s.models_dir, in_file ? directory_ : options_.working_directory, environment_);
    if (files_.look(files_.behind_links(s.models_dir)).kind == Files::Kind::kFile)
      error(at, "models_dir: " + s.models_dir + " is a file", "name the folder that holds it");
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

/// Budgets and limits of a model are those of the model, however it is spelt.
void Loader::name_models() {
  const auto name = [this](auto& rows, const std::string& section) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::string& key = rows[i].key;
      if (rows[i].by != "model" || key.empty()) continue;
      const auto route = snapshot_->routes.find(key);
      std::string named(asked_model_name(snapshot_->models(), key));
      if (route != snapshot_->routes.end() && asked_model_name(snapshot_->models(), route->second.model) != named) {
        warning(set_place(section + "[" + std::to_string(i) + "].scope"),
                "'" + key + "' is the name of a route; what is counted is the model that answers",
                "write \"model:" + route->second.model + "\"");
      }
      key = std::move(named);
    }
  };
  name(snapshot_->budgets, "budgets");
  name(snapshot_->rate_limits, "rate_limits");
}

void Loader::check_listen() {
  Listen& listen = snapshot_->listen;
  listen.host = plain_host(listen.host);
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
}

void Loader::check_retry() {
  if (snapshot_->retry.base <= snapshot_->retry.at_most) return;
  error(set_place(set_at_.contains("retry.base") ? "retry.base" : "retry.at_most"),
        "retry.base must not be longer than retry.at_most");
}

}  // namespace ccrules::config
