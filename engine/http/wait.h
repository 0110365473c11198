#pragma once
#include <chrono>
#include <coroutine>

#include "async/loop.h"
#include "async/stop.h"

/// Waiting for one thing.
namespace ccrules::http {

/// co_await it once: returns when wake() is called, when the time is over (zero: never), or when stopped.
class Wait : private Timer, private StopCallback {
 public:
  enum class Outcome : std::uint8_t { kWoken, kQuiet, kStopped };
  Wait(Loop& loop, std::chrono::milliseconds time, StopToken stop) noexcept
      : Timer([](Timer& timer) noexcept { static_cast<Wait&>(timer).end(Outcome::kQuiet); }),
        StopCallback(
            [](StopCallback& callback) noexcept { static_cast<Wait&>(callback).end(Outcome::kStopped); }),
        loop_(loop),
        time_(time),
        stop_(stop) {}
  bool await_ready() noexcept {
    if (stop_.stopped()) outcome_ = Outcome::kStopped;
    return stop_.stopped();
  }
  void await_suspend(std::coroutine_handle<> waiter) noexcept {
    waiter_ = waiter;
    if (time_.count() > 0) start(loop_.timers(), time_);
    stop_.subscribe(*this);
  }
  [[nodiscard]] Outcome await_resume() const noexcept { return outcome_; }
  /// Resumes who waits, inline.
  void wake() noexcept { end(Outcome::kWoken); }

 private:
  void end(Outcome outcome) noexcept {
    outcome_ = outcome;
    Timer::stop();
    unlink();
    waiter_.resume();
  }
  Loop& loop_;
  std::chrono::milliseconds time_;
  StopToken stop_;
  std::coroutine_handle<> waiter_;
  Outcome outcome_ = Outcome::kWoken;
};

}  // namespace ccrules::http
