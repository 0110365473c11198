#include "async/uv_loop.h"

#include <csignal>
#include <mutex>
#include <vector>

#include <uv.h>

#include "async/timer_queue.h"
#include "async/turn.h"
#include "core/limits.h"

namespace ccrules {

struct UvLoop::Impl {
  explicit Impl(UvLoop& owner) : timers(owner), read_buffer(new char[limits::kReadChunkBytes]) {}

  uv_loop_t loop{};
  uv_timer_t timer{};
  uv_async_t wake{};
  uv_prepare_t before_wait{};
  uv_check_t after_wait{};
  Turn turn;
  TimerQueue timers;
  std::unique_ptr<char[]> read_buffer;
  std::mutex mutex;  ///< guards `posted` and `stopping`
  std::vector<std::function<void()>> posted;
  bool stopping = false;
  int lookups = 0;
  int offloaded = 0;  ///< pieces of work that are on the pool

  /// Loops that a lookup still refers to; they stay.
  struct Left {
    std::mutex mutex;
    std::vector<std::unique_ptr<Impl>> loops;
  };
  static Left& left() {
    static auto* const left = new Left();  // at exit too, another thread may use what is in it
    return *left;
  }

  void arm(std::int64_t due_ms) noexcept {
    const std::int64_t now = static_cast<std::int64_t>(uv_now(&loop));
    const auto wait = static_cast<std::uint64_t>(due_ms > now ? due_ms - now : 0);
    uv_timer_start(
        &timer, [](uv_timer_t* fired) { static_cast<Impl*>(fired->data)->run_timers(); }, wait, 0);
  }
  void run_timers() noexcept {
    timers.run_due(static_cast<std::int64_t>(uv_now(&loop)));
    const std::int64_t next = timers.look_at_ms();
    if (next != TimerQueue::kNever) arm(next);
  }
  void run_posted() {
    std::vector<std::function<void()>> work;
    bool stop_now = false;
    {
      const std::lock_guard lock(mutex);
      work.swap(posted);
      stop_now = std::exchange(stopping, false);
    }
    for (auto& item : work) item();
    if (stop_now) uv_stop(&loop);
  }
};

UvLoop::UvLoop() : impl_(std::make_unique<Impl>(*this)) {
  // A peer that is gone is an error of write(), never a signal.
  std::signal(SIGPIPE, SIG_IGN);
  Impl& impl = *impl_;
  CCR_ASSERT(uv_loop_init(&impl.loop) == 0);
  CCR_ASSERT(uv_timer_init(&impl.loop, &impl.timer) == 0);
  CCR_ASSERT(uv_async_init(&impl.loop, &impl.wake,
                           [](uv_async_t* wake) { static_cast<Impl*>(wake->data)->run_posted(); }) == 0);
  impl.timer.data = impl.wake.data = impl.before_wait.data = impl.after_wait.data = &impl;
  // Timers write before the loop waits, sockets and other threads' work while it does.
  uv_prepare_init(&impl.loop, &impl.before_wait);
  uv_prepare_start(&impl.before_wait, [](uv_prepare_t* self) { static_cast<Impl*>(self->data)->turn.finish(); });
  uv_check_init(&impl.loop, &impl.after_wait);
  uv_check_start(&impl.after_wait, [](uv_check_t* self) { static_cast<Impl*>(self->data)->turn.finish(); });
  impl.timers.on_earlier(
      [](void* context, std::int64_t due_ms) noexcept { static_cast<Impl*>(context)->arm(due_ms); }, &impl);
}

UvLoop::~UvLoop() {
  Impl& impl = *impl_;
  impl.timers.on_earlier(nullptr, nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&impl.timer), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&impl.wake), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&impl.before_wait), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&impl.after_wait), nullptr);
  while (impl.offloaded > 0) uv_run(&impl.loop, UV_RUN_ONCE);  // it uses memory that is about to go
  // Lets handles that were closed finish.
  uv_run(&impl.loop, impl.lookups > 0 ? UV_RUN_NOWAIT : UV_RUN_DEFAULT);
  if (impl.lookups > 0) {
    const std::lock_guard lock(Impl::left().mutex);
    Impl::left().loops.push_back(std::move(impl_));
    return;
  }
  CCR_ASSERT(uv_loop_close(&impl.loop) == 0);
}

bool UvLoop::leaves_lookups() noexcept {
  const std::lock_guard lock(Impl::left().mutex);
  return !Impl::left().loops.empty();
}

std::int64_t UvLoop::now_ms() const noexcept {
  return static_cast<std::int64_t>(uv_now(&impl_->loop));
}
std::int64_t UvLoop::now_ns() const noexcept {
  return static_cast<std::int64_t>(uv_hrtime());
}
TimerQueue& UvLoop::timers() noexcept {
  return impl_->timers;
}
uv_loop_s* UvLoop::raw() noexcept {
  return &impl_->loop;
}
Turn& UvLoop::turn() noexcept {
  return impl_->turn;
}
int& UvLoop::lookups() noexcept {
  return impl_->lookups;
}
char* UvLoop::read_buffer() noexcept {
  return impl_->read_buffer.get();
}

namespace {

struct PoolWork {
  uv_work_t request{};
  int* count = nullptr;  // of the loop
  std::function<void()> work, done;
};

}  // namespace

void UvLoop::offload(std::function<void()> work, std::function<void()> done) {
  auto item = std::make_unique<PoolWork>();
  item->work = std::move(work);
  item->done = std::move(done);
  item->request.data = item.get();
  item->count = &impl_->offloaded;
  ++impl_->offloaded;
  const int queued = uv_queue_work(
      &impl_->loop, &item->request, [](uv_work_t* request) { static_cast<PoolWork*>(request->data)->work(); },
      [](uv_work_t* request, int) {
        const std::unique_ptr<PoolWork> finished(static_cast<PoolWork*>(request->data));
        --*finished->count;
        finished->done();
      });
  CCR_ASSERT(queued == 0);  // only a missing callback is refused
  (void)item.release();     // the pool owns it until `done`
}

void UvLoop::post(std::function<void()> work) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->posted.push_back(std::move(work));
  }
  uv_async_send(&impl_->wake);
}

void UvLoop::run() {
  uv_run(&impl_->loop, UV_RUN_DEFAULT);
}

void UvLoop::stop() noexcept {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  uv_async_send(&impl_->wake);
}

}  // namespace ccrules
