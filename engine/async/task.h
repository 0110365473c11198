#pragma once
#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "async/frame_pool.h"
#include "core/assert.h"

namespace ccrules {

/// Frames alive on this thread. Tests assert that it is back where it was: a frame that is never finished is
/// a leak.
inline thread_local std::ptrdiff_t g_frames_alive = 0;

namespace detail {
struct PromiseBase {
  std::coroutine_handle<> parent;
  bool ran_inline = false;
  static void* operator new(std::size_t bytes) {
    ++g_frames_alive;
    return FramePool::allocate(bytes);
  }
  static void operator delete(void* frame, std::size_t bytes) {
    --g_frames_alive;
    FramePool::release(frame, bytes);
  }
  std::suspend_always initial_suspend() noexcept { return {}; }
  struct Final {
    bool await_ready() noexcept { return false; }
    void await_resume() noexcept {}
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      PromiseBase& promise = self.promise();
      return (promise.ran_inline || !promise.parent) ? std::noop_coroutine() : promise.parent;
    }
  };
  Final final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { std::abort(); }
};
template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
};
template <>
struct Promise<void> : PromiseBase {
  void return_void() noexcept {}
};
}  // namespace detail

/// A lazy coroutine with one owner. Awaiting runs it inline until it finishes or suspends; `bool
/// await_suspend` keeps a loop of a million awaits within a constant stack. Destroy a Task only when it has
/// not started or has finished: the loop still owns the memory of a request in flight, so cancelling means
/// asking through a StopToken (docs/adr/0003).
template <class T = void>
class [[nodiscard]] Task {
 public:
  struct promise_type : detail::Promise<T> {
    Task get_return_object() { return Task{std::coroutine_handle<promise_type>::from_promise(*this)}; }
  };
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&&) = delete;
  Task(const Task&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }
  bool await_ready() noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) noexcept {
    auto& promise = handle_.promise();
    promise.parent = parent;
    promise.ran_inline = true;
    handle_.resume();
    promise.ran_inline = false;
    return !handle_.done();
  }
  T await_resume() {
    if constexpr (!std::is_void_v<T>) return *std::move(handle_.promise().value);
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

namespace detail {
struct Root {
  struct promise_type {
    Root get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::abort(); }
    static void* operator new(std::size_t bytes) {
      ++g_frames_alive;
      return FramePool::allocate(bytes);
    }
    static void operator delete(void* frame, std::size_t bytes) {
      --g_frames_alive;
      FramePool::release(frame, bytes);
    }
  };
};
inline Root run_root(Task<void> task) {
  co_await std::move(task);
}
}  // namespace detail

/// Starts a task that nobody awaits: it runs until it has finished, on the loop that resumes it.
inline void spawn(Task<void> task) {
  detail::run_root(std::move(task));
}

}  // namespace ccrules
