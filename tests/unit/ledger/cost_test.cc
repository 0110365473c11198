#include "ledger/cost.h"

#include <limits>

#include <catch2/catch.hpp>

using namespace ccrules;

namespace {

struct Counts {
  std::int64_t input = 0, output = 0, read = 0, written = 0, written_1h = 0;
};

/// Counts of zero are reported as zero, but only input and output are always reported.
chat::Usage usage(const Counts& counts) {
  chat::Usage out;
  out.input_tokens = counts.input;
  out.output_tokens = counts.output;
  if (counts.read > 0) out.cache_read_tokens = counts.read;
  if (counts.written > 0) out.cache_write_tokens = counts.written;
  if (counts.written_1h > 0) out.cache_write_1h_tokens = counts.written_1h;
  return out;
}

config::Snapshot snapshot_with(std::vector<config::Price> prices = {}) {
  config::Snapshot snapshot;
  config::Provider local;
  local.id = "ollama";
  local.local = true;
  local.price_like = "claude-sonnet-4-6";
  config::Provider simulator;
  simulator.id = "sim";
  simulator.dialect = "sim";
  snapshot.providers = {local, simulator};
  snapshot.prices = std::move(prices);
  return snapshot;
}

std::optional<std::int64_t> cost(const Counts& counts, std::string_view provider, std::string_view model,
                                 std::vector<config::Price> prices = {}) {
  return ledger::cost_nanousd(usage(counts), provider, model, snapshot_with(std::move(prices)));
}

config::Price price(const std::string& model, std::optional<std::int64_t> input_picousd,
                    std::optional<std::int64_t> output_picousd) {
  config::Price row;
  row.model = model;
  row.rates.input_picousd = input_picousd;
  row.rates.output_picousd = output_picousd;
  return row;
}

constexpr std::int64_t kUsd = 1'000'000'000;

}  // namespace

TEST_CASE("an answer has the price of the model that the reply names, when that is another one with a known price") {
  const auto priced = [](std::string_view provider, std::string_view asked, std::string_view answered,
                         std::vector<config::Price> prices = {}) {
    return std::string(ledger::priced_model(provider, asked, answered, snapshot_with(std::move(prices))));
  };
  // A provider's own fallback, a router, a deployment.
  CHECK(priced("anthropic", "claude-opus-4-1", "claude-sonnet-4-6") == "claude-sonnet-4-6");
  CHECK(priced("anthropic", "no-such-model", "claude-sonnet-4-6") == "claude-sonnet-4-6");
  // The same by another name, nothing, and names that nobody knows.
  CHECK(priced("anthropic", "claude-opus-4-1", "claude-opus-4-1-20250805") == "claude-opus-4-1");
  CHECK(priced("anthropic", "claude-opus-4-1", "") == "claude-opus-4-1");
  CHECK(priced("anthropic", "claude-opus-4-1", "my-model") == "claude-opus-4-1");
  // The operator's word stands, for either of the two.
  CHECK(priced("anthropic", "my-deployment", "claude-sonnet-4-6", {price("my-deployment", 1, 1)}) == "my-deployment");
  CHECK(priced("anthropic", "my-deployment", "claude-sonnet-4-6", {price("*", 1, 1)}) == "claude-sonnet-4-6");
  CHECK(priced("anthropic", "claude-opus-4-1", "my-model", {price("my-model", 1, 1)}) == "my-model");
}

TEST_CASE("costs are tokens times price, to the nano-dollar") {
  // Opus at 15/75, Sonnet at 3/15 USD per million, writes at 3.75 and 6, reads at 0.30 and 1.50.
  CHECK(cost({.input = 1'000'000, .output = 500'000}, "anthropic", "claude-opus-4-1") ==
        52 * kUsd + kUsd / 2);
  CHECK(cost({.input = 100, .output = 50}, "anthropic", "claude-opus-4-1") == 5'250'000);
  CHECK(cost({.input = 1'000'000, .output = 500'000}, "anthropic", "claude-sonnet-4-6") ==
        10 * kUsd + kUsd / 2);
  CHECK(cost({.written = 1000}, "anthropic", "claude-sonnet-4-6") == 3'750'000);
  CHECK(cost({.written = 1000, .written_1h = 400}, "anthropic", "claude-sonnet-4-6") ==
        600 * 3'750 + 400 * 6'000);
  CHECK(cost({.read = 500}, "anthropic", "claude-sonnet-4-6") == 150'000);
  CHECK(cost({.input = 500'000, .output = 500'000, .read = 500'000}, "anthropic", "claude-opus-4-1") ==
        45 * kUsd + kUsd * 3 / 4);
}

TEST_CASE("prices that are no whole nano-dollars a token are exact") {
  // 0.0036 USD per million is 3.6 nano-USD a token; rounded once, at the end.
  CHECK(cost({.read = 1}, "xiaomi", "mimo-v2.6-pro") == 4);
  CHECK(cost({.read = 3}, "xiaomi", "mimo-v2.6-pro") == 11);
  CHECK(cost({.read = 1'000'000}, "xiaomi", "mimo-v2.6-pro") == 3'600'000);
  CHECK(cost({.input = 1}, "deepseek", "deepseek-v4-pro") == 1'320);
}

TEST_CASE("above a tier's edge the whole request takes its rates, output too") {
  // Haiku 5.5: 0.1/0.5 up to 100 000 prompt tokens, 0.5/2.5 above; cache reads 0.01 and 0.05, writes 0.125
  // and 0.625.
  CHECK(cost({.input = 100'000, .output = 10}, "anthropic", "claude-haiku-5-5") == 100'000 * 100 + 10 * 500);
  CHECK(cost({.input = 100'001, .output = 10}, "anthropic", "claude-haiku-5-5") == 100'001 * 500 + 10 * 2500);
  CHECK(cost({.input = 1, .output = 10, .read = 90'000, .written = 10'000}, "anthropic",
             "claude-haiku-5-5") == 500 + 10 * 2500 + 90'000 * 50 + 10'000 * 625);
  // Two edges: 32k and 128k.
  CHECK(cost({.input = 32'000}, "openrouter", "qwen/qwen3-coder-flash") == 32'000 * 195);
  CHECK(cost({.input = 40'000}, "openrouter", "qwen/qwen3-coder-flash") == 40'000 * 325);
  CHECK(cost({.input = 200'000}, "openrouter", "qwen/qwen3-coder-flash") == 200'000 * 520);
}

TEST_CASE("a local model and the simulator cost nothing") {
  CHECK(cost({.input = 1000, .output = 1000}, "ollama", "qwen3-coder") == 0);
  CHECK(cost({.input = 1000, .output = 1000}, "ollama", "claude-opus-5-5") == 0);
  CHECK(cost({.input = 1000, .output = 1000}, "sim", "claude-opus-5-5") == 0);
}

TEST_CASE("what is unknown stays unknown and never becomes zero") {
  CHECK(cost({.input = 1000, .output = 1000}, "gateway", "no-such-model") == std::nullopt);
  CHECK(cost({.input = 1000, .output = 1000}, "openai", "gpt-5-codex") == std::nullopt);  // not gpt-5's price
  CHECK(cost({.input = 1000, .output = 10}, "deepseek", "deepseek-chat") == std::nullopt);
  CHECK(ledger::cost_nanousd(chat::Usage{}, "anthropic", "claude-opus-5-5", snapshot_with()) == std::nullopt);
  // Cached tokens of a model whose price for them is not known; without any, the rest is known.
  CHECK(cost({.input = 10, .output = 10, .read = 5}, "openai", "gpt-5.5-pro") == std::nullopt);
  CHECK(cost({.input = 10, .output = 10}, "openai", "gpt-5.5-pro") == 10 * 30'000 + 10 * 180'000);
  CHECK(cost({}, "gateway", "no-such-model") == 0);  // nothing was used, which costs nothing at any price
}

TEST_CASE("a cost that is not known is bounded from both sides by the rates that are, whichever are missing") {
  // Each rate by itself is known or not: 32 price sheets. What is known is the least; a rate that is missing is no higher than the
  // dearest that is known for a prompt.
  using Rate = std::optional<std::int64_t> config::Rates::*;
  constexpr Rate kRates[] = {&config::Rates::input_picousd, &config::Rates::output_picousd, &config::Rates::cache_read_picousd,
                             &config::Rates::cache_write_5m_picousd, &config::Rates::cache_write_1h_picousd};
  constexpr std::int64_t kPicousd[] = {3'000'000, 15'000'000, 300'000, 3'750'000, 6'000'000};
  const Counts bills[] = {{}, {.input = 7}, {.output = 9}, {.read = 1024}, {.written = 50}, {.written = 50, .written_1h = 50}, {11, 13, 17, 29, 19}};
  for (unsigned known = 0; known < 32; ++known) {
    config::Price row = price("m-1", std::nullopt, std::nullopt);
    for (std::size_t i = 0; i < std::size(kRates); ++i) {
      if ((known >> i & 1u) != 0) row.rates.*kRates[i] = kPicousd[i];
    }
    for (const Counts& counts : bills) {
      CAPTURE(known, counts.input, counts.output, counts.read, counts.written, counts.written_1h);
      const config::Snapshot snapshot = snapshot_with({row});
      const auto exact = ledger::cost_nanousd(usage(counts), "x", "m-1", snapshot);
      const ledger::CostRange range = ledger::cost_range(usage(counts), "x", "m-1", snapshot);
      const std::int64_t parts[] = {counts.input, counts.output, counts.read, counts.written - counts.written_1h, counts.written_1h};
      std::int64_t least_picousd = 0;
      for (std::size_t i = 0; i < std::size(parts); ++i) least_picousd += (known >> i & 1u) != 0 ? parts[i] * kPicousd[i] : 0;
      CHECK(range.least_nanousd == (least_picousd + 500) / 1000);
      if (range.most_nanousd) CHECK(*range.most_nanousd >= range.least_nanousd);
      if (exact) CHECK((range.least_nanousd == *exact && range.most_nanousd == exact));
      const bool prompt_known = (known & 0b11101u) != 0;
      const bool has_prompt = counts.input + counts.read + counts.written > 0;
      CHECK(range.most_nanousd.has_value() == ((prompt_known || !has_prompt) && ((known & 0b10u) != 0 || counts.output == 0)));
      // An hour's writes are the dearest: what is bounded by them is no less than what it costs with all rates known.
      if ((known & 0b10000u) == 0 || !range.most_nanousd) continue;
      std::int64_t all_picousd = 0;
      for (std::size_t i = 0; i < std::size(parts); ++i) all_picousd += parts[i] * kPicousd[i];
      CHECK(*range.most_nanousd >= (all_picousd + 500) / 1000);
    }
  }
  // A missing read is plain input, where that is known; a missing write the dearest there is.
  config::Price own = price("m-1", 1'000'000, 5'000'000);
  own.rates.cache_write_1h_picousd = 2'000'000;
  const auto most = [&](const Counts& counts) { return ledger::cost_range(usage(counts), "x", "m-1", snapshot_with({own})).most_nanousd; };
  CHECK(most({.input = 1, .output = 1, .read = 1000}) == 1'000 + 5'000 + 1000 * 1'000);
  CHECK(most({.input = 1, .output = 1, .written = 1000}) == 1'000 + 5'000 + 1000 * 2'000);
  chat::Usage batch = usage({.input = 1, .output = 1, .read = 1000});
  batch.service_tier = "batch";
  CHECK(ledger::cost_range(batch, "x", "m-1", snapshot_with({own})).most_nanousd == 503'000);
  CHECK(ledger::cost_range(chat::Usage{}, "x", "m-1", snapshot_with({own})).most_nanousd == std::nullopt);
  CHECK(ledger::cost_range(usage({.input = 5, .read = 5}), "ollama", "m-1", snapshot_with({own})).most_nanousd == 0);
}

TEST_CASE("OpenAI's models before gpt-5.6 store for free: what they store costs what other input does") {
  for (const char* model : {"gpt-5.5", "gpt-5.4", "gpt-5", "gpt-4o", "gpt-5.5-pro"}) {
    CAPTURE(model);
    CHECK(cost({.input = 100, .output = 10, .written = 900}, "openai", model) == cost({.input = 1000, .output = 10}, "openai", model));
    CHECK(cost({.input = 100, .written = 400'000}, "openai", model) == cost({.input = 400'100}, "openai", model));
  }
  CHECK(cost({.written = 1000}, "openai", "gpt-5.6-sol") == 1000 * 5'000);
}

TEST_CASE("each part of a bill has the price of the model that it names, and its own tier") {
  // Haiku 5.5: 0.1/0.5 up to 100 000 prompt tokens, 0.5/2.5 above. Opus 4.1: 15/75.
  const auto part = [](std::string type, std::string model, std::int64_t input, std::int64_t output) {
    chat::Iteration iteration;
    iteration.type = std::move(type);
    iteration.model = std::move(model);
    iteration.input_tokens = input;
    iteration.output_tokens = output;
    return iteration;
  };
  const auto bill = [&](std::vector<chat::Iteration> parts, std::vector<config::Price> prices = {}) {
    chat::Usage whole = usage({.input = 60'000, .output = 10});
    whole.iterations = std::move(parts);
    return ledger::cost_nanousd(whole, "anthropic", "claude-haiku-5-5", snapshot_with(std::move(prices)));
  };
  const std::int64_t answer = 60'000 * 100 + 10 * 500;
  CHECK(bill({part("message", "", 60'000, 10)}) == answer);
  CHECK(bill({part("compaction", "", 150'000, 20), part("message", "claude-haiku-5-5", 60'000, 10)}) == answer + 150'000 * 500 + 20 * 2500);
  // Two prompts of 60 000 are no prompt of 120 000.
  CHECK(bill({part("compaction", "", 60'000, 10), part("message", "", 60'000, 10)}) == 2 * answer);
  const std::int64_t advice = 800 * 15'000 + 100 * 75'000;
  CHECK(bill({part("advisor_message", "claude-opus-4-1", 800, 100), part("message", "", 60'000, 10)}) == answer + advice);
  CHECK(bill({part("advisor_message", "claude-opus-4-1-20250805", 800, 100)}) == answer + advice);
  // A model that nobody knows has the price of the one that answered.
  CHECK(bill({part("advisor_message", "claude-next", 800, 100)}) == answer + 800 * 100 + 100 * 500);
  // What the operator says of one model says nothing of the other, and is for all spellings of it.
  CHECK(bill({part("advisor_message", "claude-opus-4-1", 800, 100), part("message", "claude-haiku-5-5-20261001", 60'000, 10)},
             {price("claude-haiku-5-5", 1'000'000, 1'000'000)}) == 60'010 * 1000 + advice);
  // Nor does the name that a deployment's model gives itself, as in answers without parts.
  CHECK(bill({part("message", "claude-opus-4-1", 60'000, 10)}, {price("claude-haiku-5-5", 1'000'000, 1'000'000)}) == 60'010 * 1000);
  CHECK(bill({part("message", "claude-opus-4-1", 500, 1), part("fallback_message", "claude-haiku-5-5", 60'000, 10)},
             {price("claude-haiku-5-5", 1'000'000, 1'000'000)}) == 60'010 * 1000 + 500 * 15'000 + 75'000);
  CHECK(bill({part("message", "claude-opus-4-1", 500, 0), part("fallback_message", "claude-haiku-5-5", 60'000, 10)}) == answer);
  CHECK(bill({part("message", "claude-opus-4-1", 500, 1), part("fallback_message", "claude-haiku-5-5", 60'000, 10)}) == answer + 500 * 15'000 + 75'000);
  // At the model that was asked for the advice would have cost the same.
  chat::Usage advised = usage({.input = 60'000, .output = 10});
  advised.iterations = {part("advisor_message", "claude-opus-4-1", 800, 100), part("message", "claude-haiku-5-5", 60'000, 10)};
  CHECK(ledger::requested_cost_nanousd(advised, "anthropic", "claude-sonnet-4-6", snapshot_with()) == 60'000 * 3000 + 10 * 15'000 + advice);
  // Unknown is unknown, and nothing overflows.
  advised.iterations.front().cache_read_tokens = 1;
  CHECK(ledger::cost_nanousd(advised, "openai", "gpt-5.5-pro", snapshot_with()).has_value());
  advised.iterations.front().model = "gpt-5.5-pro";
  CHECK(ledger::cost_nanousd(advised, "openai", "gpt-5.5", snapshot_with()) == std::nullopt);
  constexpr std::int64_t kMost = 1'000'000'000;
  const auto huge = bill(std::vector<chat::Iteration>(256, part("message", "claude-opus-4-1", kMost, kMost)));
  REQUIRE(huge.has_value());
  CHECK(*huge > 0);
}

TEST_CASE("another tier than the standard one has the price that the configuration gives it, or the row says that it has none") {
  chat::Usage fast = usage({.input = 1000, .output = 1000});
  fast.service_tier = "fast";
  constexpr std::int64_t kStandard = 1000 * 15'000 + 1000 * 75'000;
  const auto at = [&](std::vector<config::Price> prices) {
    const config::Snapshot snapshot = snapshot_with(std::move(prices));
    return std::pair(ledger::cost_nanousd(fast, "anthropic", "claude-opus-4-1", snapshot).value_or(-1),
                     ledger::unpriced_tier(fast, "anthropic", "claude-opus-4-1", snapshot));
  };
  CHECK(at({}) == std::pair(kStandard, std::string("fast")));
  CHECK(at({price("claude-opus-4-1@priority", 1'000'000, 1'000'000)}) == std::pair(kStandard, std::string("fast")));
  CHECK(at({price("claude-*@fast", 30'000'000, std::nullopt)}) == std::pair(std::int64_t{1000 * 30'000 + 1000 * 75'000}, std::string()));
  CHECK(at({price("openai,claude-*@fast", 1, 1)}) == std::pair(kStandard, std::string("fast")));
  CHECK(at({price("anthropic,claude-*@fast", 0, 0)}) == std::pair(std::int64_t{0}, std::string()));
  // A price of the model is no price of its tier, and the other way round.
  CHECK(at({price("claude-*", 1'000'000, 1'000'000)}) == std::pair(std::int64_t{2'000'000}, std::string("fast")));
  CHECK(cost({.input = 1000, .output = 1000}, "anthropic", "claude-opus-4-1", {price("claude-opus-4-1@fast", 1, 1)}) == kStandard);
  CHECK(ledger::unpriced_tier(fast, "ollama", "qwen3-coder", snapshot_with()).empty());
  fast.service_tier = "batch";
  CHECK(at({}) == std::pair(kStandard / 2, std::string()));
  CHECK(at({price("*@batch", 1'000'000, 1'000'000)}) == std::pair(std::int64_t{2'000'000}, std::string()));
}

TEST_CASE("what the provider says it charged is taken") {
  chat::Usage reported = usage({.input = 1000, .output = 1000});
  reported.cost_nanousd = 42;
  CHECK(ledger::cost_nanousd(reported, "openrouter", "anthropic/claude-opus-5.5", snapshot_with()) == 42);
  CHECK(ledger::cost_nanousd(reported, "openrouter", "no-such-model", snapshot_with()) == 42);
  // The list price of what was asked for does not follow from what this answer cost.
  CHECK(ledger::requested_cost_nanousd(reported, "openrouter", "claude-sonnet-4-6", snapshot_with()) ==
        1000 * 3000 + 1000 * 15000);
}

TEST_CASE("configured prices stand over the built-in ones, rate by rate, the most exact row first") {
  const Counts counts{.input = 10, .output = 10};
  CHECK(cost(counts, "x", "my-model", {price("my-*", 1'000'000, 2'000'000)}) == 30'000);
  CHECK(cost(counts, "anthropic", "claude-sonnet-4-6", {price("claude-*", 1'000'000, std::nullopt)}) ==
        10'000 + 150'000);
  CHECK(cost(counts, "x", "my-model",
             {price("my-model", 5'000'000, std::nullopt), price("my-*", 1'000'000, 2'000'000)}) == 70'000);
  CHECK(cost(counts, "x", "my-model", {price("x,my-*", 1'000'000, 1'000'000)}) == 20'000);
  CHECK(cost(counts, "y", "my-model", {price("x,my-*", 1'000'000, 1'000'000)}) == std::nullopt);
}

TEST_CASE(
    "what the requested model would have cost is a list price, and price_like stands in for local models") {
  const chat::Usage tokens = usage({.input = 1000, .output = 1000});
  const auto requested = [&](std::string_view provider, std::string_view model) {
    return ledger::requested_cost_nanousd(tokens, provider, model, snapshot_with());
  };
  CHECK(requested("openai", "claude-opus-4-1") == 1000 * 15'000 + 1000 * 75'000);
  CHECK(requested("openai", "anthropic,claude-opus-4-1") == 1000 * 15'000 + 1000 * 75'000);
  CHECK(requested("ollama", "qwen3-coder") == 1000 * 3'000 + 1000 * 15'000);
  CHECK(requested("openai", "ollama,qwen3-coder") == 0);
  CHECK(requested("openai", "no-such-model") == std::nullopt);
  CHECK(requested("sim", "claude-opus-4-1") == std::nullopt);
}

TEST_CASE("tokens at the rates of a target cost what a request there costs, however its prompt was cached and at every tier") {
  config::Price own = price("m-*", 1'000'000, 5'000'000);
  own.rates.cache_write_1h_picousd = 2'000'000;
  const config::Snapshot snapshot = snapshot_with({own});
  for (const std::string_view provider : {"ollama", "sim", "anthropic", ""}) {
    for (const std::string_view model : {"m-1", "claude-sonnet-4-6", "gpt-5.5", "nobody-knows"}) {
      for (const std::int64_t prompt : {1, 150'000, 250'000, 900'000}) {
        CAPTURE(provider, model, prompt);
        const config::Rates rates = ledger::rates_at(prompt, provider, model, snapshot);
        for (const Counts& counts : {Counts{prompt, 10}, Counts{0, 10, 0, prompt}, Counts{0, 10, 0, prompt, prompt}}) {
          CHECK(ledger::cost_at(usage(counts), rates) == ledger::cost_nanousd(usage(counts), provider, model, snapshot));
        }
      }
    }
  }
}

TEST_CASE("nonsense counts neither overflow nor turn negative") {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const auto huge =
      cost({.input = kMost, .output = kMost, .read = kMost, .written = kMost, .written_1h = kMost},
           "anthropic", "claude-opus-4-1");
  REQUIRE(huge.has_value());
  CHECK(*huge > 0);
  chat::Usage negative = usage({.input = -5, .output = -5});
  negative.cost_nanousd = -1;
  CHECK(ledger::cost_nanousd(negative, "anthropic", "claude-opus-4-1", snapshot_with()) == 0);
  negative.cost_nanousd.reset();
  CHECK(ledger::cost_nanousd(negative, "anthropic", "claude-opus-4-1", snapshot_with()) == 0);
  CHECK(ledger::prompt_tokens(negative) == 0);
}
