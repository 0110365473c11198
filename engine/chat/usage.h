#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace ccrules::chat {

/// Token counts as billed, normalised to Anthropic's way of counting: input excludes what the cache served or stored.
/// nullopt = the provider did not report it; 0 = it reported zero. Never negative (readers clamp).
struct Usage {
  std::optional<std::int64_t> input_tokens;           ///< uncached prompt tokens
  std::optional<std::int64_t> output_tokens;          ///< includes reasoning
  std::optional<std::int64_t> cache_read_tokens;
  std::optional<std::int64_t> cache_write_tokens;     ///< all lifetimes together
  std::optional<std::int64_t> cache_write_1h_tokens;  ///< the part of cache_write_tokens kept for an hour
  std::optional<std::int64_t> reasoning_tokens;       ///< the part of output_tokens spent on thinking
  std::optional<std::int64_t> cost_nanousd;           ///< what the provider says it charged (OpenRouter usage.cost)
  /// Takes every count that `later` reports; keeps the others. Counts in streams are cumulative: the last one wins.
  void merge(const Usage& later);
  [[nodiscard]] bool empty() const;
  bool operator==(const Usage&) const = default;
};

}  // namespace ccrules::chat
