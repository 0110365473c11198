#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ccrules::chat {

/// One of several runs of models that an answer took (Anthropic's `usage.iterations[]`). Counts as in Usage; >= 0.
struct Iteration {
  std::string type;   ///< "message", "compaction", "advisor_message", "fallback_message", or what later versions bring
  std::string model;  ///< empty: it names none
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  std::int64_t cache_read_tokens = 0;
  std::int64_t cache_write_tokens = 0;
  std::int64_t cache_write_1h_tokens = 0;
  /// A part of the answer itself, which the counts of the whole answer speak of: no summary before it, no advice.
  [[nodiscard]] bool is_answer() const { return type == "message" || type == "fallback_message"; }
  /// By the model that was asked: to the answer itself, or to the summary before it.
  [[nodiscard]] bool is_by_asked() const { return is_answer() || type == "compaction"; }
  Iteration& operator+=(const Iteration& other);
  bool operator==(const Iteration&) const = default;
};

/// What a provider bills beside tokens at their plain price.
struct Fee {
  std::string_view name;  ///< one of fee::
  std::int64_t count = 0;  ///< > 0
  bool operator==(const Fee&) const = default;
};
namespace fee {
inline constexpr std::string_view kWebSearch = "web_search";            ///< searches that the provider made
inline constexpr std::string_view kCacheWrite12h = "cache_write_12h";   ///< tokens stored for 12 hours, part of cache_write_tokens
inline constexpr std::string_view kInferenceGeo = "inference_geo";      ///< 1: served in a region that was asked for
}  // namespace fee

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
  /// "batch", "flex", "priority" ..., as tier_named() has it; empty: it says that this is the standard one; nullopt: it does not say.
  std::optional<std::string> service_tier;
  std::optional<std::string> speed;  ///< Anthropic's "fast", in the same way; its provider tells it beside the tier
  std::vector<Fee> fees;  ///< each name once
  bool declined = false;  ///< a refusal before any output: the answer is not billed, only what ran before it
  /// Where the counts above are not the whole bill; at most limits::kIterations. See billed().
  std::vector<Iteration> iterations;
  /// Takes every count that `later` reports; keeps the others. Counts in streams are cumulative: the last one wins.
  void merge(const Usage& later);
  /// Sets the count of a fee; 0 and less: nothing is known of it.
  void charge(std::string_view fee, std::int64_t count);
  /// What the bill is made of, each part with its own price: what `iterations` lists, or the counts when there are none. Whatever the
  /// provider reports, no token is in it twice, and none of the counts is missing.
  [[nodiscard]] std::vector<Iteration> billed() const;
  /// The same in one sum: the tokens of all models. Its `iterations` are empty.
  [[nodiscard]] Usage total() const;
  /// The counts and those of summaries that the same model wrote before: what clients of formats without `iterations` are told.
  /// Tokens of other models have other prices, so they are not in it. Its `iterations` are empty.
  [[nodiscard]] Usage with_compaction() const;
  /// The tier that prices are looked up by: the speed, where it is not the standard one, else the service tier. Empty: the standard one.
  [[nodiscard]] std::string_view tier() const noexcept;
  /// Nothing was counted, whatever is said of the tier.
  [[nodiscard]] bool empty() const noexcept;
  bool operator==(const Usage&) const = default;
};

/// What a provider calls the tier that it served a request at (`service_tier`, `speed`) as Usage has it: empty for the standard one,
/// nullopt for what is no plain word.
std::optional<std::string> tier_named(std::string_view word);

}  // namespace ccrules::chat
