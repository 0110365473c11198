#include "cli/run.h"

#include <filesystem>
#include <iostream>
#include <string>
#include <sys/ioctl.h>
#include <unistd.h>

#include "async/uv_loop.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/paint.h"

namespace ccrules::cli {
namespace {

Exit run_parsed(const std::vector<std::string>& line, Io& io) {
  const Parsed parsed = parse(line);
  const Paint paint = paint_for_err(io);
  if (!parsed.error.empty()) {
    io.err << paint.red("error:") << " " << parsed.error;
    if (!parsed.hint.empty()) io.err << "; " << parsed.hint;
    const Command* meant = line.empty() ? nullptr : find_command(line.front());
    io.err << "\n" << paint.dim("see: ccrules help" + (meant == nullptr ? std::string() : " " + meant->name)) << "\n";
    return Exit::kUsage;
  }
  if (parsed.arguments.has("version")) {
    io.out << "ccrules " << CCR_VERSION << "\n";
    return Exit::kOk;
  }
  if (parsed.command == nullptr) {
    const bool asked = parsed.arguments.has("help");
    print_overview(asked ? io.out : io.err, asked ? paint_for_out(io) : paint);
    return asked ? Exit::kOk : Exit::kUsage;
  }
  if (parsed.arguments.has("help")) {
    print_command(io.out, paint_for_out(io), *parsed.command);
    return Exit::kOk;
  }
  return parsed.command->run(parsed.arguments, io);
}

/// 0 when stdout is no terminal.
std::size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace

int run(const std::vector<std::string>& line, Io& io) {
  return static_cast<int>(run_parsed(line, io));
}

int run(int argc, char** argv) {
  std::error_code unknown_directory;
  Io io{.in = std::cin,
        .out = std::cout,
        .err = std::cerr,
        .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
        .err_is_terminal = ::isatty(STDERR_FILENO) == 1,
        .files = system_files(),
        .clock = system_clock(),
        .environment = system_environment(),
        .working_directory = std::filesystem::current_path(unknown_directory).string(),
        .columns = terminal_columns()};
  const int code = run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc), io);
  std::cout.flush();
  const int told = std::cout ? code : static_cast<int>(Exit::kFailed);  // a full disk must not look like success
  if (!UvLoop::leaves_lookups()) return told;
  std::cerr.flush();
  ::_exit(told);
}

}  // namespace ccrules::cli
