#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "core/json.h"
#include "packs/lock.h"
#include "proxy/file_watch.h"
#include "rules/dry_run.h"

namespace ccrules::cli {
namespace {

std::size_t installed_packs(const std::string& config_file, const Io& io) {
  std::vector<config::Diagnostic> ignored;  // told by rules::check already
  const std::optional<packs::Lock> lock = packs::load_lock(io.files, config_file, ignored);
  return lock ? lock->packs.size() : 0;
}

/// What the proxy would not notice while it runs.
void warn_of_blind_spots(const config::Snapshot& config, const Io& io, std::vector<config::Diagnostic>& found) {
  if (!config.reload.watch) return;
  const proxy::FileWatch watch(config, io.files);
  for (const std::string& what : watch.blind_spots()) {
    config::Diagnostic warning;
    warning.warning = true;
    warning.where.file = config.file;
    warning.message = what;
    found.push_back(std::move(warning));
  }
}

Exit run_check(const Arguments& arguments, Io& io) {
  const config::Options options = config_options(arguments, io);
  config::Loaded loaded = config::load(io.files, io.environment, options);
  std::vector<config::Diagnostic> found = std::move(loaded.diagnostics);
  const bool loads = loaded.snapshot != nullptr;
  if (loads) {
    std::vector<config::Diagnostic> rules = rules::check(*loaded.snapshot, io.files);
    found.insert(found.end(), std::make_move_iterator(rules.begin()), std::make_move_iterator(rules.end()));
    warn_of_blind_spots(*loaded.snapshot, io, found);
  }
  const bool broken = !loads || has_error(found);
  const bool fails = broken || (arguments.has("strict") && !found.empty());
  if (arguments.json()) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object()
        .member("schema", "ccrules.check/1")
        .member("ok", !fails)
        .member("config", loads ? loaded.snapshot->file : options.config_path)
        .member_raw("diagnostics", diagnostics_json(found))
        .end_object();
    io.out << text << "\n";
  } else if (!found.empty()) {
    print_diagnostics(found, io, Where::kOut);
  }
  if (!arguments.json() && !fails) {
    const std::string file =
        loaded.snapshot->file.empty() ? "no configuration file" : shown_path(io, loaded.snapshot->file);
    io.out << paint_for_out(io).green("ok") << "  " << file << ": " << counted(loaded.snapshot->providers.size(), "provider")
           << ", " << counted(loaded.snapshot->rules.size(), "rule file");
    if (const std::size_t packs = installed_packs(loaded.snapshot->file, io); packs > 0) io.out << ", " << counted(packs, "pack");
    io.out << "\n";
  }
  if (broken) return Exit::kUsage;
  return fails ? Exit::kFailed : Exit::kOk;
}

}  // namespace

Command check_command() {
  Command command;
  command.name = "check";
  command.summary = "Look for mistakes in the configuration and the rules";
  command.about =
      "Loads the configuration and every rule file and reports all mistakes at once, each with its file, line and column: unknown\n"
      "keys, facts, fields, providers and models. Warns of what loads and cannot work: rules that can never match, aliases nobody\n"
      "uses, functions that remember.";
  command.flags = {{"strict", "", "exit code 1 when there are warnings", {}}};
  command.examples = {{"ccrules check", "exit code 0: all is well, 2: it does not load"},
                      {"ccrules check --strict", "for CI: exit code 1 when there are warnings"}};
  command.run = &run_check;
  return command;
}

}  // namespace ccrules::cli
