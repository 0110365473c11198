#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cache/answer.h"
#include "core/limits.h"
#include "core/digest.h"

namespace ccrules::cache {

/// Is told what happens to kept answers, to keep them elsewhere, too. Called on any thread, without the store's lock; must not block.
class Keeper {
 public:
  virtual ~Keeper() = default;
  virtual void keep(std::shared_ptr<const Answer> answer, std::chrono::milliseconds ttl) = 0;
  /// Its answer turned out to be of no use, or a newer one is on its way. There may be none.
  virtual void forget(const Question& question) = 0;
  virtual void clear() = 0;
};

/// Answers that are kept for whoever asks the same again, and answers on their way that others may read along. Bounded in bytes;
/// what has to go is chosen by W-TinyLFU, weighted by size: an answer that was never asked for twice does not push out those that
/// are asked for again and again. Any thread: one lock, and nothing is compared, hashed or freed while it is held.
class Store {
 public:
  explicit Store(std::size_t max_bytes = limits::kCacheBytes);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// For hashes of questions: secret, so that nobody can prepare two questions of one hash.
  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
  /// 32 random bytes: the seed is made from them, and a file's contexts are sealed with them.
  [[nodiscard]] const std::string& secret() const noexcept { return secret_; }
  /// Another one's secret, whose answers are to be restored. Before anything else is asked of the store.
  void adopt(std::string secret);
  /// Null: nobody. It must outlive its being told.
  void tell(Keeper* keeper) noexcept { keeper_.store(keeper, std::memory_order_release); }

  /// How old an answer may be, and what time it is (any monotonic clock, the same for all callers).
  struct Age {
    std::int64_t now_ms = 0;
    std::chrono::milliseconds ttl{0};
  };
  /// What has been asked with one sample.
  struct Sampled {
    bool some = false;  ///< else nobody has asked this in the same words
    /// The one among them that has no letter, if there is one. It may be the same: the caller compares.
    std::shared_ptr<Answer> unnamed;
    bool fresh = false;  ///< `unnamed` is young enough
  };
  /// Counts the question as asked.
  Sampled sampled(const digest::Hash128& sample, Age age);
  /// What was asked in the same words, as far as a hash of all of them can tell: the caller compares. Null: nothing.
  std::shared_ptr<Answer> same(const digest::Hash128& letter, Age age);
  /// The newest of the family, null where there are none: the caller compares what they mean. None, mostly, of a family that has
  /// turned out to be made of strangers.
  using Similar = std::array<std::shared_ptr<Answer>, 4>;
  Similar similar(std::uint64_t family, Age age);
  /// Questions of the family have been compared; whether one of them was the same.
  void compared(std::uint64_t family, bool was_same);

  /// What a caller has found out about Sampled::unnamed.
  struct Compared {
    std::shared_ptr<Answer> with;
    bool is_same = false;  ///< but not fresh
  };
  /// The caller asks the provider; whoever asks the same from now on finds its answer. A question without a letter is the only
  /// one of its sample, or the same as `compared.with`.
  /// @return null when somebody else is asking it already or has an answer, or has asked what the caller has not compared, or there
  ///         is no room for the question; then `question` is as it was, else it has been moved from
  std::shared_ptr<Answer> ask(Question& question, Age age, const Compared& compared);
  /// An answer on its way has become longer. False: there is no room for it: it is not kept any more and nobody new finds it; it
  /// may go on growing for those who read it.
  bool grow(const Answer& answer);
  /// The answer is complete: kept as long as `age.ttl` says, if it is worth its bytes.
  void keep(const std::shared_ptr<Answer>& answer, Age age);
  /// A complete answer from elsewhere, kept at `age.now_ms`; unless the store has been cleared since `generation`.
  void restore(const std::shared_ptr<Answer>& answer, Age age, std::uint64_t generation);
  /// How often the store has been cleared.
  [[nodiscard]] std::uint64_t generation() const;
  /// The answer on its way failed or is not to be kept.
  void drop(const Answer& answer);

  /// The caller has found that this is its answer.
  void hit(const Answer& answer, std::int64_t saved_nanousd);
  void missed();

  struct Cleared {
    std::size_t entries = 0;
    std::size_t bytes = 0;
  };
  /// Answers on their way go on, and are not kept.
  Cleared clear();

  struct Stats {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    std::size_t entries = 0;  ///< complete answers
    std::size_t bytes = 0;    ///< all that is held: complete answers and those on their way
    std::size_t max_bytes = 0;
    std::int64_t saved_nanousd = 0;
    std::uint64_t evicted = 0;   ///< made room for others
    std::uint64_t rejected = 0;  ///< not worth their bytes
  };
  [[nodiscard]] Stats stats() const;

  struct Top {
    digest::Hash128 hash;  ///< of the question: its letter, else its sample
    std::uint64_t hits = 0;
    std::int64_t saved_nanousd = 0;
  };
  /// The answers of most use, the best first.
  [[nodiscard]] std::vector<Top> top(std::size_t most) const;

  /// Cheap when it is the same.
  void resize(std::size_t max_bytes);

 private:
  struct Inside;
  std::string secret_;
  std::uint64_t seed_;
  std::atomic<Keeper*> keeper_{nullptr};
  std::atomic<std::size_t> max_bytes_;
  std::unique_ptr<Inside> inside_;
};

}  // namespace ccrules::cache
