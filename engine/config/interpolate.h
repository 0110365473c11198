#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "core/world.h"

namespace ccrules::config {

/// What `${...}` in a text may refer to. Both must outlive the object.
struct Surroundings {
  const Files& files;
  const Environment& environment;  ///< the process's variables over those of the `.env` file
  std::string directory;           ///< of the configuration file: `${file:...}` paths are relative to it
};

struct Interpolated {
  std::string text;
  std::string unset_variable;  ///< the first `${NAME}` without a value and without default; empty: none
  std::string problem;  ///< a `${file:...}` that cannot be read, a `${` that is not closed; empty: none
};

/// `${NAME}`, `${NAME:-default}` (also when NAME is empty), `${file:/path}` (its text without the last line
/// end);
/// `$${` stands for a literal `${`. Replaced text is not looked at again.
Interpolated interpolate(std::string_view text, const Surroundings& surroundings);

/// KEY=value lines of a `.env` file: `export ` before and quotes around are dropped, `#` starts a comment
/// line.
Environment parse_dotenv(std::string_view text);

/// `path` as seen from `directory`, `~/` as seen from $HOME. Empty stays empty.
std::string resolve_path(const std::string& path, const std::string& directory,
                         const Environment& environment);

}  // namespace ccrules::config
