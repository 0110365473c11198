#include "cli/test_report.h"

#include <algorithm>
#include <utility>

#include "cli/load.h"
#include "cli/paint.h"
#include "cli/trace.h"
#include "core/text.h"

namespace ccrules::cli {
namespace {

// Columns: a longer cell pushes its own line only.
constexpr std::size_t kWidestName = 48;
constexpr std::size_t kWidestOutcome = 28;
constexpr std::size_t kWidestText = 72;
constexpr std::size_t kLeastOutcome = 16;
constexpr std::string_view kCut = "..";  ///< where a cell does not fit
constexpr std::size_t kNamed = 2;  ///< tests named beside a mutant that nobody noticed

std::string milliseconds(std::int64_t us) {
  const std::int64_t tenths = (us + 50) / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " ms";
}

std::string whole_percent(double percent) {
  // 99.6 % is not all of it.
  return std::to_string(static_cast<int>(percent)) + " %";
}

std::string plural(std::size_t count, const std::string& word) {
  return with_commas(static_cast<std::int64_t>(count)) + " " + word + (count == 1 ? "" : "s");
}

std::string place(const Io& io, const std::string& file, rules::Spot at) {
  std::string out = shown_path(io, file) + ":" + std::to_string(at.line);
  if (at.column > 1) out += ":" + std::to_string(at.column);
  return out;
}

/// Lines of at most kWidestText columns, broken at blanks.
std::vector<std::string> wrapped(std::string_view text) {
  std::vector<std::string> lines;
  std::string line;
  for (const std::string_view word : text::split(text, ' ')) {
    if (!line.empty() && width_of(line) + 1 + width_of(word) > kWidestText) lines.push_back(std::exchange(line, {}));
    if (!line.empty()) line += ' ';
    line += word;
  }
  if (!line.empty()) lines.push_back(std::move(line));
  return lines;
}

class Printer {
 public:
  Printer(Io& io, const rules::TestReport& report, const ReportOptions& options)
      : io_(io), report_(report), options_(options), paint_(paint_for_out(io)), marks_(marks_for(io, paint_)) {}

  void cases() {
    measure();
    const std::string* file = nullptr;
    for (const rules::CaseResult& result : report_.cases) {
      if (options_.only_failures && result.passed) continue;
      if (file == nullptr || *file != result.file) {
        io_.out << (file == nullptr ? "" : "\n") << paint_.bold(shown_path(io_, result.file)) << "\n";
        file = &result.file;
      }
      line(result);
      if (!result.passed) failure(result);
      if (result.passed && options_.explain) print_trace(io_.out, paint_, marks_, result.trace, kInner);
    }
    if (file != nullptr) io_.out << "\n";
  }

  void coverage(const rules::CoverageReport& report) {
    io_.out << paint_.bold("coverage") << "\n";
    Table table({Table::Align::kLeft, Table::Align::kRight, Table::Align::kRight, Table::Align::kRight}, Table::Long::kWhole);
    table.row({"", paint_.dim("rules"), paint_.dim("outcomes"), paint_.dim("lines")});
    for (const auto& file : report.files) {
      table.row({shown_path(io_, file.file), count(file.rules), count(file.outcomes), count(file.lines)});
    }
    if (report.files.size() > 1) {
      table.row({paint_.bold("all"), count(report.rules), count(report.outcomes), count(report.lines)});
    }
    table.print(io_.out, "  ");
    if (!report.gaps.empty()) io_.out << "\n";
    Table gaps({Table::Align::kLeft, Table::Align::kLeft}, Table::Long::kWhole);
    for (const rules::CoverageGap& gap : report.gaps) {
      gaps.row({paint_.dim(place(io_, gap.file, gap.at)), paint_.yellow(gap.text)});
    }
    gaps.print(io_.out, "  ");
    io_.out << "\n";
  }

  void mutation(const rules::MutationReport& report) {
    const std::size_t killed = report.total - report.survivors.size();
    io_.out << paint_.bold("mutations") << "  " << killed << " of " << plural(report.total, "mistake") << " noticed ("
            << whole_percent(report.percent()) << ")\n";
    for (const auto& survivor : report.survivors) {
      io_.out << "  " << marks_.no << " " << paint_.dim(place(io_, survivor.mutant.file, survivor.mutant.at)) << "  "
              << survivor.mutant.rule << ": " << paint_.yellow(survivor.mutant.change) << "\n";
      for (const std::string& line : wrapped(should_have(survivor.tests))) io_.out << kInner << paint_.dim(line) << "\n";
    }
    io_.out << "\n";
  }

  void sums() {
    const std::size_t failed = report_.failed();
    const std::size_t passed = report_.cases.size() - failed;
    const std::string text = std::to_string(passed) + " passed";
    io_.out << (failed == 0 ? paint_.green(text) : text);
    if (failed > 0) io_.out << ", " << paint_.red(std::to_string(failed) + " failed");
    io_.out << paint_.dim(" in " + milliseconds(report_.time_us)) << "\n";
  }

 private:
  static constexpr const char* kInner = "      ";

  void measure() {
    for (const rules::CaseResult& result : report_.cases) {
      if (options_.only_failures && result.passed) continue;
      name_width_ = std::max(name_width_, std::min(kWidestName, width_of(result.name)));
      outcome_width_ = std::max(outcome_width_, std::min(kWidestOutcome, width_of(came(result))));
    }
  }

  static std::string came(const rules::CaseResult& result) {
    if (result.kind == std::string_view("sweep") && result.passed) {
      return plural(result.decisions, "decision") + ": " + result.note;
    }
    return outcome(result.decision);
  }

  /// As much of a cell as a terminal's line has room for beside `taken` columns.
  [[nodiscard]] std::string fitting(std::string text, std::size_t taken) const {
    const std::size_t room = io_.columns > taken + kLeastOutcome ? io_.columns - taken : kLeastOutcome;
    if (io_.columns == 0 || width_of(text) <= room) return text;
    return text::to_valid_utf8(std::string_view(text).substr(0, room - kCut.size())) + std::string(kCut);
  }

  void line(const rules::CaseResult& result) {
    std::string text = "  " + (result.passed ? marks_.yes : marks_.no) + " ";
    text += pad_right(result.passed ? plain_text(result.name) : paint_.bold(plain_text(result.name)), name_width_) + "  ";
    const bool sweep = result.kind == std::string_view("sweep") && result.passed;
    const std::string rule = sweep ? std::string() : result.decision.rule;
    const std::string shown = fitting(came(result), width_of(text) + 2 + width_of(rule));
    text += pad_right(sweep ? paint_.dim(shown) : shown, outcome_width_) + "  " + paint_.dim(rule);
    text.erase(text.find_last_not_of(' ') + 1);
    io_.out << text << "\n";
  }

  void failure(const rules::CaseResult& result) {
    Table lines({Table::Align::kLeft, Table::Align::kLeft});
    lines.row({"expected", paint_.green(plain_text(result.expected))});
    lines.row({"actual", paint_.red(plain_text(result.actual))});
    if (!result.note.empty()) lines.row({result.kind, result.note});
    if (!result.decision.reason.empty()) lines.row({"reason", result.decision.reason});
    lines.row({"at", paint_.dim(shown_path(io_, result.file) + ":" + std::to_string(result.line))});
    if (!result.hint.empty()) lines.row({"hint", paint_.cyan(result.hint)});
    lines.print(io_.out, kInner);
    rules::Trace trace = result.trace;
    trace.facts_read.clear();  // the conditions show the values that mattered
    std::size_t hidden = 0;
    if (!options_.explain) {
      hidden = std::erase_if(trace.rules, [](const rules::RuleTrace& rule) {
        return rule.where.starts_with("rules/default/") && !rule.matched && rule.error.empty();
      });
    }
    const std::string left_out = plural(hidden, "built-in rule") + " did not match (--explain shows them)";
    print_trace(io_.out, paint_, marks_, trace, kInner, hidden > 0 ? left_out : std::string());
  }

  [[nodiscard]] std::string count(const rules::CoverageCount& count) const {
    if (count.total == 0) return paint_.dim("-");
    const std::string text =
        std::to_string(count.hit) + "/" + std::to_string(count.total) + pad_left(whole_percent(count.percent()), 7);
    return count.hit == count.total ? paint_.green(text) : paint_.yellow(text);
  }

  static std::string should_have(const std::vector<std::string>& tests) {
    if (tests.empty()) return "no test reaches this rule";
    std::string out = "should have been noticed by ";
    for (std::size_t i = 0; i < std::min(tests.size(), kNamed); ++i) out += (i == 0 ? "'" : ", '") + tests[i] + "'";
    if (tests.size() > kNamed) out += " or " + std::to_string(tests.size() - kNamed) + " more";
    return out;
  }

  Io& io_;
  const rules::TestReport& report_;
  const ReportOptions& options_;
  Paint paint_;
  Marks marks_;
  std::size_t name_width_ = 0;
  std::size_t outcome_width_ = 0;
};

}  // namespace

void print_report(Io& io, const rules::TestReport& report, const ReportOptions& options) {
  Printer printer(io, report, options);
  printer.cases();
  if (report.coverage) printer.coverage(*report.coverage);
  if (report.mutation) printer.mutation(*report.mutation);
  printer.sums();
}

}  // namespace ccrules::cli
