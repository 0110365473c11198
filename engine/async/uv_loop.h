#pragma once
#include <memory>

#include "async/loop.h"

struct uv_loop_s;

namespace ccrules {

class Turn;

/// The production loop: libuv, one per thread. Members are called on the thread that runs it, except post().
/// Everything that lives on the loop (streams, timers, listeners) must be destroyed before it.
class UvLoop final : public Loop {
 public:
  /// Aborts when the kernel refuses the loop's descriptors (nothing can be done without a loop).
  UvLoop();
  /// Waits for work on the pool, but not for the system's resolver, which nothing can interrupt.
  ~UvLoop() override;
  UvLoop(const UvLoop&) = delete;
  UvLoop& operator=(const UvLoop&) = delete;

  [[nodiscard]] std::int64_t now_ms() const noexcept override;
  [[nodiscard]] std::int64_t now_ns() const noexcept override;
  [[nodiscard]] TimerQueue& timers() noexcept override;
  void post(std::function<void()> work) override;
  void offload(std::function<void()> work, std::function<void()> done) override;
  /// Returns only after stop().
  void run() override;
  /// May be called from any thread.
  void stop() noexcept override;

  /// True when a loop has ended while the system still looked up a name for it. exit() would wait for that on libuv's threads: who ends
  /// the process then writes what it has to write, and calls _exit(). Any thread.
  [[nodiscard]] static bool leaves_lookups() noexcept;

  struct Impl;
  [[nodiscard]] uv_loop_s* raw() noexcept;
  /// How many names the system's resolver looks up for this loop, those included that nobody waits for any more.
  [[nodiscard]] int& lookups() noexcept;
  /// limits::kReadChunkBytes bytes that every socket of this loop reads into; what stands there lives until
  /// the reader suspends.
  [[nodiscard]] char* read_buffer() noexcept;
  /// What the loop's connections do together.
  [[nodiscard]] Turn& turn() noexcept;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace ccrules
