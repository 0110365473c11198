#include "dialect/openai_chat/usage.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

#include "dialect/members.h"

namespace ccrules::dialect::openai {
namespace {

constexpr double kMostUsd = 1e6;  // hostile numbers must not overflow sums of money

using Count = std::optional<std::int64_t>;

struct Counts {
  Count prompt, completion, cached, cache_write, reasoning, cost_nanousd;
};

void take(json::Value& value, Count& count) {
  if (const auto told = told_count(value)) count = told;
}

/// Only when no better-named member gave the count.
void take_if_absent(json::Value& value, Count& count) {
  if (!count) take(value, count);
}

/// OpenRouter: a number of US dollars; Perplexity: an object with total_cost.
void take_cost(json::Value& value, Count& cost_nanousd) {
  if (value.is(json::Type::kObject)) {
    auto object = value.object();
    while (object && object->next()) {
      if (object->key() == "total_cost") take_cost(object->value(), cost_nanousd);
    }
    return;
  }
  if (!value.is(json::Type::kNumber)) return;
  const auto usd = value.number();
  if (usd && *usd >= 0 && *usd <= kMostUsd) cost_nanousd = std::llround(*usd * 1e9);
}

void take_details(json::Value& value, Counts& counts) {
  if (!value.is(json::Type::kObject)) return;
  auto object = value.object();
  while (object && object->next()) {
    const std::string_view key = object->key();
    if (key == "cached_tokens") take(object->value(), counts.cached);
    if (key == "cache_write_tokens" || key == "cache_creation_tokens")
      take(object->value(), counts.cache_write);
    if (key == "reasoning_tokens") take(object->value(), counts.reasoning);
  }
}

}  // namespace

chat::Usage read_usage(json::Value& value) {
  chat::Usage usage;
  if (!value.is(json::Type::kObject)) return usage;
  Counts counts;
  Count prompt_miss;
  Count cached_elsewhere;
  Count llama_prompt;
  auto object = value.object();
  while (object && object->next()) {
    const std::string_view key = object->key();
    json::Value& member = object->value();
    if (key == "prompt_tokens")
      take(member, counts.prompt);
    else if (key == "completion_tokens")
      take(member, counts.completion);
    else if (key == "prompt_tokens_details" || key == "completion_tokens_details")
      take_details(member, counts);
    else if (key == "prompt_cache_hit_tokens" || key == "cached_tokens" || key == "cache_read_input_tokens")
      take(member, cached_elsewhere);
    else if (key == "prompt_cache_miss_tokens")
      take(member, prompt_miss);
    else if (key == "cache_creation_input_tokens")
      take_if_absent(member, counts.cache_write);
    else if (key == "reasoning_tokens")
      take_if_absent(member, counts.reasoning);
    else if (key == "cost")
      take_cost(member, counts.cost_nanousd);
    else if (key == "prompt_n")
      take(member, llama_prompt);
    else if (key == "predicted_n")
      take_if_absent(member, counts.completion);
    else if (key == "cache_n")
      take(member, cached_elsewhere);
  }
  if (!counts.cached || (*counts.cached == 0 && cached_elsewhere)) counts.cached = cached_elsewhere;
  // llama.cpp's timings count the evaluated part of the prompt only.
  if (!counts.prompt && llama_prompt) counts.prompt = *llama_prompt + counts.cached.value_or(0);
  if (!counts.prompt && prompt_miss) counts.prompt = *prompt_miss + counts.cached.value_or(0);
  if (counts.prompt) {
    usage.input_tokens = std::max<std::int64_t>(
        0, *counts.prompt - counts.cached.value_or(0) - counts.cache_write.value_or(0));
  }
  usage.output_tokens = counts.completion;
  usage.cache_read_tokens = counts.cached;
  usage.cache_write_tokens = counts.cache_write;
  usage.reasoning_tokens = counts.reasoning;
  usage.cost_nanousd = counts.cost_nanousd;
  return usage;
}

void write_usage(json::Writer& writer, const chat::Usage& reported) {
  const chat::Usage usage = reported.with_compaction();
  const std::int64_t cached = usage.cache_read_tokens.value_or(0);
  const std::int64_t stored = usage.cache_write_tokens.value_or(0);
  const std::int64_t prompt = usage.input_tokens.value_or(0) + cached + stored;
  const std::int64_t completion = usage.output_tokens.value_or(0);
  writer.begin_object()
      .member("prompt_tokens", prompt)
      .member("completion_tokens", completion)
      .member("total_tokens", prompt + completion);
  writer.key("prompt_tokens_details").begin_object().member("cached_tokens", cached);
  if (usage.cache_write_tokens) writer.member("cache_write_tokens", stored);
  writer.end_object();
  writer.key("completion_tokens_details").begin_object();
  writer.member("reasoning_tokens", usage.reasoning_tokens.value_or(0)).end_object();
  writer.end_object();
}

}  // namespace ccrules::dialect::openai
