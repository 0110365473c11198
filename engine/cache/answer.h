#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/digest.h"
#include "core/error.h"

namespace ccrules::cache {

/// What was asked. Never changes once it is in the cache, so that any thread may compare with it.
struct Question {
  digest::Hash128 sample;  ///< of a part of all that follows: equal for the same question in the same words, and for few others
  /// Of all of it. Nothing for one question of a sample at most: the only one when it was asked, for which it need not be worked out.
  std::optional<digest::Hash128> letter;
  std::uint64_t family = 0;  ///< equal for the same question in other words; so it is for some others
  std::string context;       ///< what counts besides the body: who shares the answer, target, the rules' edits ...
  bool sealed = false;       ///< `context` is its HMAC-SHA256 with the store's secret: the answer comes from a file
  std::string dialect;       ///< of the body
  std::string body;          ///< as the client sent it, with json::kPadding spare bytes behind it
  std::int64_t text_bytes = 0;  ///< of the body, for telling strangers of one family apart without reading them
};

/// Who answered, and how to read what it sent.
struct Source {
  std::string provider;
  std::string model;
  std::string dialect;
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> renamed_tools;  ///< as the provider was told them -> the client's names
  std::uint64_t seed = 0;  ///< of ids for tool calls that came without one
  std::string loss;        ///< x-ccrules-loss of a client that speaks the question's dialect
};

/// One answer: the bytes of its provider, growing while they arrive, and everybody who reads along. Any thread; what happens
/// first happens for all.
class Answer {
 public:
  enum class State : std::uint8_t {
    kAsked,     ///< nobody has answered yet
    kArriving,  ///< a provider's answer has been settled on
    kComplete,  ///< all of it is there; nothing changes any more
    kFailed
  };

  explicit Answer(Question question) : question_(std::move(question)) {}
  [[nodiscard]] const Question& question() const noexcept { return question_; }
  [[nodiscard]] State state() const noexcept { return state_.load(std::memory_order_acquire); }

  // For the one request that asks the provider:

  /// Forgets what another attempt brought. Only while kAsked.
  void restart();
  /// The bytes so far, and all that follow, are the answer.
  void arrives(Source source);
  /// @param last the provider has sent everything: readers need not wait for complete()
  /// @return bytes of memory that the answer takes now
  std::size_t append(std::string_view bytes, bool last);
  void complete();
  /// Nobody gets more than what is there. Ignored once complete.
  void fail(Error why);
  /// The asker's own client has left. True when nobody else reads: the answer is of no use. Else `on_alone` is called, on the
  /// thread of the last reader, when that one leaves before the end.
  bool asker_left(std::function<void()> on_alone);
  /// Fails it and forgets its bytes, unless somebody reads them.
  bool give_up(Error why);
  /// Bytes of the answer so far, as memory that is taken.
  [[nodiscard]] std::size_t held_bytes() const;

  // For everybody:

  /// Valid from kArriving on.
  [[nodiscard]] const Source& source() const noexcept { return source_; }
  /// The whole answer. Only when kComplete; lives as long as this.
  [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }

 private:
  friend class Reader;
  void wake_readers();

  const Question question_;
  std::atomic<State> state_{State::kAsked};
  mutable std::mutex mutex_;
  std::string bytes_;
  bool last_ = false;
  Source source_;
  Error failure_;
  std::size_t readers_ = 0;
  std::vector<std::function<void()>> waiting_;  ///< called once, when something is new
  std::function<void()> on_alone_;
};

/// Reads an answer from its first byte, at its own pace.
class Reader {
 public:
  explicit Reader(std::shared_ptr<Answer> answer);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  struct Progress {
    Answer::State state = Answer::State::kAsked;
    bool end = false;                ///< all has been read
    std::optional<Error> failure;    ///< kFailed, and everything before it has been read
  };
  /// Appends what has not been read yet, at most `most` bytes of it. When there is nothing and more may come, `wake` is called
  /// once something has happened: soon, on any thread, perhaps after this reader is gone.
  Progress read(std::size_t most, std::string& out, const std::function<void()>& wake);
  /// Calls `wake` once the answer is no longer kAsked. False when that is so already.
  bool wait_for_arrival(const std::function<void()>& wake);
  [[nodiscard]] Error failure() const;
  [[nodiscard]] const Answer& answer() const noexcept { return *answer_; }

 private:
  std::shared_ptr<Answer> answer_;
  std::size_t at_ = 0;
  bool counted_ = false;  ///< among the answer's readers: those who came before it was complete
};

}  // namespace ccrules::cache
