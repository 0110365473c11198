#include <cstdio>

#include "cli/load.h"
#include "cli/test_report.h"
#include "cli/trace.h"
#include "core/json.h"
#include "core/text.h"

namespace ccrules::cli {
namespace {

void write_count(json::Writer& writer, const char* name, const rules::CoverageCount& count) {
  writer.key(name)
      .begin_object()
      .member("hit", static_cast<std::int64_t>(count.hit))
      .member("total", static_cast<std::int64_t>(count.total))
      .end_object();
}

void write_place(json::Writer& writer, const std::string& file, rules::Spot at) {
  writer.member("file", file).member("line", at.line).member("column", at.column);
}

void write_coverage(json::Writer& writer, const rules::CoverageReport& coverage) {
  writer.key("coverage").begin_object();
  write_count(writer, "rules", coverage.rules);
  write_count(writer, "outcomes", coverage.outcomes);
  write_count(writer, "lines", coverage.lines);
  writer.key("gaps").begin_array();
  for (const rules::CoverageGap& gap : coverage.gaps) {
    writer.begin_object();
    write_place(writer, gap.file, gap.at);
    writer.member("text", gap.text).end_object();
  }
  writer.end_array().end_object();
}

void write_mutation(json::Writer& writer, const rules::MutationReport& mutation) {
  writer.key("mutation").begin_object().member("total", static_cast<std::int64_t>(mutation.total));
  writer.key("survivors").begin_array();
  for (const auto& survivor : mutation.survivors) {
    writer.begin_object();
    write_place(writer, survivor.mutant.file, survivor.mutant.at);
    writer.member("rule", survivor.mutant.rule).member("change", survivor.mutant.change).key("tests").begin_array();
    for (const std::string& test : survivor.tests) writer.string(test);
    writer.end_array().end_object();
  }
  writer.end_array().end_object();
}

/// Text of XML 1.0: what it cannot hold becomes a question mark.
std::string xml(std::string_view text) {
  std::string out;
  for (const char c : text::to_valid_utf8(text)) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\n': out += "&#10;"; break;
      default: out += static_cast<unsigned char>(c) < 0x20 && c != '\t' ? '?' : c;
    }
  }
  return out;
}

std::string seconds(std::int64_t ns) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6f", static_cast<double>(ns) / 1e9);
  return text;
}

// A line of TAP: '#' begins a directive there.
std::string tap(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '#' || c == '\\') out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

std::string yaml(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

}  // namespace

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
        .member("kind", result.kind)
        .member("passed", result.passed);
    if (!result.passed) writer.member("expected", result.expected).member("actual", result.actual);
    if (!result.note.empty()) writer.member("note", result.note);
    writer.member_raw("decision", rules::trace_json(result.decision, result.trace, {})).end_object();
  }
  writer.end_array();
  if (report.coverage) write_coverage(writer, *report.coverage);
  if (report.mutation) write_mutation(writer, *report.mutation);
  writer.member_raw("problems", diagnostics_json(report.problems)).end_object();
  out << text << "\n";
}

void print_tap(std::ostream& out, const rules::TestReport& report) {
  out << "TAP version 13\n1.." << report.cases.size() << "\n";
  std::size_t number = 0;
  for (const rules::CaseResult& result : report.cases) {
    out << (result.passed ? "ok " : "not ok ") << ++number << " - " << tap(result.name) << "\n";
    if (result.passed) continue;
    out << "  ---\n  at: " << yaml(result.file + ":" + std::to_string(result.line)) << "\n  expected: " << yaml(result.expected)
        << "\n  actual: " << yaml(result.actual) << "\n  ...\n";
  }
}

std::string junit(const rules::TestReport& report) {
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"" + std::to_string(report.cases.size()) +
                    "\" failures=\"" + std::to_string(report.failed()) + "\" time=\"" + seconds(report.time_us * 1000) + "\">\n";
  for (std::size_t begin = 0; begin < report.cases.size();) {
    const std::string& file = report.cases[begin].file;
    std::size_t end = begin;
    std::size_t failed = 0;
    std::int64_t time_ns = 0;
    for (; end < report.cases.size() && report.cases[end].file == file; ++end) {
      failed += report.cases[end].passed ? 0U : 1U;
      time_ns += report.cases[end].time_ns;
    }
    out += "  <testsuite name=\"" + xml(file) + "\" tests=\"" + std::to_string(end - begin) + "\" failures=\"" +
           std::to_string(failed) + "\" time=\"" + seconds(time_ns) + "\">\n";
    for (; begin < end; ++begin) {
      const rules::CaseResult& result = report.cases[begin];
      out += "    <testcase classname=\"" + xml(file) + "\" name=\"" + xml(result.name) + "\" file=\"" + xml(file) + "\" line=\"" +
             std::to_string(result.line) + "\" time=\"" + seconds(result.time_ns) + "\"";
      if (result.passed) {
        out += "/>\n";
        continue;
      }
      out += ">\n      <failure message=\"" + xml("expected " + result.expected) + "\">" +
             xml("expected " + result.expected + "\nactual   " + result.actual) + "</failure>\n    </testcase>\n";
    }
    out += "  </testsuite>\n";
  }
  return out + "</testsuites>\n";
}

}  // namespace ccrules::cli
