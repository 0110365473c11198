#include "cli/commands.h"
#include "core/json.h"

namespace ccrules::cli {
namespace {

#if defined(__clang__)
constexpr const char* kCompiler = "clang " __clang_version__;
#else
constexpr const char* kCompiler = "g++ " __VERSION__;
#endif

Exit run_version(const Arguments& arguments, Io& io) {
  if (!arguments.json()) {
    io.out << "ccrules " << CCR_VERSION << " (" << kCompiler << ")\n";
    return Exit::kOk;
  }
  std::string text;
  json::Writer writer(text);
  writer.begin_object()
      .member("schema", "ccrules.version/1")
      .member("version", CCR_VERSION)
      .member("compiler", kCompiler)
      .end_object();
  io.out << text << "\n";
  return Exit::kOk;
}

}  // namespace

Command version_command() {
  Command command;
  command.name = "version";
  command.summary = "The version and how it was built";
  command.run = &run_version;
  return command;
}

}  // namespace ccrules::cli
