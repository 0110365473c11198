#include <chrono>
#include <condition_variable>
#include <dlfcn.h>
#include <mutex>
#include <netdb.h>
#include <string_view>

#include <catch2/catch.hpp>

#include "async/tcp.h"
#include "async/uv_loop.h"

using namespace ccrules;
using namespace std::chrono_literals;

namespace {

/// Where lookups of "hangs.test" wait; not for ever, so that a failure ends.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    reached_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, 30s, [this] { return open_; });
  }
  void wait_until_reached() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 30s, [this] { return reached_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false;
  bool open_ = false;
};

Gate& gate() {
  static auto* const gate = new Gate();
  return *gate;
}

Task<void> look_up(UvLoop& loop, ErrorCode& why) {
  const auto found = co_await resolve(loop, "hangs.test", 80, 10ms, StopToken());
  why = found.ok() ? ErrorCode::kInternal : found.error().code;
  loop.stop();
}

}  // namespace

// Stands before the C library's in this program.
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** found) {
  if (node != nullptr && std::string_view(node) == "hangs.test") {
    gate().pass();
    return EAI_FAIL;
  }
  static const auto next = reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  return next(node, service, hints, found);
}

TEST_CASE("a loop ends although the system still looks up a name that nobody waits for") {
  const auto began = std::chrono::steady_clock::now();
  ErrorCode why = ErrorCode::kInternal;
  bool worked = false;
  {
    UvLoop loop;
    spawn(look_up(loop, why));
    gate().wait_until_reached();  // one that did not begin is taken back when its time is over
    loop.run();
    loop.offload([&worked] { worked = true; }, [] {});
  }
  CHECK(why == ErrorCode::kUpstreamTimeout);
  CHECK(worked);  // what uses the program's memory is waited for
  CHECK(std::chrono::steady_clock::now() - began < 20s);
  CHECK(UvLoop::leaves_lookups());
  gate().open();
}
