#pragma once
#include <string>
#include <vector>

#include "cli/io.h"

namespace ccrules::cli {

/// Runs one command line (argv without the program's name) and returns the process's exit code.
int run(const std::vector<std::string>& line, Io& io);
/// The same with the real terminal, files and environment.
int run(int argc, char** argv);

}  // namespace ccrules::cli
