#pragma once
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/digest.h"
#include "tokens/prompt.h"

namespace ccrules::tokens {

/// What providers' own counts have taught: how far our estimates are off for a model, and what prompts of
/// running sessions were billed as. Shared by all threads, bounded (limits::kAnchors, kRatios).
class Calibration {
 public:
  /// Billed ÷ estimated: the median of the last kSamples, drawn to 1 while there are few, within [0.5, 2].
  struct Ratio {
    double ratio = 1;
    double p95 = -1;  ///< relative error that 95 of 100 stayed within after correction; < 0: too few samples
  };
  /// @param key ratio_key(), or "provider,model" for counts by bytes
  [[nodiscard]] Ratio ratio(std::string_view key) const;
  /// Notes what a prompt of `estimate` tokens (not corrected) was billed as, and that this provider answers
  /// for the model. Hostile and tiny numbers are left out.
  void learn(std::string_view key, std::int64_t estimate, std::int64_t billed);

  /// "provider,model" of the provider that answered for a model last: a prompt is counted before it is known
  /// where it goes. ",model" when none has yet.
  [[nodiscard]] std::string usual_target(std::string_view model) const;

  struct Anchor {
    std::int64_t prompt_tokens = 0;
    std::int64_t output_tokens = 0;  ///< of the answer: it is part of the next prompt
  };
  /// `target` is the provider and model, whose counts say nothing about others.
  void keep(std::string_view target, digest::Hash128 chain, Anchor anchor);
  [[nodiscard]] std::optional<Anchor> find(std::string_view target, digest::Hash128 chain) const;

  /// A threshold must not be crossed back and forth by our own error: while a conversation grows, its count
  /// does not fall by less than its p95. @return the count to decide by
  std::int64_t steady(std::string_view conversation, Count count, std::size_t messages);

  static constexpr std::size_t kSamples = 64;

 private:
  struct Samples {
    std::vector<float> logs;  ///< of billed ÷ estimated; a ring
    std::size_t next = 0;
    Ratio ratio;
  };
  struct Conversation {
    Count count;
    std::size_t messages = 0;
  };
  struct ChainHash {
    std::size_t operator()(const digest::Hash128& hash) const noexcept { return hash.low; }
  };
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const noexcept { return digest::hash64(name); }
  };

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Samples, NameHash, std::equal_to<>> ratios_;
  std::unordered_map<std::string, std::string, NameHash, std::equal_to<>>
      providers_;  ///< that answered last, by model
  std::unordered_map<digest::Hash128, Anchor, ChainHash> anchors_;
  std::deque<digest::Hash128> anchor_order_;  ///< oldest first
  std::unordered_map<std::string, Conversation, NameHash, std::equal_to<>> conversations_;
};

/// What one prompt is known by: its tools, system prompt and first n messages, for every n from 0 to all.
std::vector<digest::Hash128> chain_of(const Prompt& prompt);

/// The best count of a prompt: the billed size of its longest known beginning plus what is new, else the
/// corrected estimate. `target`: "provider,model".
Count best_count(const Prompt& prompt, std::string_view target, const std::vector<digest::Hash128>& chain,
                 const Calibration& calibration);

/// The key that ratios are learned under: target, and whether there are tools or media.
std::string ratio_key(std::string_view target, const Prompt& prompt);

}  // namespace ccrules::tokens
