#include <coroutine>
#include <functional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "async/task.h"
#include "core/result.h"

// g++ 12.2 frees some temporaries of a co_await expression twice: aggregates made with braces inside the
// expression, and lambdas with captures made there. Below stand the forms we write instead; a count of living
// objects shows that each is made and freed once. tests/tidy keeps the other forms out of the source.
using namespace ccrules;

namespace {

int g_alive = 0;

struct Tracked {
  explicit Tracked(std::string wanted) : text(std::move(wanted)) { ++g_alive; }
  Tracked(const Tracked& other) : text(other.text) { ++g_alive; }
  Tracked(Tracked&& other) noexcept : text(std::move(other.text)) { ++g_alive; }
  Tracked& operator=(const Tracked&) = delete;
  ~Tracked() { --g_alive; }
  std::string text;
};

struct Frame {
  Tracked head;
  Tracked body;
  int number = 0;
};

std::coroutine_handle<> g_waiting;

/// An awaiter with a constructor.
struct Pause {
  explicit Pause(std::string what) : text(std::move(what)) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) noexcept { g_waiting = waiter; }
  std::size_t await_resume() const noexcept { return text.size(); }
  std::string text;
};

void resume_all() {
  while (g_waiting) std::exchange(g_waiting, {}).resume();
}

const char* const kLong = "a text that is too long for the small string buffer";

Task<std::size_t> take(Frame frame) {
  const std::size_t paused = co_await Pause(frame.head.text);
  co_return paused + frame.body.text.size();
}

Task<std::size_t> call(std::function<Task<std::size_t>()> function) {
  auto made = function();
  co_return co_await std::move(made);
}

Task<void> named_aggregate(std::size_t& out) {
  Frame frame{Tracked(kLong), Tracked(kLong), 1};
  out = co_await take(std::move(frame));
}

Task<void> named_lambda(std::size_t& out) {
  const Tracked captured(kLong);
  const auto function = [captured]() -> Task<std::size_t> {
    Frame frame{captured, captured, 1};
    return take(std::move(frame));
  };
  out = co_await call(function);
}

Task<void> awaiter_with_constructor(std::size_t& out) {
  out = co_await Pause(kLong);
}

Task<Result<Tracked>> result(bool good) {
  (void)co_await Pause(kLong);
  if (!good) co_return bad_request("no");
  co_return Tracked(kLong);
}

Task<Result<std::size_t>> tried(bool good) {
  CCR_CO_TRY(tracked, co_await result(good));
  co_return tracked.text.size();
}

Task<void> declaration_macro(bool good, std::size_t& out) {
  const auto got = co_await tried(good);
  out = got.ok() ? *got : 0;
}

Task<void> conditional(bool which, std::size_t& out) {
  // Both branches name their argument first: a temporary inside a conditional co_await is freed on the branch
  // not taken.
  if (which) {
    Frame frame{Tracked(kLong), Tracked(kLong), 1};
    out = co_await take(std::move(frame));
  } else {
    out = co_await Pause(kLong);
  }
}

std::size_t run(Task<void> task) {
  spawn(std::move(task));
  resume_all();
  return 0;
}

}  // namespace

TEST_CASE("the forms we write make and free every object of a co_await once") {
  const std::ptrdiff_t frames = g_frames_alive;
  const std::size_t size = std::string(kLong).size();
  std::size_t out = 0;
  run(named_aggregate(out));
  CHECK(out == 2 * size);
  run(named_lambda(out));
  CHECK(out == 2 * size);
  run(awaiter_with_constructor(out));
  CHECK(out == size);
  run(declaration_macro(true, out));
  CHECK(out == size);
  run(declaration_macro(false, out));
  CHECK(out == 0);
  run(conditional(true, out));
  CHECK(out == 2 * size);
  run(conditional(false, out));
  CHECK(out == size);
  CHECK(g_alive == 0);
  CHECK(g_frames_alive == frames);
}
