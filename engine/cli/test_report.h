#pragma once
#include <optional>
#include <ostream>
#include <string>

#include "cli/io.h"
#include "rules/dry_run.h"

/// The forms in which `ccrules test` tells what came.
namespace ccrules::cli {

struct ReportOptions {
  bool explain = false;        ///< the trace of every test
  bool only_failures = false;
};

/// For people: one line a test, grouped by file; failures with what was expected and why it came otherwise; then coverage and
/// mutations when they were asked for, and one line of sums.
void print_report(Io& io, const rules::TestReport& report, const ReportOptions& options);
/// One object with schema ccrules.test/1.
void print_json(std::ostream& out, const rules::TestReport& report);
/// Test Anything Protocol 13.
void print_tap(std::ostream& out, const rules::TestReport& report);
/// JUnit's XML as CI servers read it.
std::string junit(const rules::TestReport& report);

}  // namespace ccrules::cli
