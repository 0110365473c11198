#pragma once
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "async/loop.h"
#include "core/result.h"

namespace ccrules::proxy {

/// Who reads the ledger on behalf of dashboards and scripts: on the pool's threads, a few at once, so that names are still looked
/// up and prompts counted while millions of rows are summed up. One for the process; any thread.
class LedgerReads {
 public:
  /// A place at the table, given to the next in line at the end of its life.
  class Turn {
   public:
    Turn() = default;
    explicit Turn(LedgerReads& reads) : reads_(&reads) {}
    ~Turn() { end(); }
    Turn(Turn&& other) noexcept : reads_(std::exchange(other.reads_, nullptr)) {}
    Turn& operator=(Turn&& other) noexcept {
      if (this != &other) end();
      reads_ = std::exchange(other.reads_, nullptr);
      return *this;
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    void end() noexcept {
      if (reads_ != nullptr) reads_->give_back();
      reads_ = nullptr;
    }
    LedgerReads* reads_ = nullptr;
  };

  /// co_await it on the loop's thread: a turn, or an error when too many wait already.
  class Waiting {
   public:
    Waiting(LedgerReads& reads, Loop& loop) : reads_(reads), loop_(loop) {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter);
    Result<Turn> await_resume();

   private:
    LedgerReads& reads_;
    Loop& loop_;
    bool refused_ = false;
  };
  [[nodiscard]] Waiting turn(Loop& loop) { return {*this, loop}; }

  /// What was read for the same question a moment ago: not older than nine times what reading it took, so that however many look,
  /// a tenth of one core is the most they cost. Null: read it again.
  [[nodiscard]] std::shared_ptr<const std::string> remembered(const std::string& question, std::int64_t now_ns) const;
  void remember(const std::string& question, std::shared_ptr<const std::string> answer, std::int64_t began_ns, std::int64_t now_ns);

  /// Streams of news that are open; at most limits::kNewsStreams.
  [[nodiscard]] bool open_stream() noexcept;
  void close_stream() noexcept { streams_.fetch_sub(1, std::memory_order_relaxed); }

  /// The proxy is stopping: streams of news end by themselves.
  void stop() noexcept { stopping_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }

 private:
  struct Waiter {
    Loop* loop;
    std::coroutine_handle<> handle;
  };
  struct Answer {
    std::shared_ptr<const std::string> text;
    std::int64_t began_ns = 0, read_ns = 0;
  };
  void give_back() noexcept;

  mutable std::mutex mutex_;
  std::size_t reading_ = 0;
  std::deque<Waiter> waiting_;
  std::map<std::string, Answer> answers_;
  std::atomic<int> streams_{0};
  std::atomic<bool> stopping_{false};
};

}  // namespace ccrules::proxy
