#include "cli/why.h"

#include <ctime>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "cli/past.h"
#include "cli/trace.h"
#include "core/json.h"
#include "ledger/queries.h"
#include "rules/recorded.h"

namespace ccrules::cli {
namespace {

/// What today's rules make of a past request, beside what became of it then.
struct Answer {
  ledger::Record row;
  std::optional<rules::Redecision> again;  ///< absent: the row was never decided by rules
  bool same_rules = false;                 ///< the rules in force now are those that decided
};

std::string utc(std::int64_t at_us) {
  const std::time_t seconds = at_us / 1'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string recorded_outcome(const ledger::Record& row) {
  if (!row.provider.empty()) return row.provider + "," + row.model;
  return row.error.empty() ? "no target" : row.error;
}

void print_request(Io& io, const Paint& paint, const ledger::Record& row) {
  Table table({Table::Align::kLeft, Table::Align::kLeft});
  const auto line = [&table](const char* name, const std::string& value) {
    if (!value.empty()) table.row({name, value});
  };
  line("request", row.id + "  " + paint.dim(utc(row.at_us)));
  line("asked for", row.requested_model);
  line("client", row.client);
  line("project", row.project);
  line("session", row.session);
  line("agent", row.agent);
  line("class", row.request_class);
  line("decision", paint.bold(recorded_outcome(row)));
  line("rule", row.rule);
  line("reason", row.reason);
  line("status", std::to_string(row.status) + (row.attempts > 1 ? " after " + std::to_string(row.attempts) + " attempts" : ""));
  line("cost", row.cost_nanousd ? usd(*row.cost_nanousd) : "");
  line("tags", row.tags_json);
  table.print(io.out);
  io.out << "\n";
}

void print_text(Io& io, const Answer& answer) {
  const Paint paint = paint_for_out(io);
  print_request(io, paint, answer.row);
  if (!answer.again) {
    io.out << "It never came to a decision: " << (answer.row.error.empty() ? "no rules were asked" : plain_text(answer.row.error)) << "\n";
    return;
  }
  if (!answer.same_rules) {
    io.out << paint.yellow("the rules have changed since then; this is what today's make of the same request:") << " "
           << paint.bold(plain_text(outcome(answer.again->decision))) << "\n";
  }
  if (!answer.again->not_kept.empty()) {
    io.out << paint.yellow("texts are not kept, so these were judged as absent: " + joined(answer.again->not_kept)) << "\n";
  }
  print_trace(io.out, paint, marks_for(io, paint), answer.again->trace, "");
}

void print_json(Io& io, const Answer& answer) {
  const ledger::Record& row = answer.row;
  std::string text;
  json::Writer writer(text);
  writer.begin_object().member("schema", "ccrules.why/1").member("id", row.id).member("at_us", row.at_us);
  writer.member("requested_model", row.requested_model).member("rule", row.rule).member("reason", row.reason);
  writer.member("provider", row.provider).member("model", row.model).member("status", std::int64_t{row.status});
  writer.member("ruleset", row.ruleset).member("rules_unchanged", answer.same_rules);
  if (answer.again) {
    writer.key("not_kept").begin_array();
    for (const std::string& name : answer.again->not_kept) writer.string(name);
    writer.end_array();
    writer.member_raw("decision", rules::trace_json(answer.again->decision, answer.again->trace, row.decision_id));
  }
  writer.end_object();
  io.out << text << "\n";
}

Exit run_why(const Arguments& arguments, Io& io) { return tell_why(arguments.words().front(), arguments, io); }

}  // namespace

Exit tell_why(const std::string& id, const Arguments& arguments, Io& io) {
  config::Options options = config_options(arguments, io);
  options.dry_run = true;
  const auto config = load_config(options, io);
  if (!config) return Exit::kUsage;
  const std::string path = arguments.has("ledger") ? arguments.value("ledger") : config->ledger.path;
  if (!io.files.exists(path)) return usage_error(io, "there is no ledger at " + path + " yet");
  auto found = ledger::find(path, id);
  if (!found.ok()) return usage_error(io, found.error().message);
  if (!*found) {
    io.err << "error: there is no request '" << id << "' in " << path
           << "; the x-ccrules-decision header of an answer is one\n";
    return Exit::kFailed;
  }
  Answer answer;
  answer.row = **std::move(found);
  if (!answer.row.facts_json.empty()) {
    std::vector<config::Diagnostic> diagnostics;
    const auto engine = rules::Engine::load(*config, io.files, diagnostics);
    if (engine == nullptr) {
      print_diagnostics(diagnostics, io, Where::kErr);
      return Exit::kUsage;
    }
    answer.same_rules = engine->hash() == answer.row.ruleset;
    auto again = rules::decide_again(*engine, recorded(answer.row));
    if (!again.ok()) return usage_error(io, again.error().message);
    answer.again = *std::move(again);
  }
  if (arguments.json()) {
    print_json(io, answer);
  } else {
    print_text(io, answer);
  }
  return Exit::kOk;
}

Command why_command() {
  Command command;
  command.name = "why";
  command.summary = "Why a past request went where it went";
  command.arguments = "ID";
  command.about =
      "Finds a request in the ledger by its decision id (the x-ccrules-decision header of the answer), its request id, or\n"
      "the beginning of one, and makes its decision again from what the ledger keeps: every rule with the condition that\n"
      "failed and the value it saw. The ledger keeps no text of requests; rules that read some are told apart. Says so when\n"
      "the rules have changed.";
  command.flags = {{"ledger", "FILE", "this ledger instead of the configuration's", {}}};
  command.examples = {{"ccrules why req_7Gq2", "by the beginning of its id"}};
  command.least = 1;
  command.most = 1;
  command.run = &run_why;
  return command;
}

}  // namespace ccrules::cli
