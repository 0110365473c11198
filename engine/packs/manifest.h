#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/load.h"
#include "packs/folder.h"
#include "packs/version.h"

namespace ccrules::packs {

inline constexpr std::string_view kManifestFile = "pack.json";

/// What a pack says about itself in pack.json (docs/packs.md).
struct Manifest {
  enum class Kind : std::uint8_t {
    kData,  ///< rules as JSON only: no code of the author's ever runs
    kLua
  };
  /// An alias that the pack's rules use and the installer maps to a target.
  struct Model {
    std::string about;
    std::vector<std::string> suggests;  ///< targets to take when the installer names none, the first that exists
  };
  struct Depend {
    Range range;
    config::Diagnostic place;  ///< of the pack's name in `depends`; no message of its own
  };

  /// What an installer may choose; Lua rules read it as `settings.NAME`.
  struct Setting {
    enum class Kind : std::uint8_t { kText, kNumber, kFlag, kTexts };
    Kind kind = Kind::kText;
    std::string about;
    std::vector<std::string> value;  ///< the default, as it would be typed; kTexts: any number of them, else one
  };

  std::string name;  ///< "team-cost" or "acme/team-cost"
  Version version;
  Range engine;      ///< versions of ccrules it works with
  Kind kind = Kind::kLua;
  std::string summary;
  std::string license;
  std::map<std::string, Depend> depends;
  std::vector<std::string> needs;  ///< sorted: "text", "headers", "spend", "data:https://..."
  std::map<std::string, Model> models;
  std::map<std::string, Setting> settings;  ///< of Lua packs
  std::vector<std::string> rules;  ///< files inside the pack, in the order they are loaded
  std::vector<std::string> tests;  ///< files inside the pack
  std::string homepage;
  config::Diagnostic engine_place;  ///< of the range of versions
  config::Diagnostic place;        ///< of "name", with its line: for messages about the pack; no message of its own
};

[[nodiscard]] const char* kind_name(Manifest::Kind kind) noexcept;
/// True for "team-cost" and "acme/team-cost": lower-case letters, digits and single dashes, at most 64 characters a part.
bool is_pack_name(std::string_view name) noexcept;
/// A need that an installer may grant: text, headers, spend. Others ("data:URL") can be asked for and are never granted.
bool is_grantable(std::string_view need) noexcept;

/// The Lua text that defines `settings` for a pack: its defaults, and what the installer typed instead (lists: separated by
/// commas). Error: there is no such setting, or the text is no value for it.
Result<std::string> settings_lua(const Manifest& manifest, const std::map<std::string, std::string>& given);

/// Reads pack.json of the pack whose files are `folder`, and checks that the pack is what it says: every rule and test file is
/// there, and a data pack holds no Lua. All mistakes at once, each at its place in `shown`, the path people know the file by.
/// Nothing when there is an error. Does not compare `engine` with the version that runs: see check_engine().
std::optional<Manifest> read_manifest(const Folder& folder, const std::string& shown,
                                      std::vector<config::Diagnostic>& diagnostics);
/// Error when this ccrules is not among the versions that the pack works with.
std::optional<config::Diagnostic> check_engine(const Manifest& manifest, std::string_view engine_version);

/// The packs of `manifests` so that every pack comes after those it depends on, otherwise as they are. Reports what is missing,
/// has a version outside the range, or forms a circle, which is named: "a -> b -> a".
std::vector<const Manifest*> in_dependency_order(const std::vector<const Manifest*>& manifests,
                                                 std::vector<config::Diagnostic>& diagnostics);

}  // namespace ccrules::packs
