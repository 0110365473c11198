#pragma once
#include <cstdint>
#include <limits>
#include <vector>

#include "async/loop.h"

namespace ccrules {

/// A loop's timers in a binary heap, ordered by the time they were last queued for. A timer that was moved to
/// a later time or stopped keeps its place until that time comes, then it is queued again or dropped: a
/// restart per request or per chunk costs no heap work.
class TimerQueue {
 public:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  /// Tells the loop that the earliest time has become earlier.
  using Earlier = void (*)(void* context, std::int64_t due_ms) noexcept;

  explicit TimerQueue(const Loop& loop) noexcept : loop_(loop) {}
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;
  ~TimerQueue();
  void on_earlier(Earlier earlier, void* context) noexcept {
    earlier_ = earlier;
    context_ = context;
  }

  /// When to look again; kNever when empty. It may be too early (a moved timer), never too late.
  [[nodiscard]] std::int64_t look_at_ms() const noexcept {
    return heap_.empty() ? kNever : heap_.front()->queued_ms_;
  }
  /// When the next running timer is really due; kNever when none runs. Sorts out moved and stopped ones on
  /// the way.
  [[nodiscard]] std::int64_t next_due_ms() noexcept;
  /// Fires everything due at `now_ms`, in order of time. Timers started meanwhile for now wait for the next
  /// call.
  void run_due(std::int64_t now_ms) noexcept;

 private:
  friend class Timer;
  void start(Timer& timer, std::int64_t after_ms) noexcept;
  void remove(Timer& timer) noexcept;
  void place(std::size_t slot, Timer* timer) noexcept;
  void rise(std::size_t slot) noexcept;
  void sink(std::size_t slot) noexcept;

  const Loop& loop_;
  std::vector<Timer*> heap_;
  Earlier earlier_ = nullptr;
  void* context_ = nullptr;
};

}  // namespace ccrules
