#include "packs/lock.h"

#include <algorithm>
#include <set>

#include "config/source.h"
#include "core/json.h"
#include "core/text.h"
#include "packs/manifest.h"

namespace ccrules::packs {
namespace {

using config::Node;
using Type = json::Type;

constexpr std::string_view kSchema = "ccrules.lock/1";

bool is_hash(std::string_view text, std::string_view prefix) {
  constexpr std::size_t kHexDigits = 64;
  return text.starts_with(prefix) && text.size() == prefix.size() + kHexDigits &&
         text.substr(prefix.size()).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

class LockReader {
 public:
  LockReader(const std::string& file, const std::string& text, std::vector<config::Diagnostic>& diagnostics)
      : source_(file, text), diagnostics_(diagnostics) {}

  std::optional<Lock> read() {
    const std::size_t before = diagnostics_.size();
    const std::optional<Node> root = source_.parse(diagnostics_);
    if (!root) return std::nullopt;
    if (!root->is(Type::kObject)) {
      fail(root->offset, "a lock is an object");
      return std::nullopt;
    }
    for (const Node::Member& member : root->members) {
      if (member.key == "schema") {
        if (text(member) != kSchema) fail(member.value.offset, "this lock is of another version of ccrules: schema must be " + std::string(kSchema));
      } else if (member.key == "packs" && member.value.is(Type::kArray)) {
        for (const Node& item : member.value.items) read_pack(item);
      } else if (member.key == "projects" && member.value.is(Type::kArray)) {
        for (const Node& item : member.value.items) read_project(item);
      } else {
        unknown(member, {"schema", "packs", "projects"});
      }
    }
    if (diagnostics_.size() != before) return std::nullopt;
    return std::move(lock_);
  }

 private:
  void fail(std::size_t offset, std::string message, std::string hint = {}) {
    diagnostics_.push_back(source_.diagnostic(offset, std::move(message), std::move(hint)));
  }

  void unknown(const Node::Member& member, const std::vector<std::string>& known) {
    const std::string near = text::did_you_mean(member.key, known);
    const bool listed = std::find(known.begin(), known.end(), member.key) != known.end();
    fail(member.key_offset, listed ? "'" + member.key + "' is of the wrong type" : "unknown member '" + member.key + "'",
         near.empty() || listed ? std::string() : "did you mean '" + near + "'?");
  }

  std::string text(const Node::Member& member) {
    if (member.value.is(Type::kString)) return member.value.text;
    fail(member.value.offset, "'" + member.key + "' must be a text");
    return {};
  }

  // What packs and projects share; false when the member is none of that.
  template <class Entry>
  bool read_common(const Node::Member& member, Entry& entry) {
    if (member.key == "path") {
      entry.path = text(member);
    } else if (member.key == "identity") {
      entry.identity = text(member);
      if (!is_hash(entry.identity, "sha256:")) fail(member.value.offset, "identity must be sha256: and 64 hex digits");
    } else if (member.key == "granted" && member.value.is(Type::kArray)) {
      for (const Node& item : member.value.items) {
        if (!item.is(Type::kString) || !is_grantable(item.text)) {
          fail(item.offset, "only text, headers and spend can be granted");
        } else {
          entry.granted.push_back(item.text);
        }
      }
      std::sort(entry.granted.begin(), entry.granted.end());
    } else if (member.key == "models" && member.value.is(Type::kObject)) {
      for (const Node::Member& model : member.value.members) entry.models[model.key] = text(model);
    } else if (member.key == "settings" && member.value.is(Type::kObject)) {
      for (const Node::Member& setting : member.value.members) entry.settings[setting.key] = text(setting);
    } else {
      return false;
    }
    return true;
  }

  void read_pack(const Node& node) {
    LockedPack pack;
    pack.where = source_.where(node.offset);
    for (const Node::Member& member : node.members) {
      if (read_common(member, pack)) continue;
      if (member.key == "name") {
        pack.name = text(member);
      } else if (member.key == "version") {
        pack.version = text(member);
      } else if (member.key == "source") {
        pack.source = text(member);
      } else if (member.key == "key") {
        pack.key = text(member);
        if (!is_hash(pack.key, "ed25519:")) fail(member.value.offset, "key must be ed25519: and 64 hex digits");
      } else {
        unknown(member, {"name", "version", "path", "source", "identity", "key", "granted", "models", "settings"});
      }
    }
    if (!node.is(Type::kObject) || !is_pack_name(pack.name) || pack.path.empty() || pack.identity.empty()) {
      fail(node.offset, "a locked pack has name, version, path, source and identity");
    } else if (lock_.find(pack.name) != nullptr) {
      fail(node.offset, "pack '" + pack.name + "' is locked twice");
    } else {
      lock_.packs.push_back(std::move(pack));
    }
  }

  void read_project(const Node& node) {
    TrustedPack pack;
    pack.where = source_.where(node.offset);
    for (const Node::Member& member : node.members) {
      if (read_common(member, pack)) continue;
      if (member.key == "project") {
        pack.project = text(member);
      } else {
        unknown(member, {"path", "project", "identity", "granted", "models", "settings"});
      }
    }
    if (!node.is(Type::kObject) || pack.path.empty() || pack.project.empty() || pack.identity.empty()) {
      fail(node.offset, "a trusted project has path, project and identity");
    } else {
      lock_.projects.push_back(std::move(pack));
    }
  }

  config::Source source_;
  std::vector<config::Diagnostic>& diagnostics_;
  Lock lock_;
};

/// An object of texts, one member a line.
class EntryWriter {
 public:
  explicit EntryWriter(std::string& out) : out_(out) { out_ += "    {"; }
  ~EntryWriter() { out_ += "\n    }"; }
  EntryWriter(const EntryWriter&) = delete;
  EntryWriter& operator=(const EntryWriter&) = delete;

  void text(std::string_view name, std::string_view value) {
    key(name);
    json::append_string(out_, value);
  }
  void list(std::string_view name, const std::vector<std::string>& values) {
    if (values.empty()) return;
    key(name);
    out_ += '[';
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out_ += ", ";
      json::append_string(out_, values[i]);
    }
    out_ += ']';
  }
  void map(std::string_view name, const std::map<std::string, std::string>& values) {
    if (values.empty()) return;
    key(name);
    const char* gap = "{ ";
    for (const auto& [from, to] : values) {
      out_ += gap;
      json::append_string(out_, from);
      out_ += ": ";
      json::append_string(out_, to);
      gap = ", ";
    }
    out_ += " }";
  }

 private:
  void key(std::string_view name) {
    out_ += first_ ? "\n      " : ",\n      ";
    first_ = false;
    json::append_string(out_, name);
    out_ += ": ";
  }
  std::string& out_;
  bool first_ = true;
};

}  // namespace

const LockedPack* Lock::find(std::string_view name) const {
  const auto found = std::find_if(packs.begin(), packs.end(), [&](const LockedPack& pack) { return pack.name == name; });
  return found == packs.end() ? nullptr : &*found;
}

LockedPack* Lock::find(std::string_view name) {
  const auto found = std::find_if(packs.begin(), packs.end(), [&](const LockedPack& pack) { return pack.name == name; });
  return found == packs.end() ? nullptr : &*found;
}

std::optional<Lock> read_lock(const std::string& file, const std::string& text, std::vector<config::Diagnostic>& diagnostics) {
  if (text::trim(text).empty()) return Lock();
  return LockReader(file, text, diagnostics).read();
}

std::string to_json(const Lock& lock) {
  std::string out = "{\n  \"schema\": \"" + std::string(kSchema) + "\",\n  \"packs\": [";
  for (std::size_t i = 0; i < lock.packs.size(); ++i) {
    const LockedPack& pack = lock.packs[i];
    out += i > 0 ? ",\n" : "\n";
    EntryWriter entry(out);
    entry.text("name", pack.name);
    entry.text("version", pack.version);
    entry.text("path", pack.path);
    entry.text("source", pack.source);
    entry.text("identity", pack.identity);
    if (!pack.key.empty()) entry.text("key", pack.key);
    entry.list("granted", pack.granted);
    entry.map("models", pack.models);
    entry.map("settings", pack.settings);
  }
  out += lock.packs.empty() ? "]" : "\n  ]";
  out += ",\n  \"projects\": [";
  for (std::size_t i = 0; i < lock.projects.size(); ++i) {
    const TrustedPack& pack = lock.projects[i];
    out += i > 0 ? ",\n" : "\n";
    EntryWriter entry(out);
    entry.text("path", pack.path);
    entry.text("project", pack.project);
    entry.text("identity", pack.identity);
    entry.list("granted", pack.granted);
    entry.map("models", pack.models);
    entry.map("settings", pack.settings);
  }
  out += lock.projects.empty() ? "]\n}\n" : "\n  ]\n}\n";
  return out;
}

std::string lock_path(const std::string& config_file) {
  if (config_file.empty()) return {};
  return config_file.substr(0, config_file.rfind('/') + 1) + std::string(kLockFile);
}

std::optional<Lock> load_lock(const Files& files, const std::string& config_file, std::vector<config::Diagnostic>& diagnostics) {
  const std::string path = lock_path(config_file);
  if (path.empty() || !files.exists(path)) return Lock();
  Result<std::string> text = files.read(path);
  if (text.ok()) return read_lock(path, *text, diagnostics);
  config::Diagnostic diagnostic;
  diagnostic.where.file = path;
  diagnostic.message = text.error().message;
  diagnostics.push_back(std::move(diagnostic));
  return std::nullopt;
}

}  // namespace ccrules::packs
