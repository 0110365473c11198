#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/snapshot.h"
#include "core/world.h"

namespace ccrules::config {

/// One thing wrong (or doubtful) with a file, shown as `file:line:col: message`, the line, a caret and a
/// hint.
struct Diagnostic {
  Where where;
  std::string message;
  std::string hint;         ///< "did you mean 'base_url'?"; may be empty
  std::string source_line;  ///< empty when the place is not in a file
  bool warning = false;
};
/// The block a person reads; with `colour`, ANSI colours.
std::string render(const Diagnostic& diagnostic, bool colour = false);

struct Options {
  std::string config_path;  ///< --config; must exist when set
  std::string working_directory;
  /// Flags, by path: "listen.port" -> "4000", "providers.groq.base_url", "routes.default". They win over everything.
  std::map<std::string, std::string> overrides;
  bool dry_run = false;  ///< nothing will be sent: a provider stays enabled when its key is not set
};

struct Loaded {
  std::shared_ptr<const Snapshot> snapshot;  ///< null when there is an error
  std::vector<Diagnostic> diagnostics;       ///< all of them at once, errors and warnings, in file order
};

/// Flags > environment > file > defaults, as docs/configuration.md tells it. The file is the first that exists of --config,
/// $CCRULES_CONFIG, ./ccrules.json, $XDG_CONFIG_HOME/ccrules/ccrules.json and /etc/ccrules/ccrules.json; without one, the
/// environment's keys make the providers. `sim` is always among them. Pure but for `files`; takes well under a millisecond.
Loaded load(const Files& files, const Environment& environment, const Options& options);

}  // namespace ccrules::config
