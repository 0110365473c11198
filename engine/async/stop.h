#pragma once
#include <cstdint>

#include "core/error.h"

namespace ccrules {

enum class StopReason : std::uint8_t { kNone, kClientGone, kDeadline, kShutdown };

class StopSource;

/// A node in a StopSource's list; its owner is the awaiter that wants to be woken. Unlinks itself when
/// destroyed.
class StopCallback {
 public:
  using Function = void (*)(StopCallback&) noexcept;
  explicit StopCallback(Function fire) noexcept : fire_(fire) {}
  StopCallback(const StopCallback&) = delete;
  StopCallback& operator=(const StopCallback&) = delete;
  ~StopCallback() { unlink(); }
  void unlink() noexcept {
    if (next_ == nullptr) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    previous_ = next_ = nullptr;
  }
  [[nodiscard]] bool linked() const noexcept { return next_ != nullptr; }

 private:
  friend class StopSource;
  Function fire_ = nullptr;
  StopCallback* previous_ = nullptr;
  StopCallback* next_ = nullptr;
};

/// A view of a StopSource; the default token never stops. Copyable; must not outlive its source.
class StopToken {
 public:
  StopToken() = default;
  [[nodiscard]] inline bool stopped() const noexcept;
  [[nodiscard]] inline StopReason reason() const noexcept;
  /// Calls `callback` once when the source stops. Precondition: not stopped() and callback not linked.
  inline void subscribe(StopCallback& callback) const noexcept;

 private:
  friend class StopSource;
  explicit StopToken(StopSource* source) noexcept : source_(source) {}
  StopSource* source_ = nullptr;
};

/// Asks everything that awaits with its token to return kCancelled. One thread. A child stops with its
/// parent. The first reason is kept.
class StopSource {
 public:
  StopSource() noexcept { head_.previous_ = head_.next_ = &head_; }
  explicit StopSource(StopToken parent) noexcept : StopSource() {
    if (parent.stopped()) {
      reason_ = parent.reason();
    } else if (parent.source_ != nullptr) {
      from_parent_.self = this;
      from_parent_.parent = parent.source_;
      parent.subscribe(from_parent_);
    }
  }
  StopSource(const StopSource&) = delete;
  StopSource& operator=(const StopSource&) = delete;
  ~StopSource() {
    if (destroyed_ != nullptr) *destroyed_ = true;
    while (head_.next_ != &head_) head_.next_->unlink();
    head_.previous_ = head_.next_ = nullptr;
  }

  /// Wakes everybody who waits, inline. One of them may end the frame this source lives in: nothing of it is
  /// touched afterwards.
  void request_stop(StopReason why) noexcept {
    if (reason_ != StopReason::kNone) return;
    reason_ = why;
    bool destroyed = false;
    destroyed_ = &destroyed;
    while (head_.next_ != &head_) {
      StopCallback* callback = head_.next_;
      callback->unlink();
      callback->fire_(*callback);
      if (destroyed) return;
    }
    destroyed_ = nullptr;
  }
  [[nodiscard]] bool stopped() const noexcept { return reason_ != StopReason::kNone; }
  [[nodiscard]] StopReason reason() const noexcept { return reason_; }
  [[nodiscard]] StopToken token() noexcept { return StopToken(this); }

 private:
  friend class StopToken;
  struct FromParent : StopCallback {
    FromParent() noexcept
        : StopCallback([](StopCallback& callback) noexcept {
            auto& link = static_cast<FromParent&>(callback);
            link.self->request_stop(link.parent->reason());
          }) {}
    StopSource* self = nullptr;
    StopSource* parent = nullptr;
  };
  void add(StopCallback& callback) noexcept {
    callback.previous_ = head_.previous_;
    callback.next_ = &head_;
    head_.previous_->next_ = &callback;
    head_.previous_ = &callback;
  }
  StopReason reason_ = StopReason::kNone;
  bool* destroyed_ = nullptr;  ///< Set while request_stop runs: tells it that the source is gone.
  StopCallback head_{nullptr};
  FromParent from_parent_;
};

inline bool StopToken::stopped() const noexcept {
  return source_ != nullptr && source_->stopped();
}
inline StopReason StopToken::reason() const noexcept {
  return source_ == nullptr ? StopReason::kNone : source_->reason();
}
inline void StopToken::subscribe(StopCallback& callback) const noexcept {
  if (source_ != nullptr) source_->add(callback);
}

}  // namespace ccrules
