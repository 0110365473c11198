#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "ledger/cost.h"
#include "support/files.h"

using namespace ccrules;

namespace {

/// A sheet of prices that was collected apart from config/models: CCRULES_TEST_PRICE_SHEET, or beside the checkout. Empty: it is
/// not there.
std::string sheet_path() {
  if (const char* named = std::getenv("CCRULES_TEST_PRICE_SHEET")) return named;
  const std::string beside = std::string(CCR_SOURCE_DIR) + "/../shared/protocols/model-prices.json";
  return std::filesystem::exists(beside) ? beside : std::string();
}

constexpr std::array<const char*, 5> kKinds = {"input", "output", "cache_read", "cache_write_5m", "cache_write_1h"};
using Prices = std::array<std::optional<double>, kKinds.size()>;

/// Takes a price when `name` is one of kKinds.
void take_price(std::string_view name, json::Value& value, Prices& prices) {
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    if (name != kKinds[i] || value.is_null()) continue;
    const auto usd = value.number();
    REQUIRE(usd.ok());
    prices[i] = *usd;
  }
}

struct Row {
  std::string id, provider;
  Prices prices;
  struct Tier {
    std::int64_t above = 0;
    Prices prices;
  };
  std::vector<Tier> tiers;
};

std::vector<Row> rows_of(const std::string& text) {
  std::vector<Row> rows;
  auto document = json::Document::open(text);
  REQUIRE(document.ok());
  auto root = document->root_object();
  REQUIRE(root.ok());
  while (root->next()) {
    if (root->key() != "models") continue;
    auto models = root->value().array();
    REQUIRE(models.ok());
    while (models->next()) {
      auto model = models->value().object();
      REQUIRE(model.ok());
      Row& row = rows.emplace_back();
      while (model->next()) {
        const std::string name(model->key());
        if (name == "id") row.id = *model->value().string();
        if (name == "provider") row.provider = *model->value().string();
        take_price(name, model->value(), row.prices);
        if (name != "tiers") continue;
        auto tiers = model->value().array();
        REQUIRE(tiers.ok());
        while (tiers->next()) {
          Row::Tier& tier = row.tiers.emplace_back();
          auto members = tiers->value().object();
          REQUIRE(members.ok());
          while (members->next()) {
            const std::string of(members->key());
            if (of == "above_input_tokens") tier.above = *members->value().integer();
            take_price(of, members->value(), tier.prices);
          }
          REQUIRE(members->done().ok());
        }
        REQUIRE(tiers->done().ok());
      }
      REQUIRE(model->done().ok());
    }
    REQUIRE(models->done().ok());
  }
  REQUIRE(root->done().ok());
  return rows;
}

/// What the ledger says some tokens of one kind cost, with a prompt of so many tokens besides.
std::optional<std::int64_t> cost_of(const Row& row, std::size_t kind, std::int64_t tokens) {
  chat::Usage usage;
  usage.input_tokens = kind == 0 ? tokens : 0;
  usage.output_tokens = kind == 1 ? tokens : 0;
  if (kind == 2) usage.cache_read_tokens = tokens;
  if (kind >= 3) usage.cache_write_tokens = tokens;
  if (kind == 4) usage.cache_write_1h_tokens = tokens;
  return ledger::cost_nanousd(usage, row.provider, row.id, config::Snapshot());
}

/// OpenAI's models before gpt-5.6 store for free: the sheet has no price for that, and what is stored is input.
void fill_free_writes(Prices& prices) {
  if (!prices[3]) prices[3] = prices[0];
}

/// USD per million tokens is so many nano-USD for so many tokens, rounded at the end.
std::int64_t expected(double usd_per_million, std::int64_t tokens) {
  return std::llround(std::round(usd_per_million * 1e6) * static_cast<double>(tokens) / 1000.0);
}

}  // namespace

TEST_CASE("every price of the sheet is what its tokens cost, below and above the edges of its tiers") {
  const std::string path = sheet_path();
  if (path.empty()) {
    WARN("skipped: there is no sheet of prices here; set CCRULES_TEST_PRICE_SHEET to one");
    return;
  }
  std::vector<Row> rows = rows_of(test::read_file(path));
  for (Row& row : rows) {
    if (row.provider != "openai") continue;
    fill_free_writes(row.prices);
    for (Row::Tier& tier : row.tiers) fill_free_writes(tier.prices);
  }
  REQUIRE(rows.size() > 100);
  std::size_t checked = 0;
  for (const Row& row : rows) {
    const std::int64_t edge = row.tiers.empty() ? 1'000'000 : row.tiers.front().above;
    for (std::size_t kind = 0; kind < kKinds.size(); ++kind) {
      INFO(row.provider << " " << row.id << " " << kKinds[kind]);
      const auto cost = cost_of(row, kind, std::min<std::int64_t>(edge, 777));
      REQUIRE(cost.has_value() == row.prices[kind].has_value());
      if (cost) CHECK(*cost == expected(*row.prices[kind], std::min<std::int64_t>(edge, 777)));
      ++checked;
      if (kind == 1) continue;  // output does not reach an edge
      for (std::size_t t = 0; t < row.tiers.size(); ++t) {
        const std::int64_t tokens = row.tiers[t].above + 1;
        const auto above = cost_of(row, kind, tokens);
        REQUIRE(above.has_value() == row.tiers[t].prices[kind].has_value());
        if (above) CHECK(*above == expected(*row.tiers[t].prices[kind], tokens));
        ++checked;
      }
    }
  }
  CHECK(checked > 700);
}
