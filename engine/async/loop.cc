#include "async/loop.h"

#include <algorithm>

#include "async/timer_queue.h"

namespace ccrules {

Timer::~Timer() {
  if (queue_ != nullptr) queue_->remove(*this);
}

void Timer::start(TimerQueue& queue, std::chrono::milliseconds after) noexcept {
  queue.start(*this, after.count());
}

TimerQueue::~TimerQueue() {
  for (Timer* timer : heap_) timer->queue_ = nullptr;
}

void TimerQueue::start(Timer& timer, std::int64_t after_ms) noexcept {
  CCR_ASSERT(timer.queue_ == nullptr || timer.queue_ == this);
  timer.due_ms_ = loop_.now_ms() + std::max<std::int64_t>(after_ms, 0);
  timer.running_ = true;
  if (timer.queue_ != nullptr) {
    if (timer.due_ms_ >= timer.queued_ms_) return;
    timer.queued_ms_ = timer.due_ms_;
    rise(timer.slot_);
  } else {
    timer.queue_ = this;
    timer.queued_ms_ = timer.due_ms_;
    heap_.push_back(&timer);
    timer.slot_ = heap_.size() - 1;
    rise(timer.slot_);
  }
  if (timer.slot_ == 0 && earlier_ != nullptr) earlier_(context_, timer.queued_ms_);
}

void TimerQueue::remove(Timer& timer) noexcept {
  const std::size_t slot = timer.slot_;
  Timer* last = heap_.back();
  heap_.pop_back();
  timer.queue_ = nullptr;
  timer.running_ = false;
  if (last == &timer) return;
  place(slot, last);
  rise(slot);
  sink(last->slot_);
}

std::int64_t TimerQueue::next_due_ms() noexcept {
  while (!heap_.empty()) {
    Timer& first = *heap_.front();
    if (!first.running_) {
      remove(first);
    } else if (first.due_ms_ > first.queued_ms_) {
      first.queued_ms_ = first.due_ms_;
      sink(0);
    } else {
      return first.queued_ms_;
    }
  }
  return kNever;
}

void TimerQueue::run_due(std::int64_t now_ms) noexcept {
  // A timer that restarts itself with zero would otherwise keep this loop running for ever.
  for (std::size_t most = heap_.size() + 1; most > 0 && next_due_ms() <= now_ms; --most) {
    Timer& timer = *heap_.front();
    remove(timer);
    timer.fire_(timer);
  }
}

void TimerQueue::place(std::size_t slot, Timer* timer) noexcept {
  heap_[slot] = timer;
  timer->slot_ = slot;
}

void TimerQueue::rise(std::size_t slot) noexcept {
  Timer* timer = heap_[slot];
  while (slot > 0) {
    const std::size_t parent = (slot - 1) / 2;
    if (heap_[parent]->queued_ms_ <= timer->queued_ms_) break;
    place(slot, heap_[parent]);
    slot = parent;
  }
  place(slot, timer);
}

void TimerQueue::sink(std::size_t slot) noexcept {
  Timer* timer = heap_[slot];
  for (;;) {
    std::size_t child = 2 * slot + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->queued_ms_ < heap_[child]->queued_ms_) ++child;
    if (heap_[child]->queued_ms_ >= timer->queued_ms_) break;
    place(slot, heap_[child]);
    slot = child;
  }
  place(slot, timer);
}

namespace {

/// Waits for a timer or a stop, whichever comes first.
class Sleep : private Timer, private StopCallback {
 public:
  Sleep(Loop& loop, std::chrono::milliseconds time, StopToken stop) noexcept
      : Timer([](Timer& timer) noexcept { static_cast<Sleep&>(timer).wake(); }),
        StopCallback([](StopCallback& callback) noexcept {
          auto& sleep = static_cast<Sleep&>(callback);
          sleep.stopped_ = true;
          sleep.wake();
        }),
        loop_(loop),
        time_(time),
        stop_(stop) {}
  bool await_ready() noexcept {
    stopped_ = stop_.stopped();
    return stopped_;
  }
  void await_suspend(std::coroutine_handle<> waiter) noexcept {
    waiter_ = waiter;
    start(loop_.timers(), time_);
    stop_.subscribe(*this);
  }
  /// False when stopped first.
  [[nodiscard]] bool await_resume() const noexcept { return !stopped_; }

 private:
  void wake() noexcept {
    Timer::stop();
    unlink();
    waiter_.resume();
  }
  Loop& loop_;
  std::chrono::milliseconds time_;
  StopToken stop_;
  std::coroutine_handle<> waiter_;
  bool stopped_ = false;
};

}  // namespace

Task<Result<void>> sleep_for(Loop& loop, std::chrono::milliseconds time, StopToken stop) {
  const bool slept = co_await Sleep(loop, time, stop);
  if (!slept) co_return cancelled();
  co_return Result<void>();
}

Deadline::Node::Node(StopSource& wanted) noexcept
    : Timer([](Timer& timer) noexcept {
        static_cast<Node&>(timer).source.request_stop(StopReason::kDeadline);
      }),
      source(wanted) {}

Deadline::Deadline(Loop& loop, StopSource& source) noexcept : loop_(loop), node_(source) {}

void Deadline::set(std::chrono::milliseconds after) noexcept {
  if (after.count() <= 0) {
    node_.stop();
  } else {
    node_.start(loop_.timers(), after);
  }
}

void Deadline::clear() noexcept {
  node_.stop();
}

namespace {

struct PoolAwaiter {
  PoolAwaiter(Loop& wanted_loop, std::function<void()> wanted_work) : loop(wanted_loop), work(std::move(wanted_work)) {}
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    loop.offload(std::move(work), [waiting] { waiting.resume(); });
  }
  void await_resume() noexcept {}
  Loop& loop;
  std::function<void()> work;
};

}  // namespace

Task<void> on_pool(Loop& loop, std::function<void()> work) {
  PoolAwaiter awaiter(loop, std::move(work));
  co_await awaiter;
}

}  // namespace ccrules
