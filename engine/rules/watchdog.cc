#include "rules/watchdog.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <ctime>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "rules/vm.h"

namespace ccrules::rules {
namespace {

constexpr auto kPeriod = std::chrono::milliseconds(1);
constexpr int kQuietRounds = 50;  // rounds without a decision before the watchdog sleeps until the next one
const int kSignal = SIGURG;       // ignored by default, so a late one cannot harm

/// One per thread that runs Lua. The thread writes sequence and running; the watchdog writes kill and seen.
struct Slot {
  std::atomic<std::uint64_t> sequence{0};  ///< number of the budget that runs; 0: none
  std::atomic<std::uint64_t> kill{0};      ///< number of the budget that is used up
  std::atomic<std::uint64_t> count{0};     ///< budgets so far
  std::atomic<std::uint64_t> seen{0};      ///< number of the budget that the watchdog saw last, since cpu_start_ns
  std::atomic<std::int64_t> cpu_start_ns{0};
  std::atomic<Vm*> running{nullptr};
  std::atomic<std::int64_t> cpu_time_ns{0};
  pid_t thread_id = 0;
  // Only the watchdog's:
  std::uint64_t seen_count = 0;
};

// The clock of a thread by its id: Linux's encoding of per-thread CPU clocks. Unlike pthread_getcpuclockid it only fails when
// the thread is gone.
clockid_t thread_clock(pid_t thread_id) {
  constexpr unsigned kPerThread = 4;
  constexpr unsigned kScheduler = 2;
  return static_cast<clockid_t>((~static_cast<unsigned>(thread_id) << 3U) | kPerThread | kScheduler);
}

std::int64_t cpu_ns(pid_t thread_id) {
  timespec time{};
  if (clock_gettime(thread_clock(thread_id), &time) != 0) return 0;
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Plain pointer without initialiser code: the signal handler reads it.
thread_local Slot* t_slot = nullptr;

void on_signal(int) {
  Slot* slot = t_slot;
  if (slot == nullptr) return;
  const std::uint64_t sequence = slot->sequence.load(std::memory_order_relaxed);
  if (sequence == 0 || slot->kill.load(std::memory_order_acquire) != sequence) return;  // late: that decision is over
  if (Vm* vm = slot->running.load(std::memory_order_relaxed)) vm->stop_from_signal();
}

class Watchdog {
 public:
  static Watchdog& get() {
    // Never destroyed: the detached thread may outlive main().
    static Watchdog* const only = new Watchdog;
    return *only;
  }

  void add(Slot* slot) {
    const std::lock_guard lock(mutex_);
    slots_.push_back(slot);
  }
  void remove(Slot* slot) {
    const std::lock_guard lock(mutex_);
    slots_.erase(std::remove(slots_.begin(), slots_.end(), slot), slots_.end());
  }
  [[nodiscard]] bool asleep() const { return asleep_.load(std::memory_order_seq_cst); }
  std::mutex& mutex() { return mutex_; }
  void wake() {
    {
      const std::lock_guard lock(mutex_);
      asleep_.store(false, std::memory_order_seq_cst);
    }
    changed_.notify_one();
  }

 private:
  Watchdog() {
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(kSignal, &action, nullptr);
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // the new thread inherits it: signals are for the others
    std::thread([this] { run(); }).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void run() {
    int quiet = 0;
    for (;;) {
      quiet = round() ? 0 : quiet + 1;
      if (quiet < kQuietRounds) {
        std::this_thread::sleep_for(kPeriod);
        continue;
      }
      // Say so before the last look: whoever arms after it sees the flag and wakes us.
      asleep_.store(true, std::memory_order_seq_cst);
      if (!round()) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !asleep_.load(std::memory_order_seq_cst); });
      }
      asleep_.store(false, std::memory_order_seq_cst);
      quiet = 0;
    }
  }

  // True when a decision runs or ran since the last round.
  bool round() {
    const std::lock_guard lock(mutex_);
    bool busy = false;
    for (Slot* slot : slots_) {
      const std::uint64_t count = slot->count.load(std::memory_order_relaxed);
      busy = busy || count != slot->seen_count;
      slot->seen_count = count;
      const std::uint64_t sequence = slot->sequence.load(std::memory_order_seq_cst);
      if (sequence == 0) continue;
      busy = true;
      const std::int64_t now = cpu_ns(slot->thread_id);
      if (sequence != slot->seen.load(std::memory_order_relaxed)) {
        slot->cpu_start_ns.store(now, std::memory_order_relaxed);
        slot->seen.store(sequence, std::memory_order_release);
      } else if (now - slot->cpu_start_ns.load(std::memory_order_relaxed) >= slot->cpu_time_ns.load(std::memory_order_relaxed)) {
        slot->kill.store(sequence, std::memory_order_release);
        stop(*slot);
      }
    }
    return busy;
  }

  static void stop(Slot& slot) {
#if defined(__SANITIZE_THREAD__)
    // ThreadSanitizer holds signals back until the thread calls into the C library; a Lua loop never does.
    if (Vm* vm = slot.running.load(std::memory_order_acquire)) vm->stop_from_signal();
#else
    syscall(SYS_tgkill, getpid(), slot.thread_id, kSignal);
#endif
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Slot*> slots_;
  std::atomic<bool> asleep_{false};
};

/// Registers the thread's slot and takes it away when the thread ends.
struct SlotOwner {
  SlotOwner() {
    slot.thread_id = static_cast<pid_t>(syscall(SYS_gettid));
    Watchdog::get().add(&slot);
    t_slot = &slot;
  }
  ~SlotOwner() {
    t_slot = nullptr;
    Watchdog::get().remove(&slot);
  }
  SlotOwner(const SlotOwner&) = delete;
  SlotOwner& operator=(const SlotOwner&) = delete;
  Slot slot;
};

Slot& my_slot() {
  if (t_slot == nullptr) {
    thread_local SlotOwner owner;
    t_slot = &owner.slot;
  }
  return *t_slot;
}

void arm(Slot& slot, std::chrono::nanoseconds cpu_time) {
  const std::uint64_t number = slot.count.load(std::memory_order_relaxed) + 1;
  slot.count.store(number, std::memory_order_relaxed);
  slot.cpu_time_ns.store(cpu_time.count(), std::memory_order_relaxed);
  slot.sequence.store(number, std::memory_order_seq_cst);
  if (Watchdog::get().asleep()) Watchdog::get().wake();
}

}  // namespace

std::chrono::nanoseconds thread_cpu_time() noexcept {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

CpuBudget::CpuBudget(std::chrono::nanoseconds cpu_time) : cpu_time_(cpu_time) { arm(my_slot(), cpu_time_); }

CpuBudget::~CpuBudget() { my_slot().sequence.store(0, std::memory_order_release); }

bool CpuBudget::spent() noexcept {
  const Slot* slot = t_slot;
  if (slot == nullptr) return false;
  const std::uint64_t sequence = slot->sequence.load(std::memory_order_relaxed);
  return sequence != 0 && slot->kill.load(std::memory_order_acquire) == sequence;
}

std::optional<std::chrono::nanoseconds> CpuBudget::seen_since() noexcept {
  const Slot* slot = t_slot;
  if (slot == nullptr) return std::nullopt;
  const std::uint64_t sequence = slot->sequence.load(std::memory_order_relaxed);
  if (sequence == 0 || slot->seen.load(std::memory_order_acquire) != sequence) return std::nullopt;
  return std::chrono::nanoseconds(slot->cpu_start_ns.load(std::memory_order_relaxed));
}

void CpuBudget::renew() {
  Slot& slot = my_slot();
  slot.sequence.store(0, std::memory_order_release);
  arm(slot, cpu_time_);
}

Vm* CpuBudget::set_running(Vm* vm) noexcept {
  Slot* slot = t_slot;
  if (slot == nullptr) return nullptr;
#if defined(__SANITIZE_THREAD__)
  const std::lock_guard lock(Watchdog::get().mutex());  // there the watchdog itself reaches for the state, see stop()
#endif
  Vm* before = slot->running.load(std::memory_order_relaxed);
  slot->running.store(vm, std::memory_order_release);
  return before;
}

}  // namespace ccrules::rules
