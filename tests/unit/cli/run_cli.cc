#include "unit/cli/run_cli.h"

#include <sstream>

#include "cli/run.h"

namespace ccrules::test {
namespace {

class StillClock final : public Clock {
 public:
  explicit StillClock(std::int64_t wall_us) : wall_us_(wall_us) {}
  [[nodiscard]] std::int64_t wall_us() const override { return wall_us_; }

 private:
  std::int64_t wall_us_;
};

}  // namespace

CliResult run_cli(const std::vector<std::string>& line, std::int64_t wall_us, const std::string& in,
                  const std::string& working_directory, const Environment& environment) {
  std::istringstream input(in);
  std::ostringstream out;
  std::ostringstream err;
  const StillClock clock(wall_us);
  cli::Io io{.in = input,
             .out = out,
             .err = err,
             .out_is_terminal = false,
             .err_is_terminal = false,
             .files = system_files(),
             .clock = clock,
             .environment = environment,
             .working_directory = working_directory};
  CliResult result;
  result.code = cli::run(line, io);
  result.out = out.str();
  result.err = err.str();
  return result;
}

}  // namespace ccrules::test
