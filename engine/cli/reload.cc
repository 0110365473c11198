#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "cli/talk.h"
#include "core/json.h"
#include "rules/json_tree.h"

namespace ccrules::cli {
namespace {

std::string text_of(const rules::Tree& report, std::string_view name) {
  const rules::Tree::Member* member = report.find(name);
  return member == nullptr ? std::string() : member->value.text;
}

Exit exit_of(std::string_view outcome) {
  if (outcome == "live") return Exit::kOk;
  return outcome == "held" ? Exit::kFailed : Exit::kUsage;
}

Exit run_reload(const Arguments& arguments, Io& io) {
  const auto config = load_config(config_options(arguments, io), io);
  if (!config) return Exit::kUsage;
  Call call;
  call.method = "POST";
  call.path = "/reload";
  call.changes = true;
  call.url = arguments.value("url");
  json::Writer(call.body).begin_object().member("accept", arguments.value("accept")).end_object();
  const Result<std::string> answer = talk(*config, call);
  if (!answer.ok()) {
    const bool refused = answer.error().code == ErrorCode::kUnauthorized;
    (void)usage_error(io, refused ? answer.error().message : "no proxy to reload: " + answer.error().message);
    return refused ? Exit::kAuth : Exit::kUnreachable;
  }
  const Result<rules::Tree> report = rules::read_json(*answer, rules::Spot{1, 1});
  if (!report.ok()) return usage_error(io, "the proxy's answer cannot be read: " + report.error().message);
  const std::string outcome = text_of(*report, "outcome");
  if (arguments.json()) {
    io.out << *answer << "\n";
    return exit_of(outcome);
  }
  const Paint paint = paint_for_out(io);
  if (outcome == "live") {
    io.out << paint.green("live") << ": rules " << text_of(*report, "ruleset") << "\n";
  } else {
    io.out << paint.red(outcome) << ": the rules before stay in force\n";
  }
  if (const rules::Tree::Member* why = report->find("why")) {
    for (const rules::Tree& line : why->value.items) io.out << line.text << "\n";
  }
  return exit_of(outcome);
}

}  // namespace

Command reload_command() {
  Command command;
  command.name = "reload";
  command.summary = "Bring edited rules and configuration into force, if they prove themselves";
  command.about =
      "Asks the running proxy to read its configuration and rules again. They go live when they load, the tests beside them\n"
      "pass, and few enough of the recent decisions would change (`reload` in ccrules.json); otherwise the rules in force\n"
      "stay, and this says why. Exit code 0: live, 1: held, 2: refused, 5: no proxy runs.";
  command.flags = {{"accept", "HASH", "these rules go live whatever tests and impact say; a held reload names the hash", {}},
                   {"url", "URL", "where the proxy is, instead of where the configuration says", {}}};
  command.examples = {{"ccrules reload", "after editing"}, {"ccrules reload --accept 5f2a…", "what was held is meant"}};
  command.run = &run_reload;
  return command;
}

}  // namespace ccrules::cli
