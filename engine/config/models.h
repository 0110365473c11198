#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace ccrules::config {

/// Pico-USD per token, which is micro-USD per million tokens: 4 USD per million = 4'000'000. Holds every
/// price of the table exactly (the smallest step seen is 0.000001 USD per million). Unset: unknown, never
/// zero.
struct Rates {
  std::optional<std::int64_t> input_picousd, output_picousd, cache_read_picousd;
  std::optional<std::int64_t> cache_write_5m_picousd;  ///< the provider's shortest, usual lifetime
  std::optional<std::int64_t> cache_write_1h_picousd;
  /// Takes every rate that `other` knows; keeps the rest.
  void overlay(const Rates& other);
  bool operator==(const Rates&) const = default;
};
/// US dollars per million tokens as a rate; rounds to the nearest pico-USD.
std::int64_t picousd_per_token(double usd_per_million) noexcept;

struct Tier {
  std::int64_t above_input_tokens = 0;
  Rates rates;
};

/// What one model is and costs: a row of config/models/*.json.
struct Model {
  std::string id;
  std::string provider;
  std::vector<std::string> aliases;
  std::optional<std::int64_t> context_tokens, max_output_tokens;
  Rates rates;
  std::vector<Tier> tiers;  ///< ascending; the whole request uses the highest tier its prompt exceeds
  // Behaviour that writers must respect; unset: not known.
  std::optional<bool> vision, sampling, forced_tool_choice;
  std::optional<bool> thinking_enabled, thinking_adaptive, thinking_disabled, thinking_between_tools;
  std::string effort_when_disabled;  ///< the strongest effort beside disabled thinking; empty: any
  std::optional<bool> reasoning;  ///< takes an effort word at all
  bool chat_tools_need_no_effort =
      false;                         ///< openai_chat: function tools only with reasoning_effort "none" (G-35)
  std::vector<std::string> efforts;  ///< accepted words; empty: not known
  std::string source, date;

  /// The rates for a request whose whole prompt (uncached, cache reads and cache writes) has so many tokens.
  [[nodiscard]] const Rates& rates_for(std::int64_t prompt_tokens) const;
};

/// The model table. Immutable, any thread; finding a model by its exact id allocates nothing.
class ModelTable {
 public:
  /// From the embedded config/models/*.json, read on first use (about a millisecond); asserted to be valid by
  /// a test.
  static const ModelTable& built_in();
  /// Exact id, then without date suffix, `[1m]` suffix, vendor prefix, dots for dashes, then the longest id
  /// that differs only by a revision (`-001`, `-v1:0`, `@20250929`, `-latest`, `:free` is not one). Rows of
  /// resellers are found only under their own provider id or with none; of several rows `provider`'s own
  /// comes first. nullptr: not known.
  [[nodiscard]] const Model* find(std::string_view model, std::string_view provider = {}) const;
  [[nodiscard]] const std::vector<Model>& all() const;

  /// The built-in table with newer rows: those of a provider and id that it knows take their place. Error: says what is wrong in
  /// which of the files, by its place in the list, from 1.
  static Result<ModelTable> newer(const std::vector<std::string_view>& files);

  /// A table from texts in the format of config/models; for tests and the built-in table.
  static Result<ModelTable> parse(const std::vector<std::string_view>& files);

 private:
  struct Index;
  explicit ModelTable(std::shared_ptr<const Index> index) : index_(std::move(index)) {}
  std::shared_ptr<const Index> index_;
};

}  // namespace ccrules::config
