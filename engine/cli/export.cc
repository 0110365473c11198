#include "cli/commands.h"
#include "cli/load.h"
#include "core/text.h"
#include "ledger/analytics.h"

namespace ccrules::cli {
namespace {

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
  const bool csv = arguments.value("format") == "csv" && !arguments.json();
  const std::int64_t now_us = io.clock.wall_us();
  const Result<std::string> text = csv ? ledger::export_csv(path, what, now_us) : ledger::export_json(path, what, now_us);
  if (!text.ok()) return usage_error(io, text.error().message);
  io.out << *text << (csv ? "" : "\n");
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
