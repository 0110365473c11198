#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>


namespace ccrules::config {

/// Nano-USD per token (= milli-USD per million tokens); unset: unknown.
struct Rates {
  std::optional<std::int64_t> input, output, cache_read, cache_write_5m, cache_write_1h;
};
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
  std::optional<bool> vision, sampling, forced_tool_choice, thinking_enabled, thinking_adaptive, thinking_disabled;
  std::vector<std::string> efforts;
  std::string source, date;
};

/// The model table: built-in rows with the configuration's `prices` over them. Immutable, any thread.
class ModelTable {
 public:
  /// From the embedded config/models/*.json; asserted to be valid by a test.
  static const ModelTable& built_in();
  /// Exact id, then without date suffix, [1m] suffix, vendor prefix, dots for dashes, then the longest id that is a prefix.
  [[nodiscard]] const Model* find(std::string_view model, std::string_view provider = {}) const;
  [[nodiscard]] const std::vector<Model>& all() const { return models_; }

 private:
  friend struct ModelTableBuilder;
  std::vector<Model> models_;
  struct Index;
  std::shared_ptr<const Index> index_;
};

}  // namespace ccrules::config
