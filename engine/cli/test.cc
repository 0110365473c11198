#include <chrono>
#include <optional>
#include <thread>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "cli/seen_files.h"
#include "cli/test_report.h"
#include "cli/write_file.h"
#include "core/text.h"
#include "proxy/native.h"
#include "rules/dry_run.h"

namespace ccrules::cli {
namespace {

constexpr std::uint64_t kSeeds = 1'000'000;  ///< short enough to be typed again

constexpr auto kLookAgain = std::chrono::milliseconds(300);  ///< how often --watch looks at the files

/// What the command line asks for.
struct Asked {
  config::Options config;
  std::vector<std::string> paths;
  rules::TestOptions tests;
  ReportOptions report;
  std::optional<std::int64_t> least_percent;
  std::string junit_file;
  bool tap = false;
  bool json = false;
};

/// Nothing, and a message was printed, when a flag makes no sense.
std::optional<Asked> read_arguments(const Arguments& arguments, Io& io) {
  Asked asked;
  asked.config = config_options(arguments, io);
  asked.config.dry_run = true;  // the same result on a machine without keys
  asked.paths = arguments.words();
  asked.report = {arguments.has("explain"), arguments.has("failures")};
  asked.junit_file = arguments.value("junit");
  asked.tap = arguments.has("tap");
  asked.json = arguments.json();
  asked.tests.update = arguments.has("update");
  asked.tests.pack = arguments.value("pack");
  asked.tests.coverage = arguments.has("coverage") || (arguments.has("min") && !arguments.has("mutate"));
  asked.tests.mutate = arguments.has("mutate");
  if (arguments.has("min")) {
    asked.least_percent = text::to_int(arguments.value("min"));
    if (!asked.least_percent || *asked.least_percent < 0 || *asked.least_percent > 100) {
      (void)usage_error(io, "--min is a percentage from 0 to 100 (got '" + arguments.value("min") + "')");
      return std::nullopt;
    }
  }
  if (!arguments.has("shuffle")) return asked;
  const std::string seed = arguments.value("shuffle");
  const std::optional<std::int64_t> number = text::to_int(seed);
  if (!seed.empty() && (!number || *number < 0)) {
    (void)usage_error(io, "--shuffle=SEED needs a number (got '" + seed + "')");
    return std::nullopt;
  }
  asked.tests.shuffle = seed.empty() ? system_random().next() % kSeeds : static_cast<std::uint64_t>(*number);
  return asked;
}

Exit write_updates(Io& io, const rules::TestReport& report) {
  for (const rules::FileUpdate& update : report.updates) {
    const Result<void> written = write_file(update.path, update.bytes);
    if (!written.ok()) return usage_error(io, written.error().message);
    io.err << "written: " << shown_path(io, update.path) << "\n";
  }
  return Exit::kOk;
}

Exit threshold(Io& io, const rules::TestReport& report, std::int64_t least) {
  const auto missed = [&](double percent, const char* what) {
    if (percent >= static_cast<double>(least)) return false;
    io.err << paint_for_err(io).red("error:") << " " << what << " is " << rules::percent_text(percent) << ", less than --min "
           << least << "\n";
    return true;
  };
  bool failed = false;
  if (report.coverage) {
    failed |= missed(report.coverage->rules.percent(), "rule coverage");
    failed |= missed(report.coverage->outcomes.percent(), "coverage of condition outcomes");
    failed |= missed(report.coverage->lines.percent(), "line coverage");
  }
  if (report.mutation) failed |= missed(report.mutation->percent(), "the share of noticed mistakes");
  return failed ? Exit::kThreshold : Exit::kOk;
}

Exit run_once(Asked asked, Io& io) {
  const auto config = load_config(asked.config, io);
  if (!config) return Exit::kUsage;
  if (asked.paths.empty()) {
    const std::size_t slash = config->file.find_last_of('/');
    asked.paths.push_back(slash == std::string::npos ? io.working_directory : config->file.substr(0, slash));
  }
  asked.tests.upstream = [&config](const rules::Sample& sample, const rules::Decision& decision) {
    return proxy::upstream_body(*config, sample, decision);
  };
  if (asked.tests.mutate && io.err_is_terminal) {
    asked.tests.progress = [&io](std::size_t done, std::size_t total) {
      io.err << "\r" << done + 1 << "/" << total << " mistakes" << (done + 1 == total ? "\r\x1b[K" : "") << std::flush;
    };
  }
  const rules::TestReport report = rules::run_tests(asked.paths, *config, io.files, asked.tests);
  if (asked.json) {
    print_json(io.out, report);
  } else if (!report.problems.empty()) {
    print_diagnostics(report.problems, io, Where::kErr);
  }
  if (has_error(report.problems)) return Exit::kUsage;
  if (report.cases.empty()) {
    return usage_error(io, "no tests in " + asked.paths.front() + " (looked for *_test.lua, *.test.lua and *.jsonl)");
  }
  if (asked.tap) {
    print_tap(io.out, report);
  } else if (!asked.json) {
    print_report(io, report, asked.report);
  }
  if (asked.tests.shuffle) io.err << "shuffled: repeat this order with --shuffle=" << *asked.tests.shuffle << "\n";
  if (asked.tests.mutate && !report.mutation) io.err << "mutations need tests that pass: none was tried\n";
  if (!asked.junit_file.empty()) {
    const Result<void> written = write_file(asked.junit_file, junit(report));
    if (!written.ok()) return usage_error(io, written.error().message);
  }
  if (const Exit written = write_updates(io, report); written != Exit::kOk) return written;
  if (report.failed() > 0) return Exit::kFailed;
  return asked.least_percent ? threshold(io, report, *asked.least_percent) : Exit::kOk;
}

/// Runs again whenever something changed that the last run saw, until the process is ended.
Exit watch(const Asked& asked, Io& io) {
  for (;;) {
    if (io.out_is_terminal) io.out << "\x1b[2J\x1b[H";
    // What changes while the tests run counts: they saw it as it was.
    const SeenFiles seen(io.files);
    Io watched{.in = io.in,
               .out = io.out,
               .err = io.err,
               .out_is_terminal = io.out_is_terminal,
               .err_is_terminal = io.err_is_terminal,
               .files = seen,
               .clock = io.clock,
               .environment = io.environment,
               .working_directory = io.working_directory,
               .columns = io.columns};
    (void)run_once(asked, watched);  // the next run may be better
    io.out << std::flush;
    io.err << "watching " << seen.count() << " files and folders; Ctrl-C ends\n" << std::flush;
    while (!seen.changed()) std::this_thread::sleep_for(kLookAgain);
  }
}

Exit run_test(const Arguments& arguments, Io& io) {
  const std::optional<Asked> asked = read_arguments(arguments, io);
  if (!asked) return Exit::kUsage;
  if (arguments.has("watch")) return watch(*asked, io);
  return run_once(*asked, io);
}

}  // namespace

Command test_command() {
  Command command;
  command.name = "test";
  command.summary = "Run the tests of your rules";
  command.arguments = "[PATH...]";
  command.about =
      "Runs the tests of test files (`*_test.lua`, `*.test.lua`, `*.jsonl`) against the rules of the configuration, without a\n"
      "network. A PATH is a file or a folder that is searched; without one, the folder of the configuration. A test that\n"
      "fails shows what was expected, what came, and for every rule why it did or did not match.\n"
      "--coverage tells which rules never matched, which conditions were never true or never false, and which lines of Lua\n"
      "never ran. --mutate puts small mistakes into the rules, one at a time, and names those that no test notices.";
  command.flags = {{"explain", "", "the trace of every test, also of those that pass", {}},
                   {"failures", "", "only what failed", {}},
                   {"coverage", "", "what the tests do not reach", {}},
                   {"mutate", "", "which mistakes in the rules the tests would not notice", {}},
                   {"pack", "NAME", "coverage and mutations of a pack's rules, or of `default`'s, instead of your own", {}},
                   {"min", "N", "exit code 3 when less than N percent are covered (or noticed, with --mutate)", {}},
                   {"watch", "", "run again whenever a file changes", {}},
                   {"update", "", "write the golden bodies that `upstream` names as they come now", {}},
                   {"shuffle", "[=SEED]", "run in another order, to find rules that remember", {}},
                   {"junit", "FILE", "write the results as JUnit XML too", {}},
                   {"tap", "", "print the Test Anything Protocol", {}}};
  command.examples = {{"ccrules test", "everything beside ccrules.json"},
                      {"ccrules test rules/my_test.lua --explain", "one file, with every decision's story"},
                      {"ccrules test --coverage --min 90", "for CI: exit code 3 when the tests reach too little"},
                      {"ccrules test --mutate", "are the tests good enough?"}};
  command.most = 1000;
  command.run = &run_test;
  return command;
}

}  // namespace ccrules::cli
