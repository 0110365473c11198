#pragma once
#include "cli/command.h"

/// One function a command, defined in the file of its name; commands.cc puts them in order.
namespace ccrules::cli {

Command completion_command();
Command help_command();
Command version_command();

}  // namespace ccrules::cli
