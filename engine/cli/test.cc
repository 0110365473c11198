#include <algorithm>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "cli/trace.h"
#include "cli/write_file.h"
#include "core/json.h"
#include "core/text.h"
#include "proxy/native.h"
#include "rules/dry_run.h"

namespace ccrules::cli {
namespace {

constexpr std::size_t kWidest = 72;  ///< columns; a longer cell pushes its own line only

constexpr std::uint64_t kSeeds = 1'000'000;  ///< short enough to be typed again

/// The body that would go to the decision's first target.
Result<std::string> upstream_body(const config::Snapshot& config, const rules::Sample& sample,
                                  const rules::Decision& decision) {
  const rules::Target& target = decision.targets.front();
  proxy::OutgoingRequest outgoing;
  outgoing.body = sample.body;  // padded when it was read
  outgoing.outline = &sample.outline;
  outgoing.spoken = dialect::by_name(sample.dialect);
  outgoing.provider = config.provider(target.provider);
  outgoing.model = target.model;
  outgoing.edits = &decision.edits;
  outgoing.estimated_input_tokens = sample.facts.tokens;
  if (outgoing.provider == nullptr || outgoing.spoken == nullptr)
    return bad_request("there is no provider '" + target.provider + "'");
  std::vector<dialect::RenamedTool> renamed;
  chat::LossNotes losses;
  CCR_TRY(body, proxy::outgoing_body(outgoing, renamed, losses));
  return body.empty() ? sample.body : body;
}

std::string milliseconds(std::int64_t us) {
  const std::int64_t tenths = (us + 50) / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " ms";
}

void print_failure(Io& io, const Paint& paint, const Marks& marks, const rules::CaseResult& result) {
  Table lines({Table::Align::kLeft, Table::Align::kLeft});
  lines.row({"expected", paint.green(result.expected)});
  lines.row({"actual", paint.red(result.actual)});
  if (!result.decision.reason.empty()) lines.row({"reason", result.decision.reason});
  lines.row({"at", paint.dim(shown_path(io, result.file) + ":" + std::to_string(result.line))});
  lines.print(io.out, "      ");
  rules::Trace trace = result.trace;
  trace.facts_read.clear();  // the conditions show the values that mattered
  print_trace(io.out, paint, marks, trace, "      ");
}

/// One line a case, grouped by file; failures say what was expected and why it came otherwise.
void print_cases(Io& io, const rules::TestReport& report, bool explain, bool only_failures) {
  const Paint paint = paint_for_out(io);
  const Marks marks = marks_for(io, paint);
  std::size_t name_width = 0;
  std::size_t outcome_width = 0;
  for (const rules::CaseResult& result : report.cases) {
    name_width = std::max(name_width, std::min(kWidest, width_of(result.name)));
    outcome_width = std::max(outcome_width, std::min(kWidest, width_of(outcome(result.decision))));
  }
  const std::string* file = nullptr;
  for (const rules::CaseResult& result : report.cases) {
    if (only_failures && result.passed) continue;
    if (file == nullptr || *file != result.file) {
      io.out << (file == nullptr ? "" : "\n") << paint.bold(shown_path(io, result.file)) << "\n";
      file = &result.file;
    }
    std::string line = "  " + (result.passed ? marks.yes : marks.no) + " ";
    line += pad_right(result.passed ? result.name : paint.bold(result.name), name_width) + "  ";
    line += pad_right(outcome(result.decision), outcome_width) + "  ";
    line += paint.dim(result.decision.rule);
    line.erase(line.find_last_not_of(' ') + 1);
    io.out << line << "\n";
    if (!result.passed) print_failure(io, paint, marks, result);
    if (result.passed && explain) print_trace(io.out, paint, marks, result.trace, "      ");
  }
  const std::size_t failed = report.failed();
  const std::size_t passed = report.cases.size() - failed;
  io.out << "\n" << paint.green(std::to_string(passed) + " passed");
  if (failed > 0) io.out << ", " << paint.red(std::to_string(failed) + " failed");
  io.out << paint.dim(" in " + milliseconds(report.time_us)) << "\n";
}

void print_json(std::ostream& out, const rules::TestReport& report) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object()
      .member("schema", "ccrules.test/1")
      .member("passed", static_cast<std::int64_t>(report.cases.size() - report.failed()))
      .member("failed", static_cast<std::int64_t>(report.failed()))
      .member("time_us", report.time_us)
      .key("cases")
      .begin_array();
  for (const rules::CaseResult& result : report.cases) {
    writer.begin_object()
        .member("file", result.file)
        .member("line", result.line)
        .member("name", result.name)
        .member("passed", result.passed);
    if (!result.passed) writer.member("expected", result.expected).member("actual", result.actual);
    writer.member_raw("decision", rules::trace_json(result.decision, result.trace, {})).end_object();
  }
  writer.end_array().member_raw("problems", diagnostics_json(report.problems)).end_object();
  out << text << "\n";
}

Exit run_test(const Arguments& arguments, Io& io) {
  config::Options options = config_options(arguments, io);
  options.dry_run = true;  // the same result on a machine without keys
  const auto config = load_config(options, io);
  if (!config) return Exit::kUsage;
  std::vector<std::string> paths = arguments.words();
  if (paths.empty()) {
    const std::size_t slash = config->file.find_last_of('/');
    paths.push_back(slash == std::string::npos ? io.working_directory : config->file.substr(0, slash));
  }
  rules::TestOptions running;
  running.update = arguments.has("update");
  running.upstream = [&config](const rules::Sample& sample, const rules::Decision& decision) {
    return upstream_body(*config, sample, decision);
  };
  if (arguments.has("shuffle")) {
    running.shuffle = arguments.value("shuffle").empty() ? system_random().next() % kSeeds : 0;
    if (!arguments.value("shuffle").empty()) {
      const auto seed = text::to_int(arguments.value("shuffle"));
      if (!seed || *seed < 0)
        return usage_error(io, "--shuffle=SEED needs a number (got '" + arguments.value("shuffle") + "')");
      running.shuffle = static_cast<std::uint64_t>(*seed);
    }
  }
  const rules::TestReport report = rules::run_tests(paths, *config, io.files, running);
  if (arguments.json()) {
    print_json(io.out, report);
  } else if (!report.problems.empty()) {
    print_diagnostics(report.problems, io, Where::kErr);
  }
  if (has_error(report.problems)) return Exit::kUsage;
  if (report.cases.empty()) {
    return usage_error(
        io, "no test cases in " + paths.front() + " (looked for *_test.lua, *.test.lua and *.jsonl)");
  }
  if (!arguments.json()) print_cases(io, report, arguments.has("explain"), arguments.has("failures"));
  for (const rules::FileUpdate& update : report.updates) {
    const Result<void> written = write_file(update.path, update.bytes);
    if (!written.ok()) return usage_error(io, written.error().message);
    io.err << "written: " << shown_path(io, update.path) << "\n";
  }
  return report.failed() == 0 ? Exit::kOk : Exit::kFailed;
}

}  // namespace

Command test_command() {
  Command command;
  command.name = "test";
  command.summary = "Run the tests of your rules";
  command.arguments = "[PATH...]";
  command.about =
      "Runs the cases of test files (`*_test.lua`, `*.test.lua`, `*.jsonl`) against the rules of the "
      "configuration, without a\n"
      "network. A PATH is a file or a folder that is searched; without one, the folder of the configuration. "
      "A case that\n"
      "fails shows what was expected, what came, and for every rule why it did or did not match.";
  command.flags = {{"explain", "", "the trace of every case, also of those that pass", {}},
                   {"failures", "", "only what failed", {}},
                   {"update", "", "write the golden bodies that `upstream` names as they come now", {}},
                   {"shuffle", "[=SEED]", "run in another order, to find rules that remember", {}}};
  command.examples = {{"ccrules test", "everything beside ccrules.json"},
                      {"ccrules test rules/my_test.lua --explain", "one file, with every decision's story"}};
  command.most = 1000;
  command.run = &run_test;
  return command;
}

}  // namespace ccrules::cli
