#pragma once
#include <cstddef>
#include <cstdint>
#include <istream>
#include <ostream>
#include <string>

#include "core/world.h"

namespace ccrules::cli {

/// All of the world a command may touch, so that tests run commands in memory.
struct Io {
  std::istream& in;
  std::ostream& out;  ///< what was asked for: data, tables, JSON
  std::ostream& err;  ///< messages about the work: errors, hints, progress
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  const Files& files;
  const Clock& clock;
  Environment environment;
  std::string working_directory;
  std::size_t columns = 0;  ///< of the terminal that `out` is; 0: it is none, and nothing is cut to fit
};

/// What the process returns; scripts depend on these numbers (docs/commands.md).
enum class Exit : std::uint8_t {
  kOk = 0,
  kFailed = 1,       ///< a test failed, a check found something
  kUsage = 2,        ///< wrong usage, or configuration, rules or a file cannot be loaded
  kThreshold = 3,    ///< a threshold was missed
  kAuth = 4,         ///< a credential was refused
  kUnreachable = 5,  ///< an upstream cannot be reached
  kRunning = 6,      ///< already running, or the port is taken
};

}  // namespace ccrules::cli
