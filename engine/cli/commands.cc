#include "cli/commands.h"

#include <algorithm>

namespace ccrules::cli {

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      serve_command(),
      reload_command(),
      test_command(),
      explain_command(),
      check_command(),
      why_command(),
      replay_command(),
      shadow_command(),
      new_command(),
      fmt_command(),
      facts_command(),
      bench_command(),
      pack_command(),
      trust_command(),
      stats_command(),
      export_command(),
      budget_command(),
      cache_command(),
      models_command(),
      tokens_command(),
      completion_command(),
      help_command(),
      version_command(),
  };
  return table;
}

const Command* find_command(std::string_view name) {
  const auto found = std::find_if(commands().begin(), commands().end(),
                                  [&](const Command& command) { return command.name == name; });
  return found != commands().end() ? &*found : nullptr;
}

const std::vector<Flag>& global_flags() {
  static const std::vector<Flag> flags = {
      {"config", "FILE", "the configuration to use instead of the one that is found", {}},
      {"json", "", "machine-readable output, with a schema id", {}},
      {"help", "", "what the command does and takes (-h)", {}},
      {"version", "", "the version, and nothing else (-V)", {}},
  };
  return flags;
}

}  // namespace ccrules::cli
