#include "async/sim_loop.h"

#include <utility>

namespace ccrules {

void SimLoop::post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  posted_.push_back(std::move(work));
}

void SimLoop::disturb_after(std::size_t steps, std::function<void()> disturb) {
  disturb_at_ = steps_ + steps;
  disturb_ = std::move(disturb);
}

bool SimLoop::step(std::int64_t until_ms) {
  if (disturb_ && steps_ >= disturb_at_) {
    const std::function<void()> now = std::exchange(disturb_, nullptr);
    now();
  }
  std::function<void()> work;
  {
    const std::lock_guard lock(mutex_);
    if (!posted_.empty()) {
      work = std::move(posted_.front());
      posted_.pop_front();
    }
  }
  if (work) {
    ++steps_;
    work();
    return true;
  }
  const std::int64_t due = timers_.next_due_ms();
  if (due == TimerQueue::kNever || due > until_ms) return false;
  if (due > now_ms_) now_ms_ = due;
  ++steps_;
  timers_.run_due(now_ms_);
  return true;
}

void SimLoop::run() {
  stopping_ = false;
  while (!stopping_ && step(TimerQueue::kNever - 1)) {
  }
}

void SimLoop::run_for(std::chrono::milliseconds most) {
  stopping_ = false;
  const std::int64_t until = now_ms_ + most.count();
  while (!stopping_ && step(until)) {
  }
  if (!stopping_ && now_ms_ < until) now_ms_ = until;
}

}  // namespace ccrules
