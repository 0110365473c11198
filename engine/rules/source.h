#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/snapshot.h"
#include "rules/api.h"

namespace ccrules::rules {

/// Whose word a rule is; the first one listed wins.
enum class Layer : std::uint8_t {
  kEnforced,  ///< the organisation: may only deny, limit and pin
  kUser,
  kProject,   ///< of one working directory, once trusted; its rules see only requests of that directory
  kPack,      ///< installed packs, in the order of rules.lock
  kBuiltIn
};
/// "enforced", "user", "project", "pack", "built-in".
const char* layer_name(Layer layer) noexcept;

/// What rules may read beyond the plain facts. The configuration's own files may read everything; a pack what it was granted:
/// facts it was not granted do not exist for it.
struct Grants {
  bool headers = true;
  bool text = true;
  bool spend = true;
  [[nodiscard]] bool allows(api::Need need) const noexcept;
  /// Only the plain facts.
  static Grants none() noexcept;
};

/// Rule files that belong together: one Lua state, one set of grants, one name in front of `#`.
struct RuleSource {
  Layer layer = Layer::kUser;
  std::string pack;     ///< name for overrides and traces; empty: the user's own files
  std::string version;  ///< of the pack
  Grants grants;
  bool data_only = false;  ///< rules.json only: Lua files in it are refused
  std::string project;     ///< kProject: its working directory
  struct File {
    std::string path;         ///< for messages, and where it is read when `text` is null
    std::shared_ptr<const std::string> text;  ///< for packs that were read from an archive
    bool made = false;        ///< not a file of the pack: what stands for `models` or settings
  };
  std::vector<File> files;  ///< *.lua and *.json, in order
  /// What the pack's aliases stand for in its own rules, whatever other packs call by the same name.
  struct Model {
    std::string target;
    bool chosen = false;  ///< by whoever installed it, else the pack's suggestion: an alias of the user's own comes before that
  };
  std::map<std::string, Model> models;
  config::Where installed_at;  ///< the pack's entry in rules.lock, for messages; empty: it has none
};

}  // namespace ccrules::rules
