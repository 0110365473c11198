#pragma once
#include "cli/command.h"

/// One function a command, defined in the file of its name; commands.cc puts them in order.
namespace ccrules::cli {

Command serve_command();
Command reload_command();
Command test_command();
Command explain_command();
Command check_command();
Command why_command();
Command replay_command();
Command shadow_command();
Command pack_command();
Command trust_command();
Command new_command();
Command fmt_command();
Command facts_command();
Command bench_command();
Command stats_command();
Command budget_command();
Command cache_command();
Command export_command();
Command models_command();
Command tokens_command();
Command completion_command();
Command help_command();
Command version_command();

}  // namespace ccrules::cli
