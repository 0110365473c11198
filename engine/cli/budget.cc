#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <optional>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "core/json.h"
#include "ledger/queries.h"
#include "proxy/budget.h"

namespace ccrules::cli {
namespace {

using ledger::Span;

constexpr double kNanoPerUsd = 1e9;
constexpr std::size_t kShown = 20;  ///< Of those that each have a budget of their own, the ones that spent most.

/// A budget and what was spent of it.
struct Line {
  std::string scope;  ///< "all", "project:/srv/web"
  ledger::Cap cap;
  bool hard = true;
  std::int64_t spent_nanousd = 0;
};

std::optional<Span> span_of(std::string_view per) {
  if (per == "hour") return Span::kHour;
  if (per == "day") return Span::kDay;
  if (per == "week") return Span::kWeek;
  if (per == "month") return Span::kMonth;
  return per == "total" ? std::optional(Span::kTotal) : std::nullopt;
}

const char* name_of(Span span) {
  constexpr std::array<const char*, ledger::kSpans> kNames = {"hour", "day", "week", "month", "total"};
  return kNames[static_cast<std::size_t>(span)];
}

std::string iso_minute(std::int64_t wall_us) {
  const std::time_t seconds = wall_us / 1'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%MZ", &parts)};
}

std::vector<Line> lines_of(const config::Snapshot& config, const ledger::Spending& spending, std::int64_t now_us) {
  std::vector<Line> lines;
  for (const config::Budget& budget : config.budgets) {
    Line line;
    line.hard = budget.hard;
    line.cap.by = budget.by;
    line.cap.span = *span_of(budget.per);
    line.cap.nanousd = budget.nanousd;
    const auto add = [&](const std::string& key) {
      line.cap.key = key;
      line.scope = budget.by.empty() ? "all" : budget.by + ":" + key;
      const auto sum = spending.sums.find({budget.by, key});
      line.spent_nanousd = sum == spending.sums.end() ? 0 : sum->second.in(line.cap.span, now_us);
      lines.push_back(line);
    };
    if (budget.by.empty() || !budget.key.empty()) {
      add(budget.key);
      continue;
    }
    std::vector<std::pair<std::int64_t, std::string>> keys;
    for (const auto& [whose, sum] : spending.sums) {
      const std::int64_t spent = whose.first == budget.by ? sum.in(line.cap.span, now_us) : 0;
      if (spent > 0) keys.emplace_back(-spent, whose.second);
    }
    std::sort(keys.begin(), keys.end());
    for (std::size_t i = 0; i < keys.size() && i < kShown; ++i) add(keys[i].second);
  }
  return lines;
}

void print_json(Io& io, const std::vector<Line>& lines, bool complete, std::int64_t now_us) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().member("schema", "ccrules.budget/1").member("complete", complete).key("budgets").begin_array();
  for (const Line& line : lines) {
    writer.begin_object().member("scope", std::string_view(line.scope)).member("per", name_of(line.cap.span));
    writer.member("mode", line.hard ? "hard" : "soft").member("limit_nanousd", line.cap.nanousd);
    writer.member("spent_nanousd", line.spent_nanousd).member("left_nanousd", line.cap.nanousd - line.spent_nanousd);
    writer.key("resets_at_us");
    if (line.cap.span == Span::kTotal) {
      writer.null();
    } else {
      writer.integer(ledger::span_end_us(line.cap.span, now_us));
    }
    writer.end_object();
  }
  writer.end_array().end_object();
  io.out << out << "\n";
}

void print_table(Io& io, const std::vector<Line>& lines, std::int64_t now_us) {
  using Align = Table::Align;
  const Paint paint = paint_for_out(io);
  Table table({Align::kLeft, Align::kLeft, Align::kLeft, Align::kRight, Align::kRight, Align::kRight, Align::kLeft});
  std::vector<std::string> head = {"scope", "per", "mode", "limit", "spent", "left", "free again"};
  for (std::string& cell : head) cell = paint.bold(cell);
  table.row(std::move(head));
  for (const Line& line : lines) {
    const std::int64_t left = line.cap.nanousd - line.spent_nanousd;
    const std::string end = line.cap.span == Span::kTotal ? "never" : iso_minute(ledger::span_end_us(line.cap.span, now_us));
    table.row({line.scope, name_of(line.cap.span), line.hard ? "hard" : "soft", usd(line.cap.nanousd), usd(line.spent_nanousd),
               left > 0 ? usd(left) : paint.red(usd(left)), end});
  }
  table.print(io.out);
}

/// For CI: fails when more was spent than --max-usd.
Exit gate(const Arguments& arguments, Io& io, const ledger::Spending& spending, std::int64_t now_us) {
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
  if (scope != "all" && (colon == std::string::npos || !known))
    return usage_error(io, "--scope must be \"all\" or one such as \"project:/srv/web\" (got '" + scope + "')");
  const Span span = *span_of(arguments.has("per") ? arguments.value("per") : "day");
  const auto sum = spending.sums.find({by, by.empty() ? std::string() : scope.substr(colon + 1)});
  const std::int64_t spent = sum == spending.sums.end() ? 0 : sum->second.in(span, now_us);
  const bool over = spent > most_nanousd;
  if (arguments.json()) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object().member("schema", "ccrules.budget_gate/1").member("scope", std::string_view(scope)).member("per", name_of(span));
    writer.member("spent_nanousd", spent).member("max_nanousd", most_nanousd).member("passed", !over).end_object();
    io.out << out << "\n";
  } else {
    io.out << scope << ": " << usd(spent) << " spent, " << (over ? "more than " : "within ") << usd(most_nanousd) << " per "
           << name_of(span) << "\n";
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
  const std::int64_t now_us = io.clock.wall_us();
  ledger::Spending spending;
  if (io.files.exists(path)) {
    auto read = ledger::spending(path);
    if (!read.ok()) return usage_error(io, read.error().message);
    spending = *std::move(read);
  }
  if (!spending.complete)
    io.err << "rows of an older version are not counted yet: start the proxy, it adds them in the background\n";
  if (is_gate) return spending.complete ? gate(arguments, io, spending, now_us) : Exit::kFailed;
  const std::vector<Line> lines = lines_of(*config, spending, now_us);
  if (arguments.json()) {
    print_json(io, lines, spending.complete, now_us);
  } else if (lines.empty()) {
    io.err << (config->budgets.empty() ? "no budgets are configured; see `budgets` in docs/configuration.md\n"
                                       : "nothing was spent under any budget yet\n");
  } else {
    print_table(io, lines, now_us);
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
                   {"per", "PERIOD", "gate: the calendar period (UTC), day by default", {"hour", "day", "week", "month", "total"}},
                   {"ledger", "FILE", "this ledger instead of the configuration's", {}}};
  command.examples = {{"ccrules budget", "what is left"},
                      {"ccrules budget gate --max-usd 2 --scope tag:run=42 --per total", "fails a build that spent more"}};
  command.words = {"gate"};
  command.most = 1;
  command.run = &run_budget;
  return command;
}

}  // namespace ccrules::cli
