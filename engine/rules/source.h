#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

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
  };
  std::vector<File> files;  ///< *.lua and *.json, in order
};

}  // namespace ccrules::rules
