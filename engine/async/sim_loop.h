#pragma once
#include <deque>
#include <functional>
#include <mutex>

#include "async/loop.h"
#include "async/timer_queue.h"

namespace ccrules {

/// A loop in virtual time: when nothing is runnable it jumps to the next timer. Same inputs, same order,
/// every time.
class SimLoop final : public Loop {
 public:
  SimLoop() : timers_(*this) {}
  ~SimLoop() override = default;

  [[nodiscard]] std::int64_t now_ms() const noexcept override { return now_ms_; }
  [[nodiscard]] std::int64_t now_ns() const noexcept override { return now_ms_ * 1'000'000; }
  [[nodiscard]] TimerQueue& timers() noexcept override { return timers_; }
  void post(std::function<void()> work) override;
  /// Returns when no work is posted and no timer runs, or after stop().
  void run() override;
  /// Like run(), but leaves timers that are due after `most` more virtual time; the clock then stands at that
  /// moment.
  void run_for(std::chrono::milliseconds most);
  void stop() noexcept override { stopping_ = true; }
  /// Calls `disturb` once between two steps, after `steps` of them. What awaits at that moment is what is
  /// tested.
  void disturb_after(std::size_t steps, std::function<void()> disturb);
  /// False while the disturbance of disturb_after() has not happened.
  [[nodiscard]] bool disturbed() const noexcept { return !disturb_; }

 private:
  /// One posted piece of work, or the timers of the next moment up to `until_ms`; false when there is
  /// neither.
  bool step(std::int64_t until_ms);

  std::int64_t now_ms_ = 1'000'000;  ///< not zero, so that nobody takes zero for "never"
  TimerQueue timers_;
  std::mutex mutex_;  ///< guards posted_
  std::deque<std::function<void()>> posted_;
  bool stopping_ = false;
  std::size_t steps_ = 0;
  std::size_t disturb_at_ = 0;
  std::function<void()> disturb_;
};

}  // namespace ccrules
