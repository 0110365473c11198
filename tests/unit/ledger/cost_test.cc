#include "ledger/cost.h"

#include <catch2/catch.hpp>

using namespace ccrules;

namespace {

chat::Usage usage(std::int64_t input, std::int64_t output, std::int64_t read = 0, std::int64_t written = 0,
                  std::int64_t written_1h = 0) {
  chat::Usage out;
  out.input_tokens = input;
  out.output_tokens = output;
  if (read > 0) out.cache_read_tokens = read;
  if (written > 0) out.cache_write_tokens = written;
  if (written_1h > 0) out.cache_write_1h_tokens = written_1h;
  return out;
}

std::optional<std::int64_t> cost(const chat::Usage& of, std::string_view provider, std::string_view model) {
  config::Snapshot snapshot;
  config::Provider local;
  local.id = "ollama";
  local.local = true;
  snapshot.providers.push_back(local);
  return ledger::cost_nanousd(of, provider, model, snapshot);
}

constexpr std::int64_t kUsd = 1'000'000'000;

}  // namespace

TEST_CASE("costs are tokens times price, to the nano-dollar") {
  // Opus at 15/75, Sonnet at 3/15 USD per million.
  CHECK(cost(usage(1'000'000, 500'000), "anthropic", "claude-opus-4-1") == 52 * kUsd + kUsd / 2);
  CHECK(cost(usage(100, 50), "anthropic", "claude-opus-4-1") == 5'250'000);
  CHECK(cost(usage(1'000'000, 500'000), "anthropic", "claude-sonnet-4-6") == 10 * kUsd + kUsd / 2);
  CHECK(cost(usage(0, 0, 0, 1000), "anthropic", "claude-sonnet-4-6") == 3'750'000);
  CHECK(cost(usage(0, 0, 0, 1000, 400), "anthropic", "claude-sonnet-4-6") == 600 * 3'750 + 400 * 6'000);
  CHECK(cost(usage(0, 0, 500), "anthropic", "claude-sonnet-4-6") == 150'000);
  CHECK(cost(usage(500'000, 500'000, 500'000), "anthropic", "claude-opus-4-1") == 45 * kUsd + kUsd * 3 / 4);
}

TEST_CASE("a local model costs nothing and an unknown one is unknown") {
  CHECK(cost(usage(1000, 1000), "ollama", "qwen3-coder") == 0);
  CHECK(cost(usage(1000, 1000), "gateway", "no-such-model") == std::nullopt);
  CHECK(cost(chat::Usage{}, "anthropic", "claude-opus-5-5") == std::nullopt);
}
