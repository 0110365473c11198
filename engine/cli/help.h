#pragma once
#include <ostream>

#include "cli/command.h"
#include "cli/paint.h"

namespace ccrules::cli {

/// What `ccrules help` shows: every command with its summary.
void print_overview(std::ostream& out, const Paint& paint);
/// What `ccrules help NAME` shows.
void print_command(std::ostream& out, const Paint& paint, const Command& command);

}  // namespace ccrules::cli
