#include <sstream>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "cli/trace.h"
#include "cli/why.h"
#include "core/json.h"
#include "rules/dry_run.h"

namespace ccrules::cli {
namespace {

std::string edit_text(const rules::FieldEdit& edit) {
  switch (edit.kind) {
    case rules::FieldEdit::Kind::kSet:
      return edit.field + " = " + edit.value_json;
    case rules::FieldEdit::Kind::kAtMost:
      return edit.field + " at most " + edit.value_json;
    case rules::FieldEdit::Kind::kAtLeast:
      return edit.field + " at least " + edit.value_json;
    case rules::FieldEdit::Kind::kDefault:
      return edit.field + " = " + edit.value_json + " where the request has none";
    case rules::FieldEdit::Kind::kRemove:
      return edit.field + " removed";
    case rules::FieldEdit::Kind::kOneOf:
      return edit.field + " one of " + edit.value_json;
  }
  return edit.field;
}

void print_text(Io& io, const rules::Explanation& explanation) {
  const Paint paint = paint_for_out(io);
  const rules::Decision& decision = explanation.decision;
  Table table({Table::Align::kLeft, Table::Align::kLeft});
  table.row({"request", explanation.dialect + ", about " + with_commas(explanation.tokens) + " tokens"});
  table.row({"decision", paint.bold(outcome(decision))});
  if (!decision.rule.empty()) table.row({"rule", decision.rule});
  if (!decision.reason.empty()) table.row({"reason", decision.reason});
  for (std::size_t i = 1; i < decision.targets.size(); ++i) {
    table.row({i == 1 ? "fallbacks" : "", decision.targets[i].provider + "," + decision.targets[i].model});
  }
  for (std::size_t i = 0; i < decision.edits.size(); ++i) {
    table.row({i == 0 ? "changes" : "", edit_text(decision.edits[i])});
  }
  for (std::size_t i = 0; i < decision.headers.size(); ++i) {
    const rules::HeaderEdit& header = decision.headers[i];
    table.row({i == 0 ? "headers" : "", header.name + (header.value ? ": " + *header.value : " removed")});
  }
  for (const auto& [key, value] : decision.tags) table.row({"tag", key + " = " + value});
  for (const std::string& rule : decision.failed_rules) table.row({paint.red("failed"), rule});
  table.print(io.out);
  io.out << "\n";
  print_trace(io.out, paint, marks_for(io, paint), explanation.trace, "");
}

/// A rule that could not be judged is as wrong as one that does not load.
Exit report_failures(Io& io, const rules::Trace& trace) {
  Exit exit = Exit::kOk;
  for (const rules::RuleTrace& rule : trace.rules) {
    if (rule.error.empty()) continue;
    io.err << rule.where << ": error: rule '" << rule.rule << "' failed: " << rule.error << "\n";
    exit = Exit::kUsage;
  }
  return exit;
}

/// True when a word names a past request: its id ("req_..."), its decision's, or the beginning of one, and no file.
bool is_id(const std::string& word, const Files& files) {
  if (word == "-" || word.find_first_of("./\\") != std::string::npos || files.exists(word)) return false;
  return word.starts_with("req_") || word.starts_with("dec_");
}

Exit run_explain(const Arguments& arguments, Io& io) {
  if (is_id(arguments.words().front(), io.files)) return tell_why(arguments.words().front(), arguments, io);
  config::Options options = config_options(arguments, io);
  options.dry_run = true;  // the same result on a machine without keys
  const auto config = load_config(options, io);
  if (!config) return Exit::kUsage;
  const std::string& path = arguments.words().front();
  std::string sample;
  if (path == "-") {
    std::ostringstream text;
    text << io.in.rdbuf();
    sample = std::move(text).str();
  } else {
    Result<std::string> read = io.files.read(path);
    if (!read.ok()) return usage_error(io, read.error().message);
    sample = *std::move(read);
  }
  std::vector<config::Diagnostic> diagnostics;
  const Result<rules::Explanation> explained = rules::explain(sample, *config, io.files, diagnostics);
  if (!diagnostics.empty()) print_diagnostics(diagnostics, io, Where::kErr);
  if (!explained.ok()) {
    if (!has_error(diagnostics))
      (void)usage_error(io, (path == "-" ? "stdin" : path) + ": " + explained.error().message);
    return Exit::kUsage;
  }
  if (!arguments.json()) {
    print_text(io, *explained);
    return report_failures(io, explained->trace);
  }
  std::string text;
  json::Writer writer(text);
  writer.begin_object()
      .member("schema", "ccrules.explain/1")
      .member("dialect", explained->dialect)
      .member("tokens", explained->tokens)
      .member_raw("decision", rules::trace_json(explained->decision, explained->trace, {}))
      .end_object();
  io.out << text << "\n";
  return report_failures(io, explained->trace);
}

}  // namespace

Command explain_command() {
  Command command;
  command.name = "explain";
  command.summary = "What would happen to a request, or did, and why";
  command.arguments = "FILE|-|ID";
  command.about =
      "Decides one sample request without sending it: the body of an Anthropic, OpenAI, Gemini or Ollama request as JSON, or a\n"
      "saved .http file with its head. Shows the decision, for every rule the condition that failed with the value it saw, and\n"
      "every claim with its place, shadowed ones too. Exit code 2 when a rule failed. With the id of a past request or decision (req_..., dec_...) it tells what\n"
      "`ccrules why` does.";
  command.flags = {{"ledger", "FILE", "with an ID: this ledger instead of the configuration's", {}}};
  command.examples = {{"ccrules explain request.json", "a request from a file"},
                      {"ccrules explain - < request.http", "with its headers, from standard input"},
                      {"ccrules explain req_7Gq2", "a past one, by the beginning of its id"}};
  command.least = 1;
  command.most = 1;
  command.run = &run_explain;
  return command;
}

}  // namespace ccrules::cli
