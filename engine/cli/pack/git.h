#pragma once
#include <string>

#include "core/result.h"
#include "core/world.h"

namespace ccrules::cli {

/// `git+URL[#REF[:FOLDER]]`: a folder of a git repository at a branch, tag or commit (default: what HEAD names).
struct GitSource {
  std::string url;     ///< https://, ssh:// or file://
  std::string ref;     ///< empty: HEAD
  std::string folder;  ///< empty: the whole repository
};
/// Error unless every part is what git cannot mistake for a flag or a command.
Result<GitSource> parse_git_source(const std::string& source);

/// Fetches one commit into `directory`, which must be empty and is the caller's to remove. Runs the git program with a fixed
/// list of arguments, without a shell, hooks, helpers that ask, or any configuration but the repository's own; at most
/// limits::kPackFetchTime. `environment`: of PATH, HOME and the ssh agent is taken, nothing that begins with GIT_.
Result<void> fetch_git(const GitSource& source, const std::string& directory, const Environment& environment);

}  // namespace ccrules::cli
