#include <algorithm>

#include "dialect/members.h"
#include "dialect/openai_responses/parts.h"

namespace ccrules::dialect::responses {
namespace {

using Count = std::optional<std::int64_t>;

void take(json::Value& value, Count& count) {
  if (const auto told = told_count(value)) count = told;
}

/// `cache_write_tokens_details`: how long what was stored is kept (openai 7.55.0, 2026-11).
void take_lifetimes(json::Value& value, chat::Usage& usage) {
  if (!value.is(json::Type::kObject)) return;
  auto details = value.object();
  Count kept_12h;
  while (details && details->next()) {
    if (details->key() == "ttl_12h_tokens") take(details->value(), kept_12h);
  }
  usage.charge(chat::fee::kCacheWrite12h, kept_12h.value_or(0));
}

void take_details(json::Value& value, chat::Usage& usage) {
  if (!value.is(json::Type::kObject)) return;
  auto details = value.object();
  while (details && details->next()) {
    const std::string_view key = details->key();
    if (key == "cached_tokens") take(details->value(), usage.cache_read_tokens);
    if (key == "cache_write_tokens") take(details->value(), usage.cache_write_tokens);
    if (key == "cache_write_tokens_details") take_lifetimes(details->value(), usage);
    if (key == "reasoning_tokens") take(details->value(), usage.reasoning_tokens);
  }
}

}  // namespace

chat::Usage read_usage(json::Value& value) {
  chat::Usage usage;
  if (!value.is(json::Type::kObject)) return usage;
  Count input;
  auto members = value.object();
  while (members && members->next()) {
    const std::string_view key = members->key();
    if (key == "input_tokens")
      take(members->value(), input);
    else if (key == "output_tokens")
      take(members->value(), usage.output_tokens);
    else if (key == "input_tokens_details" || key == "output_tokens_details")
      take_details(members->value(), usage);
    else if (key == "cost" && members->value().is(json::Type::kNumber)) {  // OpenRouter: US dollars
      constexpr double kMostUsd = 1e6;
      const auto usd = members->value().number();
      if (usd && *usd >= 0 && *usd <= kMostUsd)
        usage.cost_nanousd = static_cast<std::int64_t>(*usd * 1e9 + 0.5);
    }
  }
  if (input) {
    usage.input_tokens = std::max<std::int64_t>(
        0, *input - usage.cache_read_tokens.value_or(0) - usage.cache_write_tokens.value_or(0));
  }
  return usage;
}

void write_usage(json::Writer& writer, const chat::Usage& reported) {
  const chat::Usage usage = reported.with_compaction();
  const std::int64_t cached = usage.cache_read_tokens.value_or(0);
  const std::int64_t stored = usage.cache_write_tokens.value_or(0);
  const std::int64_t input = usage.input_tokens.value_or(0) + cached + stored;
  const std::int64_t output = usage.output_tokens.value_or(0);
  writer.begin_object().member("input_tokens", input);
  writer.key("input_tokens_details").begin_object().member("cached_tokens", cached);
  writer.member("cache_write_tokens", stored).end_object();
  writer.member("output_tokens", output);
  writer.key("output_tokens_details").begin_object();
  writer.member("reasoning_tokens", usage.reasoning_tokens.value_or(0)).end_object();
  writer.member("total_tokens", input + output).end_object();
}

}  // namespace ccrules::dialect::responses
