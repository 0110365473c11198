#include "cli/commands.h"
#include "cli/load.h"
#include "core/text.h"
#include "ledger/analytics.h"

namespace ccrules::cli {
namespace {

/// Every request as a line, portion by portion: a large ledger is never in memory.
Exit print_csv(Io& io, const std::string& path, const ledger::Export& what) {
  ledger::CsvExport portions(what, io.clock.wall_us());
  for (;;) {
    const Result<std::string> lines = portions.next(path);
    if (!lines.ok()) return usage_error(io, lines.error().message);
    if (lines->empty()) return Exit::kOk;
    if (!(io.out << *lines)) {
      io.err << "error: the output cannot be written; what is there of it is not all\n";
      return Exit::kFailed;
    }
  }
}

Exit run_export(const Arguments& arguments, Io& io) {
  ledger::Export what;
  if (arguments.has("days")) {
    constexpr std::int64_t kMostDays = 36500;
    const auto days = text::to_int(arguments.value("days"));
    if (!days || *days < 1 || *days > kMostDays)
      return usage_error(io, "--days must be a whole number of days, at least 1 (got '" + arguments.value("days") + "')");
    what.days = *days;
  }
  what.one_project = arguments.has("project");
  what.project = arguments.value("project");
  std::string path = arguments.value("ledger");
  if (path.empty()) {
    const auto config = load_config(config_options(arguments, io), io);
    if (!config) return Exit::kUsage;
    path = config->ledger.path;
  }
  if (!io.files.exists(path)) return usage_error(io, "there is no ledger at " + path + " yet");
  if (arguments.value("format") == "csv" && !arguments.json()) return print_csv(io, path, what);
  const Result<std::string> text = ledger::export_json(path, what, io.clock.wall_us());
  if (!text.ok()) return usage_error(io, text.error().message);
  io.out << *text << "\n";
  return Exit::kOk;
}

}  // namespace

Command export_command() {
  Command command;
  command.name = "export";
  command.summary = "What the ledger knows, as JSON or CSV";
  command.about =
      "JSON: sums by model, by project and by hour. CSV: one line a request, for spreadsheets; what they would take for a formula\n"
      "begins with an apostrophe. Works while the proxy runs.";
  command.flags = {{"format", "FORMAT", "json (default) or csv", {"json", "csv"}},
                   {"days", "N", "how far back, 30 by default", {}},
                   {"project", "NAME", "only this project", {}},
                   {"ledger", "FILE", "this ledger instead of the configuration's", {}}};
  command.examples = {{"ccrules export --days 7 > week.json", "the sums of a week"},
                      {"ccrules export --format csv --project /srv/web > web.csv", "every request of a project"}};
  command.run = &run_export;
  return command;
}

}  // namespace ccrules::cli
