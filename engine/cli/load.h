#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "config/load.h"

namespace ccrules::cli {

/// How a command's configuration is found: --config, the environment, the working directory, and flags that
/// win over all.
config::Options config_options(const Arguments& arguments, const Io& io,
                               std::map<std::string, std::string> overrides = {});

/// The configuration a command works with. Problems are printed to stderr; null when there is an error among
/// them (then the command ends with Exit::kUsage).
std::shared_ptr<const config::Snapshot> load_config(const config::Options& options, Io& io);

/// `path` as its reader would type it: without the folder they stand in.
std::string shown_path(const Io& io, const std::string& path);

/// Prints each diagnostic as a person reads it, then how many there were; to stdout when they are what was
/// asked for, else to stderr.
enum class Where : std::uint8_t { kOut, kErr };
void print_diagnostics(std::vector<config::Diagnostic> diagnostics, Io& io, Where where);
/// The same as a JSON array, for --json.
std::string diagnostics_json(const std::vector<config::Diagnostic>& diagnostics);
[[nodiscard]] bool has_error(const std::vector<config::Diagnostic>& diagnostics);

/// "error: ..." in one sentence, then Exit::kUsage.
Exit usage_error(Io& io, const std::string& message);

}  // namespace ccrules::cli
