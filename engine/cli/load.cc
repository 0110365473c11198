#include "cli/load.h"

#include <algorithm>

#include "cli/paint.h"
#include "core/json.h"

namespace ccrules::cli {

config::Options config_options(const Arguments& arguments, const Io& io,
                               std::map<std::string, std::string> overrides) {
  config::Options options;
  options.config_path = arguments.value("config");
  options.working_directory = io.working_directory;
  options.overrides = std::move(overrides);
  return options;
}

std::shared_ptr<const config::Snapshot> load_config(const config::Options& options, Io& io) {
  config::Loaded loaded = config::load(io.files, io.environment, options);
  if (!loaded.diagnostics.empty()) print_diagnostics(std::move(loaded.diagnostics), io, Where::kErr);
  return std::move(loaded.snapshot);
}

bool has_error(const std::vector<config::Diagnostic>& diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(), [](const auto& one) { return !one.warning; });
}

std::string shown_path(const Io& io, const std::string& path) {
  const std::string here = io.working_directory + "/";
  return path.starts_with(here) ? path.substr(here.size()) : path;
}

void print_diagnostics(std::vector<config::Diagnostic> diagnostics, Io& io, Where where) {
  std::ostream& out = where == Where::kOut ? io.out : io.err;
  const Paint paint = where == Where::kOut ? paint_for_out(io) : paint_for_err(io);
  std::size_t errors = 0;
  for (config::Diagnostic& diagnostic : diagnostics) {
    diagnostic.where.file = shown_path(io, diagnostic.where.file);
    std::string block = config::render(diagnostic, paint.on());
    if (block.empty() || block.back() != '\n') block += '\n';
    out << block;
    if (!diagnostic.warning) ++errors;
  }
  const std::size_t warnings = diagnostics.size() - errors;
  out << "\n";
  if (errors > 0) out << paint.red(counted(errors, "error"));
  if (errors > 0 && warnings > 0) out << ", ";
  if (warnings > 0) out << paint.yellow(counted(warnings, "warning"));
  out << "\n";
}

std::string diagnostics_json(const std::vector<config::Diagnostic>& diagnostics) {
  std::string text;
  json::Writer writer(text);
  writer.begin_array();
  for (const config::Diagnostic& diagnostic : diagnostics) {
    writer.begin_object()
        .member("severity", diagnostic.warning ? "warning" : "error")
        .member("file", diagnostic.where.file)
        .member("line", diagnostic.where.line)
        .member("column", diagnostic.where.column)
        .member("message", diagnostic.message)
        .member("hint", diagnostic.hint)
        .end_object();
  }
  writer.end_array();
  return text;
}

Exit usage_error(Io& io, const std::string& message) {
  io.err << paint_for_err(io).red("error:") << " " << plain_text(message) << "\n";
  return Exit::kUsage;
}

}  // namespace ccrules::cli
