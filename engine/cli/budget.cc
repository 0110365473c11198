#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <optional>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "config/model_name.h"
#include "core/json.h"
#include "core/text.h"
#include "ledger/queries.h"
#include "ledger/spend_lookup.h"
#include "ledger/unknown_costs.h"
#include "proxy/budget.h"
#include "proxy/budget_lines.h"

namespace ccrules::cli {
namespace {

using ledger::Span;
using proxy::BudgetLine;

constexpr double kNanoPerUsd = 1e9;
constexpr std::array<std::string_view, 4> kGateFlags = {"max-usd", "scope", "per", "allow-unknown"};

std::string iso_minute(std::int64_t wall_us) {
  const std::time_t seconds = wall_us / 1'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%MZ", &parts)};
}

void print_json(Io& io, const std::vector<BudgetLine>& lines, bool complete) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().member("schema", "ccrules.budget/1").member("complete", complete).key("budgets").begin_array();
  for (const BudgetLine& line : lines) proxy::write_budget_line(writer, line);
  writer.end_array().end_object();
  io.out << out << "\n";
}

void print_table(Io& io, const std::vector<BudgetLine>& lines) {
  using Align = Table::Align;
  const Paint paint = paint_for_out(io);
  Table table({Align::kLeft, Align::kLeft, Align::kLeft, Align::kRight, Align::kRight, Align::kRight, Align::kLeft});
  std::vector<std::string> head = {"scope", "per", "mode", "limit", "spent", "left", "free again"};
  for (std::string& cell : head) cell = paint.bold(cell);
  table.row(std::move(head));
  for (const BudgetLine& line : lines) {
    const std::int64_t left = line.cap.nanousd - line.spent_nanousd;
    const std::string end = line.cap.span == Span::kTotal ? "never" : iso_minute(line.end_us);
    table.row({line.scope, proxy::span_name(line.cap.span), line.hard ? "hard" : "soft", usd(line.cap.nanousd), usd(line.spent_nanousd),
               left > 0 ? usd(left) : paint.red(usd(left)), end});
  }
  table.print(io.out);
}

/// What `budget gate` is asked.
struct Question {
  std::string scope;  ///< as it was given
  ledger::Cap most;
};

/// From the flags; nullopt when they say nothing that can be judged, which is told.
std::optional<Question> question_of(const Arguments& arguments, Io& io, const config::Snapshot& config) {
  if (!arguments.has("max-usd")) {
    usage_error(io, "ccrules budget gate needs --max-usd: how many US dollars may have been spent");
    return std::nullopt;
  }
  const std::string text = arguments.value("max-usd");
  char* end = nullptr;
  const double most_usd = std::strtod(text.c_str(), &end);
  constexpr double kMostUsd = 1e9;
  if (text.empty() || *end != '\0' || !(most_usd >= 0) || most_usd > kMostUsd) {
    usage_error(io, "--max-usd must be a number of US dollars, not negative (got '" + text + "')");
    return std::nullopt;
  }
  Question question;
  question.most.nanousd = static_cast<std::int64_t>(most_usd * kNanoPerUsd + 0.5);
  question.most.span = proxy::span_named(arguments.has("per") ? arguments.value("per") : "day");
  question.scope = arguments.has("scope") ? arguments.value("scope") : "all";
  if (question.scope == "all") return question;
  const std::size_t colon = question.scope.find(':');
  question.most.by = question.scope.substr(0, colon);
  const bool known = std::find(ledger::kScopes.begin(), ledger::kScopes.end(), question.most.by) != ledger::kScopes.end();
  // An empty key would pass whatever was spent: nothing is counted under it.
  if (colon == std::string::npos || colon + 1 == question.scope.size() || !known) {
    usage_error(io, "--scope must be \"all\" or one such as \"project:/srv/web\" (got '" + question.scope + "')");
    return std::nullopt;
  }
  if (text::is_glob(question.scope)) {  // so would one that is nobody's
    usage_error(io, "--scope '" + question.scope + "' is a pattern, and keys are compared as they are written; name one of them, or \"all\"");
    return std::nullopt;
  }
  question.most.key = question.scope.substr(colon + 1);
  if (question.most.by == "model") question.most.key = std::string(config::asked_model_name(config.models(), question.most.key));
  return question;
}

/// "mystery,m-1: 2 requests, mystery,m-2: 1 request": not more of them than a line holds.
std::string models_text(const ledger::UnknownCosts& unknown) {
  constexpr std::size_t kNamed = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(unknown.models.size(), kNamed); ++i) {
    const auto& [model, requests] = unknown.models[i];
    text.append(text.empty() ? "" : ", ").append(plain_text(model)).append(": ").append(counted(static_cast<std::size_t>(requests), "request"));
  }
  if (unknown.models.size() > kNamed) text.append(", and ").append(std::to_string(unknown.models.size() - kNamed)).append(" more");
  return text;
}

struct Judgement {
  std::int64_t spent_nanousd = 0;
  ledger::UnknownCosts unknown;
  bool over = false, passed = false;
};

void print_judgement(const Arguments& arguments, Io& io, const Question& question, const Judgement& judged) {
  const std::string_view per = proxy::span_name(question.most.span);
  if (arguments.json()) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object().member("schema", "ccrules.budget_gate/1").member("scope", std::string_view(question.scope));
    writer.member("per", per).member("spent_nanousd", judged.spent_nanousd).member("max_nanousd", question.most.nanousd);
    writer.member("unknown_cost_requests", judged.unknown.requests).key("unknown_cost_models").begin_array();
    for (const auto& [model, requests] : judged.unknown.models)
      writer.begin_object().member("model", std::string_view(model)).member("requests", requests).end_object();
    writer.end_array().member("passed", judged.passed).end_object();
    io.out << out << "\n";
    return;
  }
  io.out << question.scope << ": " << (judged.unknown.requests > 0 ? "at least " : "") << usd(judged.spent_nanousd) << " spent, ";
  if (judged.over || judged.passed) {
    io.out << (judged.over ? "more than " : "within ") << usd(question.most.nanousd) << " per " << per << "\n";
  } else {
    io.out << "and nobody knows whether that is within " << usd(question.most.nanousd) << " per " << per << "\n";
  }
  if (judged.unknown.requests == 0) return;
  io.err << counted(static_cast<std::size_t>(judged.unknown.requests), "request") << " of unknown cost: " << models_text(judged.unknown)
         << "; set `prices` for such models in ccrules.json";
  io.err << (judged.over || judged.passed ? "\n" : ", or let them pass with --allow-unknown\n");
}

/// For CI: fails when more was spent than --max-usd, and when that cannot be known.
/// @param path of the ledger, for keys that are not among the most recent thousands, and for requests of unknown cost
Exit gate(const Arguments& arguments, Io& io, const ledger::Spending& spending, const std::string& path, const config::Snapshot& config) {
  const auto question = question_of(arguments, io, config);
  if (!question) return Exit::kUsage;
  const ledger::Cap& most = question->most;
  ledger::Sum sum;
  if (const auto found = spending.sums.find({most.by, most.key}); found != spending.sums.end()) {
    sum = found->second;
  } else {
    const auto stored = ledger::spent_before(path, {most.by, most.key});
    if (!stored.ok()) return usage_error(io, stored.error().message);
    sum = *stored;
  }
  // An empty sum would pass, too: of a tag without its value there is one only where a rule lets a budget of that name pay.
  if (!ledger::is_one_sum(most.by, most.key) && sum == ledger::Sum{}) {
    return usage_error(io, "--scope " + question->scope + " names a tag and none of its values; say which, such as \"" + question->scope +
                               "=42\"");
  }
  const std::int64_t now_us = io.clock.wall_us();
  const ledger::Calendar calendar = proxy::calendar_of(config);
  auto unknown = ledger::unknown_costs(path, most.by, most.key, calendar.begin_us(most.span, now_us));
  if (!unknown.ok()) return usage_error(io, unknown.error().message);
  Judgement judged;
  judged.spent_nanousd = sum.in(most.span, now_us, calendar);
  judged.unknown = *std::move(unknown);
  judged.over = judged.spent_nanousd > most.nanousd;
  judged.passed = !judged.over && (judged.unknown.requests == 0 || arguments.has("allow-unknown"));
  print_judgement(arguments, io, *question, judged);
  if (judged.over) return Exit::kThreshold;
  return judged.passed ? Exit::kOk : Exit::kFailed;
}

Exit run_budget(const Arguments& arguments, Io& io) {
  const bool is_gate = !arguments.words().empty();
  if (is_gate && arguments.words().front() != "gate")
    return usage_error(io, "ccrules budget takes 'gate' or nothing (got '" + arguments.words().front() + "')");
  for (const std::string_view flag : kGateFlags) {
    if (!is_gate && arguments.has(flag)) return usage_error(io, "--" + std::string(flag) + " belongs to 'ccrules budget gate'");
  }
  const auto config = load_config(config_options(arguments, io), io);
  if (!config) return Exit::kUsage;
  const std::string path = arguments.has("ledger") ? arguments.value("ledger") : config->ledger.path;
  ledger::Spending spending;
  spending.zone = config->time_zone;
  const bool is_there = io.files.exists(path);
  // Without one nothing was spent yet; but a gate must not pass because it looks at the wrong place.
  if (!is_there && (is_gate || arguments.has("ledger"))) return usage_error(io, "there is no ledger at " + path + " yet");
  if (is_there) {
    auto read = ledger::spending(path);
    if (!read.ok()) return usage_error(io, read.error().message);
    spending = *std::move(read);
  }
  if (!spending.complete)
    io.err << "rows of an older version are not counted yet: start the proxy, it adds them in the background\n";
  if (spending.zone != config->time_zone) {
    io.err << "the sums are those of the time zone " << spending.zone << ", not yet of " << config->time_zone
           << ": restart the proxy, it adds them up again\n";
    spending.complete = false;
  }
  if (is_gate) return spending.complete ? gate(arguments, io, spending, path, *config) : Exit::kFailed;
  const std::vector<BudgetLine> lines = proxy::budget_lines(*config, spending, io.clock.wall_us());
  if (arguments.json()) {
    print_json(io, lines, spending.complete);
  } else if (lines.empty()) {
    io.err << (config->budgets.empty() ? "no budgets are configured; see `budgets` in docs/configuration.md\n"
                                       : "nothing was spent under any budget yet\n");
  } else {
    print_table(io, lines);
  }
  return Exit::kOk;
}

}  // namespace

Command budget_command() {
  Command command;
  command.name = "budget";
  command.summary = "What budgets have left; a gate for CI";
  command.arguments = "[gate]";
  command.about =
      "Shows every budget of the configuration with what was spent of it in the running period, from the ledger; works while the\n"
      "proxy runs. `budget gate` ends with exit code 3 when more than --max-usd was spent, with 1 when\n"
      "nobody knows: requests of unknown cost are in the period, as far as the ledger keeps its rows.";
  command.flags = {{"max-usd", "USD", "gate: the most that may have been spent", {}},
                   {"scope", "SCOPE", "gate: all (default), or one such as project:/srv/web, tag:run=42", {}},
                   {"per", "PERIOD", "gate: the calendar period (of time_zone), day by default", {"hour", "day", "week", "month", "total"}},
                   {"allow-unknown", "", "gate: pass although what some requests cost is not known", {}},
                   {"ledger", "FILE", "this ledger instead of the configuration's", {}}};
  command.examples = {{"ccrules budget", "what is left"},
                      {"ccrules budget gate --max-usd 2 --scope tag:run=42 --per total", "fails a build that spent more"}};
  command.words = {"gate"};
  command.most = 1;
  command.run = &run_budget;
  return command;
}

}  // namespace ccrules::cli
