#include "packs/manifest.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "config/source.h"
#include "core/limits.h"
#include "core/text.h"

namespace ccrules::packs {
namespace {

using config::Node;
using Type = json::Type;

constexpr std::array<std::string_view, 15> kMembers = {"$schema", "name",   "version",  "engine", "kind",  "summary",  "license", "depends",
                                                       "needs",   "models", "settings", "rules",  "tests", "homepage", "authors"};
constexpr std::size_t kNameBytes = 64;
constexpr std::size_t kSummaryBytes = 200;

bool is_rule_file(std::string_view path) {
  return (path.ends_with(".lua") && !path.ends_with("_test.lua") && !path.ends_with(".test.lua")) || path.ends_with(".json");
}
bool is_test_file(std::string_view path) {
  return path.ends_with("_test.lua") || path.ends_with(".test.lua") || path.ends_with(".jsonl");
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string near = text::did_you_mean(word, candidates);
  return near.empty() ? std::string() : "did you mean '" + near + "'?";
}

const char* type_name(Type type) {
  switch (type) {
    case Type::kObject: return "an object";
    case Type::kArray: return "a list";
    case Type::kString: return "a text";
    case Type::kNumber: return "a number";
    case Type::kBool: return "true or false";
    case Type::kNull: return "null";
  }
  return "something else";
}

class ManifestReader {
 public:
  ManifestReader(const Folder& folder, const std::string& shown, const std::string& text,
                 std::vector<config::Diagnostic>& diagnostics)
      : folder_(folder), source_(shown, text), diagnostics_(diagnostics) {}

  std::optional<Manifest> read() {
    const std::size_t before = diagnostics_.size();
    const std::optional<Node> root = source_.parse(diagnostics_);
    if (!root) return std::nullopt;
    if (!root->is(Type::kObject)) {
      fail(root->offset, "pack.json must be an object, { \"name\": ... }");
      return std::nullopt;
    }
    root_ = &*root;
    std::set<std::string> seen;
    for (const Node::Member& member : root->members) {
      if (!seen.insert(member.key).second) {
        fail(member.key_offset, "'" + member.key + "' stands here twice");
      } else {
        read_member(member);
      }
    }
    for (const char* needed : {"name", "version", "engine", "kind", "summary", "license"}) {
      if (!seen.contains(needed)) fail(root->offset, std::string("'") + needed + "' is missing", example_of(needed));
    }
    if (!seen.contains("rules")) take_files("rules", manifest_.rules, true, root->offset);
    if (!seen.contains("tests")) take_files("tests", manifest_.tests, false, root->offset);
    if (diagnostics_.size() == before) check_files();
    if (diagnostics_.size() != before) return std::nullopt;
    return std::move(manifest_);
  }

 private:
  void fail(std::size_t offset, std::string message, std::string hint = {}) {
    diagnostics_.push_back(source_.diagnostic(offset, std::move(message), std::move(hint)));
  }

  static std::string example_of(std::string_view member) {
    if (member == "name") return R"(for example "name": "acme/team-cost")";
    if (member == "version") return R"(for example "version": "1.0.0")";
    if (member == "engine") return R"(the versions of ccrules it works with, for example "engine": ">=0.1 <1")";
    if (member == "kind") return R"("kind": "data" (rules as JSON, no code) or "lua")";
    if (member == "license") return R"(an SPDX name, for example "license": "Apache-2.0")";
    return R"(one line that says what the pack is for)";
  }

  void read_member(const Node::Member& member) {
    const std::string& key = member.key;
    const Node& value = member.value;
    if (key == "name") {
      read_name(value);
    } else if (key == "version") {
      if (const std::optional<Version> version = Version::parse(text_of(key, value))) {
        manifest_.version = *version;
      } else if (value.is(Type::kString)) {
        fail(value.offset, "version must be a Semantic Version (got '" + value.text + "')", example_of(key));
      }
    } else if (key == "engine") {
      manifest_.engine = read_range(key, value);
      manifest_.engine_place = source_.diagnostic(value.offset, {});
    } else if (key == "kind") {
      read_kind(value);
    } else if (key == "summary") {
      manifest_.summary = text_of(key, value);
      if (value.is(Type::kString) &&
          (value.text.empty() || value.text.size() > kSummaryBytes || value.text.find('\n') != std::string::npos)) {
        fail(value.offset, "summary is one line of at most " + std::to_string(kSummaryBytes) + " bytes");
      }
    } else if (key == "license") {
      manifest_.license = text_of(key, value);
    } else if (key == "homepage") {
      manifest_.homepage = text_of(key, value);
    } else if (key == "depends") {
      read_depends(value);
    } else if (key == "needs") {
      read_needs(value);
    } else if (key == "models") {
      read_models(value);
    } else if (key == "settings") {
      read_settings(value);
    } else if (key == "rules") {
      read_paths(key, value, manifest_.rules, true);
    } else if (key == "tests") {
      read_paths(key, value, manifest_.tests, false);
    } else if (key != "$schema" && key != "authors") {
      const std::vector<std::string> names(kMembers.begin(), kMembers.end());
      std::string hint = did_you_mean(key, names);
      if (hint.empty()) hint = "pack.json has name, version, engine, kind, summary, license, depends, needs, models, rules, tests";
      fail(member.key_offset, "unknown member '" + key + "'", std::move(hint));
    }
  }

  std::string text_of(const std::string& what, const Node& value) {
    if (value.is(Type::kString)) {
      // It is shown on terminals.
      const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
      if (std::any_of(value.text.begin(), value.text.end(), is_control)) fail(value.offset, what + " holds a control character");
      return value.text;
    }
    fail(value.offset, what + " must be a text, not " + type_name(value.type));
    return {};
  }

  Range read_range(const std::string& what, const Node& value) {
    const std::string text = text_of(what, value);
    std::optional<Range> range = Range::parse(text);
    if (!range && value.is(Type::kString)) {
      fail(value.offset, what + " must be a range of versions (got '" + text + "')", R"(for example ">=0.1 <1" or "^1.2")");
    }
    return range ? *std::move(range) : Range();
  }

  void read_name(const Node& value) {
    manifest_.name = text_of("name", value);
    manifest_.place = source_.diagnostic(value.offset, {});
    if (value.is(Type::kString) && !is_pack_name(value.text)) {
      fail(value.offset, "name must be lower-case letters, digits and dashes, perhaps after an owner and a slash (got '" +
                             value.text + "')", example_of("name"));
    }
  }

  void read_kind(const Node& value) {
    const std::string kind = text_of("kind", value);
    if (kind == "data") {
      manifest_.kind = Manifest::Kind::kData;
    } else if (kind != "lua" && value.is(Type::kString)) {
      const std::vector<std::string> kinds = {"data", "lua"};
      std::string hint = did_you_mean(kind, kinds);
      fail(value.offset, "kind must be \"data\" or \"lua\" (got '" + kind + "')", std::move(hint));
    }
  }

  void read_depends(const Node& value) {
    if (!value.is(Type::kObject)) {
      fail(value.offset, std::string("depends must be an object, not ") + type_name(value.type),
           R"(for example { "acme/base": "^1.0" })");
      return;
    }
    for (const Node::Member& member : value.members) {
      if (!is_pack_name(member.key)) {
        fail(member.key_offset, "depends: '" + member.key + "' is no name of a pack", example_of("name"));
        continue;
      }
      Manifest::Depend depend{read_range("depends." + member.key, member.value), source_.diagnostic(member.key_offset, {})};
      if (!manifest_.depends.emplace(member.key, std::move(depend)).second) {
        fail(member.key_offset, "depends: '" + member.key + "' stands here twice");
      }
    }
    if (manifest_.depends.contains(manifest_.name)) fail(value.offset, "the pack depends on itself");
  }

  void read_needs(const Node& value) {
    if (!value.is(Type::kArray)) {
      fail(value.offset, std::string("needs must be a list, not ") + type_name(value.type), R"(for example ["text"])");
      return;
    }
    for (const Node& item : value.items) {
      const std::string need = text_of("needs", item);
      if (need.empty()) continue;
      if (!is_grantable(need) && !need.starts_with("data:https://")) {
        const std::vector<std::string> known = {"text", "headers", "spend"};
        std::string hint = did_you_mean(need, known);
        fail(item.offset, "unknown need '" + need + "'", hint.empty() ? "needs are text, headers, spend and data:https://..." : hint);
      } else if (std::find(manifest_.needs.begin(), manifest_.needs.end(), need) != manifest_.needs.end()) {
        fail(item.offset, "needs: '" + need + "' stands here twice");
      } else {
        manifest_.needs.push_back(need);
      }
    }
    std::sort(manifest_.needs.begin(), manifest_.needs.end());
  }

  void read_models(const Node& value) {
    if (!value.is(Type::kObject)) {
      fail(value.offset, std::string("models must be an object, not ") + type_name(value.type),
           R"(for example { "cheap": { "about": "a small model" } })");
      return;
    }
    for (const Node::Member& member : value.members) {
      Manifest::Model model;
      if (member.key.empty() || member.key.find(',') != std::string::npos) {
        fail(member.key_offset, "models: an alias is a name without a comma");
      }
      if (member.value.is(Type::kString)) {
        model.about = member.value.text;
      } else if (member.value.is(Type::kObject)) {
        read_model(member.key, member.value, model);
      } else {
        fail(member.value.offset, "models." + member.key + " must be a text that says what the alias is for, not " +
                                      type_name(member.value.type));
      }
      if (!manifest_.models.emplace(member.key, std::move(model)).second) {
        fail(member.key_offset, "models: '" + member.key + "' stands here twice");
      }
    }
  }

  void read_model(const std::string& alias, const Node& value, Manifest::Model& model) {
    for (const Node::Member& member : value.members) {
      const std::string what = "models." + alias + "." + member.key;
      if (member.key == "about") {
        model.about = text_of(what, member.value);
      } else if (member.key == "suggests" && member.value.is(Type::kArray)) {
        for (const Node& item : member.value.items) {
          const std::string target = text_of(what, item);
          if (target.find(',') == std::string::npos && item.is(Type::kString)) {
            fail(item.offset, what + " holds targets such as \"provider,model\" (got '" + target + "')");
          }
          model.suggests.push_back(target);
        }
      } else if (member.key == "suggests") {
        fail(member.value.offset, what + " must be a list of targets, not " + type_name(member.value.type));
      } else {
        const std::vector<std::string> known = {"about", "suggests"};
        std::string hint = did_you_mean(member.key, known);
        fail(member.key_offset, "unknown member '" + member.key + "' of models." + alias, std::move(hint));
      }
    }
  }

  void read_settings(const Node& value) {
    if (!value.is(Type::kObject)) {
      fail(value.offset, std::string("settings must be an object, not ") + type_name(value.type),
           R"(for example { "projects": { "about": "where", "default": [] } })");
      return;
    }
    for (const Node::Member& member : value.members) {
      const std::string what = "settings." + member.key;
      Manifest::Setting setting;
      const Node* chosen = nullptr;
      for (const Node::Member& part : member.value.members) {
        if (part.key == "about") {
          setting.about = text_of(what + ".about", part.value);
        } else if (part.key == "default") {
          chosen = &part.value;
        } else {
          const std::vector<std::string> known = {"about", "default"};
          fail(part.key_offset, "unknown member '" + part.key + "' of " + what, did_you_mean(part.key, known));
        }
      }
      if (chosen == nullptr || !read_default(*chosen, setting)) {
        fail(chosen != nullptr ? chosen->offset : member.value.offset,
             what + " needs a default: a text, a number, true or false, or a list of texts");
      }
      if (!manifest_.settings.emplace(member.key, std::move(setting)).second) {
        fail(member.key_offset, "settings: '" + member.key + "' stands here twice");
      }
    }
  }

  static bool read_default(const Node& value, Manifest::Setting& setting) {
    using Kind = Manifest::Setting::Kind;
    if (value.is(Type::kArray)) {
      setting.kind = Kind::kTexts;
      for (const Node& item : value.items) {
        if (!item.is(Type::kString)) return false;
        setting.value.push_back(item.text);
      }
      return true;
    }
    setting.kind = value.is(Type::kNumber) ? Kind::kNumber : value.is(Type::kBool) ? Kind::kFlag : Kind::kText;
    setting.value = {value.text};
    return value.is(Type::kString) || value.is(Type::kNumber) || value.is(Type::kBool);
  }

  // Files, or folders with all that is in them.
  void read_paths(const std::string& what, const Node& value, std::vector<std::string>& out, bool rules) {
    if (!value.is(Type::kArray)) {
      fail(value.offset, what + " must be a list of files, not " + type_name(value.type));
      return;
    }
    for (const Node& item : value.items) {
      const std::string path = text_of(what, item);
      if (!item.is(Type::kString)) continue;
      if (const Result<void> good = check_path(path); !good.ok()) {
        fail(item.offset, what + ": " + good.error().message);
      } else if (folder_.contains(path)) {
        if (rules ? !is_rule_file(path) : !is_test_file(path)) {
          fail(item.offset, what + ": '" + path + "' is no " + (rules ? "rule file (*.lua, *.json)" : "test file (*_test.lua, *.jsonl)"));
        } else if (std::find(out.begin(), out.end(), path) != out.end()) {
          fail(item.offset, what + ": '" + path + "' stands here twice");
        } else {
          out.push_back(path);
        }
      } else {
        take_files(path, out, rules, item.offset);
        if (std::none_of(folder_.begin(), folder_.end(), [&](const auto& file) { return file.first.starts_with(path + "/"); })) {
          std::vector<std::string> names;
          for (const auto& [name, bytes] : folder_) names.push_back(name);
          fail(item.offset, what + ": there is no '" + path + "' in the pack", did_you_mean(path, names));
        }
      }
    }
  }

  void take_files(const std::string& directory, std::vector<std::string>& out, bool rules, std::size_t offset) {
    for (const auto& [path, bytes] : folder_) {
      if (!path.starts_with(directory + "/") || !(rules ? is_rule_file(path) : is_test_file(path))) continue;
      if (std::find(out.begin(), out.end(), path) == out.end()) out.push_back(path);
    }
    if (rules && out.empty() && directory == "rules") fail(offset, "the pack has no rules", "put rule files into rules/");
  }

  void check_files() {
    if (manifest_.kind == Manifest::Kind::kData) {
      for (const auto& [path, bytes] : folder_) {
        if (!path.ends_with(".lua")) continue;
        fail(offset_of("kind"), "a data pack holds no code, but there is '" + path + "'",
             "write rules as JSON and tests as .jsonl, or say \"kind\": \"lua\"");
      }
      if (!manifest_.settings.empty()) {
        fail(offset_of("settings"), "a data pack has no settings: its rules could not read them", "say \"kind\": \"lua\"");
      }
    }
    for (const std::string& path : manifest_.rules) {
      if (folder_.find(path)->second.size() <= limits::kRuleFileBytes) continue;
      fail(root_->offset, "'" + path + "' is larger than " + std::to_string(limits::kRuleFileBytes >> 20U) + " MiB");
    }
  }

  [[nodiscard]] std::size_t offset_of(std::string_view key) const {
    for (const Node::Member& member : root_->members) {
      if (member.key == key) return member.value.offset;
    }
    return root_->offset;
  }

  const Folder& folder_;
  config::Source source_;
  std::vector<config::Diagnostic>& diagnostics_;
  const Node* root_ = nullptr;
  Manifest manifest_;
};

std::string lua_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
      out += c;
      continue;
    }
    char escaped[5];
    std::snprintf(escaped, sizeof escaped, "\\%03u", static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += escaped;
  }
  return out + "\"";
}

/// `typed` as a Lua value of the setting's kind; nothing when it is none.
std::optional<std::string> lua_value(Manifest::Setting::Kind kind, const std::vector<std::string>& typed) {
  using Kind = Manifest::Setting::Kind;
  if (kind == Kind::kTexts) {
    std::string out = "{ ";
    for (const std::string& text : typed) out += lua_text(text) + ", ";
    return out + "}";
  }
  const std::string& text = typed.front();
  if (kind == Kind::kText) return lua_text(text);
  if (kind == Kind::kFlag) return text == "true" || text == "false" ? std::optional(text) : std::nullopt;
  const bool number = !text.empty() && text.find_first_not_of("0123456789.eE+-") == std::string::npos && json::is_valid(text);
  return number ? std::optional(text) : std::nullopt;
}

std::vector<std::string> as_typed(Manifest::Setting::Kind kind, std::string_view text) {
  if (kind != Manifest::Setting::Kind::kTexts) return {std::string(text)};
  std::vector<std::string> out;
  for (const std::string_view part : text::split(text, ',')) {
    if (!text::trim(part).empty()) out.emplace_back(text::trim(part));
  }
  return out;
}

/// Depth-first over what packs depend on; the path walked so far names a circle.
class DependencyOrder {
 public:
  DependencyOrder(const std::vector<const Manifest*>& manifests, std::vector<config::Diagnostic>& diagnostics)
      : manifests_(manifests), diagnostics_(diagnostics) {}

  std::vector<const Manifest*> order() {
    for (const Manifest* manifest : manifests_) visit(*manifest);
    return std::move(ordered_);
  }

 private:
  void fail(config::Diagnostic diagnostic, std::string message, std::string hint = {}) {
    diagnostic.message = std::move(message);
    diagnostic.hint = std::move(hint);
    diagnostics_.push_back(std::move(diagnostic));
  }

  void visit(const Manifest& manifest) {
    if (std::find(ordered_.begin(), ordered_.end(), &manifest) != ordered_.end()) return;
    if (const auto begin = std::find(path_.begin(), path_.end(), &manifest); begin != path_.end()) {
      std::string circle;
      for (auto one = begin; one != path_.end(); ++one) circle += (*one)->name + " -> ";
      fail(path_.back()->depends.at(manifest.name).place, "packs depend on each other in a circle: " + circle + manifest.name);
      return;
    }
    path_.push_back(&manifest);
    for (const auto& [name, depend] : manifest.depends) {
      const auto found = std::find_if(manifests_.begin(), manifests_.end(),
                                      [&name = name](const Manifest* other) { return other->name == name; });
      if (found == manifests_.end()) {
        fail(depend.place, manifest.name + " depends on " + name + " " + depend.range.text() + ", which is not installed",
             "ccrules pack install " + name);
      } else if (!depend.range.contains((*found)->version)) {
        fail(depend.place, manifest.name + " depends on " + name + " " + depend.range.text() + ", but version " +
                           (*found)->version.text() + " is there", "ccrules pack update " + name);
      } else {
        visit(**found);
      }
    }
    path_.pop_back();
    ordered_.push_back(&manifest);
  }

  const std::vector<const Manifest*>& manifests_;
  std::vector<config::Diagnostic>& diagnostics_;
  std::vector<const Manifest*> path_;
  std::vector<const Manifest*> ordered_;
};

}  // namespace

const char* kind_name(Manifest::Kind kind) noexcept { return kind == Manifest::Kind::kData ? "data" : "lua"; }

bool is_pack_name(std::string_view name) noexcept {
  const std::size_t slash = name.find('/');
  const auto good = [](std::string_view part) {
    return !part.empty() && part.size() <= kNameBytes && part.front() != '-' && part.back() != '-' &&
           part.find("--") == std::string_view::npos && std::all_of(part.begin(), part.end(), [](char c) {
             return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
           });
  };
  return slash == std::string_view::npos ? good(name) && name != "default" : good(name.substr(0, slash)) && good(name.substr(slash + 1));
}

bool is_grantable(std::string_view need) noexcept { return need == "text" || need == "headers" || need == "spend"; }

Result<std::string> settings_lua(const Manifest& manifest, const std::map<std::string, std::string>& given) {
  for (const auto& [name, text] : given) {
    if (manifest.settings.contains(name)) continue;
    std::vector<std::string> names;
    for (const auto& [known, setting] : manifest.settings) names.push_back(known);
    std::string hint = did_you_mean(name, names);
    return bad_request(manifest.name + " has no setting '" + name + "'" + (hint.empty() ? "" : "; " + hint));
  }
  std::string out = "settings = {";
  for (const auto& [name, setting] : manifest.settings) {
    const auto found = given.find(name);
    const std::optional<std::string> value =
        lua_value(setting.kind, found == given.end() ? setting.value : as_typed(setting.kind, found->second));
    if (!value) {
      return bad_request("setting '" + name + "' of " + manifest.name + " must be " +
                         (setting.kind == Manifest::Setting::Kind::kFlag ? "true or false" : "a number") + " (got '" +
                         found->second + "')");
    }
    out += " [" + lua_text(name) + "] = " + *value + ",";
  }
  return out + " }\n";
}

std::optional<Manifest> read_manifest(const Folder& folder, const std::string& shown,
                                      std::vector<config::Diagnostic>& diagnostics) {
  const auto file = folder.find(kManifestFile);
  if (file == folder.end()) {
    config::Diagnostic diagnostic;
    diagnostic.where.file = shown;
    diagnostic.message = "this is no pack: it has no pack.json";
    diagnostics.push_back(std::move(diagnostic));
    return std::nullopt;
  }
  return ManifestReader(folder, shown, file->second, diagnostics).read();
}

std::optional<config::Diagnostic> check_engine(const Manifest& manifest, std::string_view engine_version) {
  const std::optional<Version> version = Version::parse(engine_version);
  if (!version || manifest.engine.contains(*version)) return std::nullopt;
  config::Diagnostic diagnostic = manifest.engine_place;
  diagnostic.message = manifest.name + " " + manifest.version.text() + " works with ccrules " + manifest.engine.text() +
                       ", this is " + std::string(engine_version);
  diagnostic.hint = "take another version of the pack or of ccrules";
  return diagnostic;
}

std::vector<const Manifest*> in_dependency_order(const std::vector<const Manifest*>& manifests,
                                                 std::vector<config::Diagnostic>& diagnostics) {
  return DependencyOrder(manifests, diagnostics).order();
}

}  // namespace ccrules::packs
