#include <cstdio>
#include <optional>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "config/models.h"
#include "core/json.h"
#include "core/text.h"

namespace ccrules::cli {
namespace {

using config::Model;

/// US dollars per million tokens; "?": not known, which is not free.
std::string rate(const std::optional<std::int64_t>& picousd) {
  if (!picousd) return "?";
  char text[32];
  std::snprintf(text, sizeof text, "%.6f", static_cast<double>(*picousd) / 1e6);
  std::string out = text;
  while (out.ends_with('0')) out.pop_back();
  if (out.ends_with('.')) out.pop_back();
  return out;
}

std::string count(const std::optional<std::int64_t>& tokens) { return tokens ? with_commas(*tokens) : "?"; }

void write_rates(json::Writer& writer, const config::Rates& rates) {
  const auto member = [&writer](const char* name, const std::optional<std::int64_t>& picousd) {
    writer.key(name);
    if (picousd) {
      writer.number(static_cast<double>(*picousd) / 1e6);
    } else {
      writer.null();
    }
  };
  member("input", rates.input_picousd);
  member("output", rates.output_picousd);
  member("cache_read", rates.cache_read_picousd);
  member("cache_write_5m", rates.cache_write_5m_picousd);
  member("cache_write_1h", rates.cache_write_1h_picousd);
}

/// The configuration's prices over the table's.
config::Rates rates_of(const Model& model, const config::Snapshot& config, bool& own) {
  config::Rates rates = model.rates;
  for (const config::Price& price : config.prices) {
    const std::string name = price.model.find(',') == std::string::npos ? model.id : model.provider + "," + model.id;
    if (!text::glob_match(price.model, name)) continue;
    rates.overlay(price.rates);
    own = true;
    break;  // the most exact row decides
  }
  return rates;
}

void write_count(json::Writer& writer, const char* name, const std::optional<std::int64_t>& tokens) {
  writer.key(name);
  if (tokens) {
    writer.integer(*tokens);
  } else {
    writer.null();
  }
}

void write_json(json::Writer& writer, const Model& model, const config::Rates& rates, bool own) {
  writer.begin_object().member("id", std::string_view(model.id)).member("provider", std::string_view(model.provider));
  write_count(writer, "context_tokens", model.context_tokens);
  write_count(writer, "max_output_tokens", model.max_output_tokens);
  writer.key("usd_per_million").begin_object();
  write_rates(writer, rates);
  writer.end_object().key("tiers").begin_array();
  for (const config::Tier& tier : model.tiers) {
    writer.begin_object().member("above_input_tokens", tier.above_input_tokens);
    write_rates(writer, tier.rates);
    writer.end_object();
  }
  writer.end_array().member("from_configuration", own).member("source", std::string_view(model.source));
  writer.member("date", std::string_view(model.date)).end_object();
}

Exit run_models(const Arguments& arguments, Io& io) {
  const auto config = load_config(config_options(arguments, io), io);
  if (!config) return Exit::kUsage;
  const std::string wanted = arguments.words().empty() ? "*" : arguments.words().front();
  using Align = Table::Align;
  const Paint paint = paint_for_out(io);
  Table table({Align::kLeft, Align::kLeft, Align::kRight, Align::kRight, Align::kRight, Align::kRight, Align::kRight, Align::kRight,
               Align::kRight, Align::kLeft});
  std::vector<std::string> head = {"model",      "provider",    "context",  "max output", "input",
                                   "cache read", "cache write", "write 1h", "output",     "source, date"};
  for (std::string& cell : head) cell = paint.bold(cell);
  table.row(std::move(head));
  std::string out;
  json::Writer writer(out);
  writer.begin_object().member("schema", "ccrules.models/1").key("models").begin_array();
  std::size_t found = 0;
  for (const Model& model : config::ModelTable::built_in().all()) {
    if (!text::glob_match(wanted, model.id) && model.provider != wanted) continue;
    ++found;
    bool own = false;
    const config::Rates rates = rates_of(model, *config, own);
    write_json(writer, model, rates, own);
    const std::string tiered = model.tiers.empty() ? "" : "+";
    table.row({model.id, model.provider, count(model.context_tokens), count(model.max_output_tokens), rate(rates.input_picousd) + tiered,
               rate(rates.cache_read_picousd) + tiered, rate(rates.cache_write_5m_picousd), rate(rates.cache_write_1h_picousd),
               rate(rates.output_picousd) + tiered, own ? std::string("prices of ccrules.json") : model.source + ", " + model.date});
  }
  writer.end_array().end_object();
  if (found == 0) return usage_error(io, "no model or provider is called '" + wanted + "'; ccrules models lists what is known");
  if (arguments.json()) {
    io.out << out << "\n";
    return Exit::kOk;
  }
  table.print(io.out);
  io.out << paint.dim("US dollars per million tokens; ?: not known; +: dearer above a prompt size, see --json") << "\n";
  return Exit::kOk;
}

}  // namespace

Command models_command() {
  Command command;
  command.name = "models";
  command.summary = "Models that are known, with limits and prices";
  command.arguments = "[MODEL]";
  command.about =
      "Shows the built-in table with the configuration's `prices` over it, and where each row comes from. MODEL may be a glob or the\n"
      "name of a provider. A price that is not known is shown as such: it is never taken for nothing.";
  command.examples = {{"ccrules models 'claude-*'", "what Claude costs"}, {"ccrules models --json", "for scripts"}};
  command.most = 1;
  command.run = &run_models;
  return command;
}

}  // namespace ccrules::cli
