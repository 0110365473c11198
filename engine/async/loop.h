#pragma once
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>

#include "async/stop.h"
#include "async/task.h"
#include "core/result.h"

namespace ccrules {

class TimerQueue;

/// A timer that its owner embeds. Restarting later and stopping only update a number: the queue finds out
/// when the old time comes. `fire` may destroy the timer. One thread.
class Timer {
 public:
  using Function = void (*)(Timer&) noexcept;
  explicit Timer(Function fire) noexcept : fire_(fire) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();
  void start(TimerQueue& queue, std::chrono::milliseconds after) noexcept;
  void stop() noexcept { running_ = false; }
  [[nodiscard]] bool running() const noexcept { return running_; }

 private:
  friend class TimerQueue;
  Function fire_;
  TimerQueue* queue_ = nullptr;  ///< non-null while it stands in a queue, running or not
  std::int64_t due_ms_ = 0;      ///< when it shall fire
  std::int64_t queued_ms_ = 0;   ///< where it stands in the queue (<= due_ms_)
  std::size_t slot_ = 0;         ///< place in the queue; meaningless while queue_ is null
  bool running_ = false;
};

/// One thread's event loop: UvLoop in production, SimLoop (virtual time) in tests.
class Loop {
 public:
  virtual ~Loop() = default;
  /// Monotonic milliseconds, constant within one turn of the loop.
  [[nodiscard]] virtual std::int64_t now_ms() const noexcept = 0;
  /// Monotonic nanoseconds, read now. Virtual time in SimLoop.
  [[nodiscard]] virtual std::int64_t now_ns() const noexcept = 0;
  [[nodiscard]] virtual TimerQueue& timers() noexcept = 0;
  /// Runs `work` on the loop's thread, later. The only member that may be called from any thread.
  virtual void post(std::function<void()> work) = 0;
  /// Runs `work` on a thread of the process-wide pool, then `done` on the loop's. Here, for loops in virtual time:
  /// at once, `done` later.
  virtual void offload(std::function<void()> work, std::function<void()> done) {
    work();
    post(std::move(done));
  }
  /// Runs until stop() (UvLoop) or until nothing can happen any more (SimLoop).
  virtual void run() = 0;
  virtual void stop() noexcept = 0;
};

/// co_await sleep_for(loop, 250ms, stop): kCancelled when stopped first.
Task<Result<void>> sleep_for(Loop& loop, std::chrono::milliseconds time, StopToken stop);

/// co_await on_pool(loop, work): work that takes longer than a millisecond, off the loop. It is not interrupted: what
/// it touches must live until the task is done, which the caller's frame does.
Task<void> on_pool(Loop& loop, std::function<void()> work);

/// Fires StopReason::kDeadline on a source unless moved or cleared in time. Re-arming per chunk is cheap.
class Deadline {
 public:
  Deadline(Loop& loop, StopSource& source) noexcept;
  void set(std::chrono::milliseconds after) noexcept;  ///< zero: no deadline
  void clear() noexcept;

 private:
  struct Node : Timer {
    explicit Node(StopSource& wanted) noexcept;
    StopSource& source;
  };
  Loop& loop_;
  Node node_;
};

}  // namespace ccrules
