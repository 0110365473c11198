#pragma once
#include <string>

#include "chat/usage.h"
#include "core/json.h"

/// OpenAI's `usage` (prompt_tokens includes what the cache served and stored) <-> the neutral counts (it does
/// not).
namespace ccrules::dialect::openai {

/// Reads a `usage` object with the vendors' own names for cached tokens, or llama.cpp's `timings`. Counts are
/// clamped to sane values; what is missing or not a number stays absent. Consumes the value whatever it is.
chat::Usage read_usage(json::Value& value);

/// Writes {"prompt_tokens":..., ...}; absent counts are 0.
void write_usage(json::Writer& writer, const chat::Usage& usage);

}  // namespace ccrules::dialect::openai
