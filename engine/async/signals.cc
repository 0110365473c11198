#include "async/signals.h"

#include <array>
#include <csignal>
#include <utility>

#include <uv.h>

#include "core/assert.h"

namespace ccrules {
namespace {

constexpr std::array<int, 3> kWatched = {SIGTERM, SIGINT, SIGHUP};

/// libuv owns a handle until its close callback: it outlives the Signals object by a turn of the loop.
struct Handle {
  uv_signal_t uv{};
  std::function<void(int)>* received = nullptr;
};

}  // namespace

struct Signals::Impl {
  std::function<void(int)> received;
  std::array<Handle*, kWatched.size()> handles{};
};

Signals::Signals(UvLoop& loop, std::function<void(int signal)> received) : impl_(std::make_unique<Impl>()) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is a failed write, not the end of the process
  impl_->received = std::move(received);
  for (std::size_t i = 0; i < kWatched.size(); ++i) {
    auto* handle = new Handle;
    handle->received = &impl_->received;
    handle->uv.data = handle;
    CCR_ASSERT(uv_signal_init(loop.raw(), &handle->uv) == 0);
    const auto on_signal = [](uv_signal_t* uv, int signal) {
      (*static_cast<Handle*>(uv->data)->received)(signal);
    };
    CCR_ASSERT(uv_signal_start(&handle->uv, on_signal, kWatched[i]) == 0);
    impl_->handles[i] = handle;
  }
}

Signals::~Signals() {
  for (Handle* handle : impl_->handles) {
    uv_signal_stop(&handle->uv);
    uv_close(reinterpret_cast<uv_handle_t*>(&handle->uv),
             [](uv_handle_t* uv) { delete static_cast<Handle*>(uv->data); });
  }
}

}  // namespace ccrules
