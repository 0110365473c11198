#pragma once
#include <chrono>

namespace ccrules::rules {

class Vm;

/// Gives the Lua code of one decision (or one file being loaded) its CPU time on this thread. While it lives, a watchdog thread
/// looks every millisecond; when the time is used up it signals this thread, whose handler stops the Vm that is running. The
/// hot path reads no clock: arming is one atomic store. At most one per thread at a time.
class CpuBudget {
 public:
  explicit CpuBudget(std::chrono::nanoseconds cpu_time);
  ~CpuBudget();
  CpuBudget(const CpuBudget&) = delete;
  CpuBudget& operator=(const CpuBudget&) = delete;

  /// True once the watchdog has found the time used up.
  [[nodiscard]] static bool spent() noexcept;
  /// Starts the time anew, after code was stopped.
  void renew();

  /// Names the Vm that a signal stops; null when none runs. Returns the one before.
  static Vm* set_running(Vm* vm) noexcept;

 private:
  std::chrono::nanoseconds cpu_time_;
};

}  // namespace ccrules::rules
