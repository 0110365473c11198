#pragma once
#include <chrono>
#include <optional>

namespace ccrules::rules {

class Vm;

/// CPU time that this thread has used.
std::chrono::nanoseconds thread_cpu_time() noexcept;

/// Gives Lua code (one rule of a decision, one file being loaded) its CPU time on this thread. While it lives, a watchdog thread
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
  /// thread_cpu_time() when the watchdog first saw the code run: its time counts from there. Nothing while it has not, as
  /// with code that is quick; so whoever wants to know who spent the time asks this before reading a clock.
  [[nodiscard]] static std::optional<std::chrono::nanoseconds> seen_since() noexcept;
  /// Starts the time anew, for other code or after some was stopped.
  void renew();

  /// Names the Vm that a signal stops; null when none runs. Returns the one before.
  static Vm* set_running(Vm* vm) noexcept;

 private:
  std::chrono::nanoseconds cpu_time_;
};

}  // namespace ccrules::rules
