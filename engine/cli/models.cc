#include <algorithm>
#include <cstdio>
#include <optional>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "cli/write_file.h"
#include "config/interpolate.h"
#include "config/models.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "ledger/cost.h"

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

/// What a model costs: what requests are billed at, the configuration's prices over the table's.
struct Prices {
  config::Rates rates;
  std::vector<config::Tier> tiers;  ///< as the model's own
  bool are_configured = false;      ///< in part at least
};

Prices prices_of(const Model& model, const config::Snapshot& config) {
  Prices prices;
  prices.rates = ledger::rates_at(0, model.provider, model.id, config);
  for (const config::Tier& tier : model.tiers)
    prices.tiers.push_back({tier.above_input_tokens, ledger::rates_at(tier.above_input_tokens + 1, model.provider, model.id, config)});
  prices.are_configured = ledger::has_configured_price(model.provider, model.id, config);
  return prices;
}

/// A cell of the table; "+": a larger prompt pays another rate.
std::string tiered_rate(const Prices& prices, std::optional<std::int64_t> config::Rates::*which) {
  const bool differs = std::any_of(prices.tiers.begin(), prices.tiers.end(),
                                   [&](const config::Tier& tier) { return tier.rates.*which != prices.rates.*which; });
  return rate(prices.rates.*which) + (differs ? "+" : "");
}

void write_count(json::Writer& writer, const char* name, const std::optional<std::int64_t>& tokens) {
  writer.key(name);
  if (tokens) {
    writer.integer(*tokens);
  } else {
    writer.null();
  }
}

void write_json(json::Writer& writer, const Model& model, const Prices& prices) {
  writer.begin_object().member("id", std::string_view(model.id)).member("provider", std::string_view(model.provider));
  write_count(writer, "context_tokens", model.context_tokens);
  write_count(writer, "max_output_tokens", model.max_output_tokens);
  writer.key("usd_per_million").begin_object();
  write_rates(writer, prices.rates);
  writer.end_object().key("tiers").begin_array();
  for (const config::Tier& tier : prices.tiers) {
    writer.begin_object().member("above_input_tokens", tier.above_input_tokens);
    write_rates(writer, tier.rates);
    writer.end_object();
  }
  writer.end_array().member("from_configuration", prices.are_configured).member("source", std::string_view(model.source));
  writer.member("date", std::string_view(model.date)).end_object();
}

/// The row of the same model of the same provider; null: it is new.
const Model* same_row(const config::ModelTable& table, const Model& row) {
  for (const Model& known : table.all()) {
    if (known.id == row.id && known.provider == row.provider) return &known;
  }
  return nullptr;
}

/// "input 4 -> 3, output 20 -> 15"; empty: the prices are the same.
std::string changes(const Model& before, const Model& after) {
  std::string text;
  const auto compare = [&text](const char* name, const std::optional<std::int64_t>& old, const std::optional<std::int64_t>& now) {
    if (old == now) return;
    text.append(text.empty() ? "" : ", ").append(name).append(" ").append(rate(old)).append(" -> ").append(rate(now));
  };
  compare("input", before.rates.input_picousd, after.rates.input_picousd);
  compare("output", before.rates.output_picousd, after.rates.output_picousd);
  compare("cache_read", before.rates.cache_read_picousd, after.rates.cache_read_picousd);
  compare("cache_write_5m", before.rates.cache_write_5m_picousd, after.rates.cache_write_5m_picousd);
  compare("cache_write_1h", before.rates.cache_write_1h_picousd, after.rates.cache_write_1h_picousd);
  const bool same_tiers = std::equal(before.tiers.begin(), before.tiers.end(), after.tiers.begin(), after.tiers.end(),
                                     [](const config::Tier& a, const config::Tier& b) {
                                       return a.above_input_tokens == b.above_input_tokens && a.rates == b.rates;
                                     });
  if (!same_tiers) text.append(text.empty() ? "" : ", ").append("tiers");
  return text;
}

/// A provider's name as the name of a file.
std::string file_name(std::string_view provider) {
  std::string name(provider);
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!plain) c = '_';
  }
  return name + ".json";
}

/// Puts a file of newer models where the configuration finds it, and tells what changes.
Exit update_models(const Arguments& arguments, Io& io, const config::Snapshot& config) {
  const std::string file = arguments.value("update");
  if (config.models_dir.empty()) return usage_error(io, "there is no place for it: set models_dir in ccrules.json, or HOME");
  const Result<std::string> text = io.files.read(config::resolve_path(file, io.working_directory, io.environment));
  if (!text.ok()) return usage_error(io, text.error().message);
  if (text->size() > limits::kPriceFileBytes) return usage_error(io, file + " is larger than a file of models can be (8 MB)");
  const Result<config::ModelTable> with_it = config::ModelTable::newer({*text});
  if (!with_it.ok()) return usage_error(io, file + ": " + with_it.error().message);
  const Result<config::ModelTable> alone = config::ModelTable::parse({*text});
  if (!alone.ok() || alone->all().empty()) return usage_error(io, file + " has no models");
  const std::vector<Model>& rows = alone->all();

  std::string out;
  json::Writer writer(out);
  const std::string path = config.models_dir + "/" + file_name(rows.front().provider);
  writer.begin_object().member("schema", "ccrules.models_update/1").member("file", path).key("models").begin_array();
  std::string lines;
  std::size_t changed = 0;
  std::string newest;
  for (const Model& row : rows) {
    const Model* known = same_row(config.models(), row);
    const std::string what = known == nullptr ? "new: input " + rate(row.rates.input_picousd) + ", output " + rate(row.rates.output_picousd)
                                              : changes(*known, row);
    if (known != nullptr && known->date > row.date) newest = known->date;
    if (what.empty()) continue;
    ++changed;
    lines.append(row.id).append("  ").append(what).append("\n");
    writer.begin_object().member("id", std::string_view(row.id)).member("new", known == nullptr).member("change", what).end_object();
  }
  writer.end_array().member("rows", static_cast<std::int64_t>(rows.size())).end_object();
  if (const Result<void> written = write_file(path, *text); !written.ok()) return usage_error(io, written.error().message);
  if (!newest.empty()) {
    io.err << "warning: these prices are of " << rows.front().date << ", what was known before was of " << newest << "; delete " << path
           << " to go back\n";
  }
  if (arguments.json()) {
    io.out << out << "\n";
    return Exit::kOk;
  }
  io.out << lines << changed << " of " << rows.size() << " models of " << rows.front().provider << " change; written to " << path
         << "\n";
  io.err << "a running proxy takes them with `ccrules reload`\n";
  return Exit::kOk;
}

Exit run_models(const Arguments& arguments, Io& io) {
  const auto config = load_config(config_options(arguments, io), io);
  if (!config) return Exit::kUsage;
  if (arguments.has("update")) return update_models(arguments, io, *config);
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
  for (const Model& model : config->models().all()) {
    if (!text::glob_match(wanted, model.id) && model.provider != wanted) continue;
    ++found;
    using config::Rates;
    const Prices prices = prices_of(model, *config);
    write_json(writer, model, prices);
    table.row({model.id, model.provider, count(model.context_tokens), count(model.max_output_tokens),
               tiered_rate(prices, &Rates::input_picousd), tiered_rate(prices, &Rates::cache_read_picousd),
               tiered_rate(prices, &Rates::cache_write_5m_picousd), tiered_rate(prices, &Rates::cache_write_1h_picousd),
               tiered_rate(prices, &Rates::output_picousd),
               prices.are_configured ? std::string("prices of ccrules.json") : model.source + ", " + model.date});
  }
  writer.end_array().end_object();
  if (found == 0) return usage_error(io, "no model or provider is called '" + wanted + "'; ccrules models lists what is known");
  if (arguments.json()) {
    io.out << out << "\n";
    return Exit::kOk;
  }
  table.print(io.out);
  io.out << paint.dim("US dollars per million tokens; ?: not known; +: another rate above a prompt size, see --json") << "\n";
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
      "name of a provider. A price that is not known is shown as such: it is never taken for nothing.\n"
      "\n"
      "--update takes newer models and prices of a vendor from a file (docs/models.md has the format), says what changes, and puts it\n"
      "into models_dir, one file a vendor. Its rows count before those that ccrules came with.";
  command.flags = {{"update", "FILE", "take newer prices from this file", {}}};
  command.examples = {{"ccrules models 'claude-*'", "what Claude costs"},
                      {"ccrules models --update anthropic.json", "new prices"},
                      {"ccrules models --json", "for scripts"}};
  command.most = 1;
  command.run = &run_models;
  return command;
}

}  // namespace ccrules::cli
