#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "core/json.h"
#include "core/text.h"
#include "rules/measure.h"

namespace ccrules::cli {
namespace {

std::string nanoseconds(double ns) {
  char text[32];
  std::snprintf(text, sizeof text, ns < 100 ? "%.1f ns" : ns < 10000 ? "%.0f ns" : "%.1f us", ns < 10000 ? ns : ns / 1000);
  return text;
}

void print_text(Io& io, const rules::Measurement& measured) {
  const Paint paint = paint_for_out(io);
  Table sums({Table::Align::kLeft, Table::Align::kRight, Table::Align::kLeft});
  sums.row({"decisions", with_commas(static_cast<std::int64_t>(measured.decisions_per_second())), "a second on one thread"});
  sums.row({"one decision", nanoseconds(measured.decision_ns), "mean over " + std::to_string(measured.samples) + " samples"});
  sums.row({"with its trace", nanoseconds(measured.traced_ns), ""});
  sums.row({"loading", nanoseconds(measured.load_ns), ""});
  sums.print(io.out);
  io.out << "\n" << paint.bold("conditions") << paint.dim("  each rule's own time, by every sample") << "\n";
  Table table({Table::Align::kRight, Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft});
  for (const auto& rule : measured.rules) {
    table.row({nanoseconds(rule.ns), rule.name, rule.lua ? paint.yellow("Lua") : "", paint.dim(rule.where)});
  }
  table.print(io.out, "  ");
}

void print_json(std::ostream& out, const rules::Measurement& measured) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object()
      .member("schema", "ccrules.bench/1")
      .member("samples", static_cast<std::int64_t>(measured.samples))
      .member("decisions_per_second", measured.decisions_per_second())
      .member("decision_ns", measured.decision_ns)
      .member("traced_ns", measured.traced_ns)
      .member("load_ns", measured.load_ns)
      .key("rules")
      .begin_array();
  for (const auto& rule : measured.rules) {
    writer.begin_object()
        .member("name", rule.name)
        .member("where", rule.where)
        .member("lua", rule.lua)
        .member("ns", rule.ns)
        .end_object();
  }
  writer.end_array().end_object();
  out << text << "\n";
}

Exit run_bench(const Arguments& arguments, Io& io) {
  config::Options options = config_options(arguments, io);
  options.dry_run = true;  // the same result on a machine without keys
  const auto config = load_config(options, io);
  if (!config) return Exit::kUsage;
  std::vector<std::string> paths = arguments.words();
  if (paths.empty()) {
    const std::size_t slash = config->file.find_last_of('/');
    paths.push_back(slash == std::string::npos ? io.working_directory : config->file.substr(0, slash));
  }
  std::int64_t time_ms = 1000;
  if (arguments.has("time")) {
    const auto given = text::to_int(arguments.value("time"));
    if (!given || *given < 1 || *given > 60000) return usage_error(io, "--time is milliseconds from 1 to 60000");
    time_ms = *given;
  }
  std::vector<config::Diagnostic> diagnostics;
  const auto measured = rules::measure(paths, *config, io.files, std::chrono::milliseconds(time_ms), diagnostics);
  if (!diagnostics.empty()) print_diagnostics(diagnostics, io, Where::kErr);
  if (!measured) return Exit::kUsage;
  if (measured->samples == 0) return usage_error(io, "no samples in " + paths.front() + ": tests give them (*_test.lua, *.jsonl)");
  if (arguments.json()) {
    print_json(io.out, *measured);
  } else {
    print_text(io, *measured);
  }
  return Exit::kOk;
}

}  // namespace

Command bench_command() {
  Command command;
  command.name = "bench";
  command.summary = "How fast your rules decide";
  command.arguments = "[PATH...]";
  command.about =
      "Decides the requests of your tests again and again, without a network: decisions a second on one thread, the time of\n"
      "one decision and of each rule's condition. A rule with a function costs more than one without.";
  command.flags = {{"time", "MS", "how long to measure (1000)", {}}};
  command.examples = {{"ccrules bench", "the tests beside ccrules.json"}};
  command.most = 1000;
  command.run = &run_bench;
  return command;
}

}  // namespace ccrules::cli
