#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/world.h"

namespace ccrules::test {

struct CliResult {
  int code = 0;
  std::string out, err;
};

/// Runs one command line in this process, without a terminal, an environment or a configuration of the
/// machine's.
CliResult run_cli(const std::vector<std::string>& line, std::int64_t wall_us = 0, const std::string& in = {},
                  const std::string& working_directory = "/nowhere", const Environment& environment = {});

}  // namespace ccrules::test
