#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <optional>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "core/json.h"
#include "core/text.h"
#include "ledger/queries.h"
#include "ledger/spend_lookup.h"
#include "proxy/budget.h"
#include "proxy/budget_lines.h"

namespace ccrules::cli {
namespace {

using ledger::Span;
using proxy::BudgetLine;

constexpr double kNanoPerUsd = 1e9;

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

/// For CI: fails when more was spent than --max-usd.
/// @param path of the ledger, for keys that are not among the most recent thousands
Exit gate(const Arguments& arguments, Io& io, const ledger::Spending& spending, const std::string& path, const ledger::Calendar& calendar) {
  if (!arguments.has("max-usd")) return usage_error(io, "ccrules budget gate needs --max-usd: how many US dollars may have been spent");
  const std::string text = arguments.value("max-usd");
  char* end = nullptr;
  const double most_usd = std::strtod(text.c_str(), &end);
  constexpr double kMostUsd = 1e9;
  if (text.empty() || *end != '\0' || !(most_usd >= 0) || most_usd > kMostUsd)
    return usage_error(io, "--max-usd must be a number of US dollars, not negative (got '" + text + "')");
  const auto most_nanousd = static_cast<std::int64_t>(most_usd * kNanoPerUsd + 0.5);
  const std::string scope = arguments.has("scope") ? arguments.value("scope") : "all";
  const std::size_t colon = scope.find(':');
  const std::string by = scope == "all" ? std::string() : scope.substr(0, colon);
  const bool known = std::find(ledger::kScopes.begin(), ledger::kScopes.end(), by) != ledger::kScopes.end();
  // An empty key would pass whatever was spent: nothing is counted under it.
  if (scope != "all" && (colon == std::string::npos || colon + 1 == scope.size() || !known))
    return usage_error(io, "--scope must be \"all\" or one such as \"project:/srv/web\" (got '" + scope + "')");
  if (text::is_glob(scope))  // so would one that is nobody's
    return usage_error(io, "--scope '" + scope + "' is a pattern, and keys are compared as they are written; name one of them, or \"all\"");
  const Span span = proxy::span_named(arguments.has("per") ? arguments.value("per") : "day");
  ledger::Cap whose;
  whose.by = by;
  if (!by.empty()) whose.key = scope.substr(colon + 1);
  ledger::Sum sum;
  if (const auto found = spending.sums.find({whose.by, whose.key}); found != spending.sums.end()) {
    sum = found->second;
  } else if (io.files.exists(path)) {
    const auto stored = ledger::spent_before(path, whose);
    if (!stored.ok()) return usage_error(io, stored.error().message);
    sum = *stored;
  }
  // An empty sum would pass, too: of a tag without its value there is one only where a rule lets a budget of that name pay.
  if (!ledger::is_one_sum(whose.by, whose.key) && sum == ledger::Sum{})
    return usage_error(io, "--scope " + scope + " names a tag and none of its values; say which, such as \"" + scope + "=42\"");
  const std::int64_t spent = sum.in(span, io.clock.wall_us(), calendar);
  const bool over = spent > most_nanousd;
  if (arguments.json()) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object().member("schema", "ccrules.budget_gate/1").member("scope", std::string_view(scope));
    writer.member("per", proxy::span_name(span));
    writer.member("spent_nanousd", spent).member("max_nanousd", most_nanousd).member("passed", !over).end_object();
    io.out << out << "\n";
  } else {
    io.out << scope << ": " << usd(spent) << " spent, " << (over ? "more than " : "within ") << usd(most_nanousd) << " per "
           << proxy::span_name(span) << "\n";
  }
  return over ? Exit::kThreshold : Exit::kOk;
}

Exit run_budget(const Arguments& arguments, Io& io) {
  const bool is_gate = !arguments.words().empty();
  if (is_gate && arguments.words().front() != "gate")
    return usage_error(io, "ccrules budget takes 'gate' or nothing (got '" + arguments.words().front() + "')");
  const auto config = load_config(config_options(arguments, io), io);
  if (!config) return Exit::kUsage;
  const std::string path = arguments.has("ledger") ? arguments.value("ledger") : config->ledger.path;
  ledger::Spending spending;
  spending.zone = config->time_zone;
  if (io.files.exists(path)) {
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
  if (is_gate) return spending.complete ? gate(arguments, io, spending, path, proxy::calendar_of(*config)) : Exit::kFailed;
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
      "proxy runs. `budget gate` ends with exit code 3 when more than --max-usd was spent.";
  command.flags = {{"max-usd", "USD", "gate: the most that may have been spent", {}},
                   {"scope", "SCOPE", "gate: all (default), or one such as project:/srv/web, tag:run=42", {}},
                   {"per", "PERIOD", "gate: the calendar period (of time_zone), day by default", {"hour", "day", "week", "month", "total"}},
                   {"ledger", "FILE", "this ledger instead of the configuration's", {}}};
  command.examples = {{"ccrules budget", "what is left"},
                      {"ccrules budget gate --max-usd 2 --scope tag:run=42 --per total", "fails a build that spent more"}};
  command.words = {"gate"};
  command.most = 1;
  command.run = &run_budget;
  return command;
}

}  // namespace ccrules::cli
