#include "async/loop.h"

#include <thread>

#include <catch2/catch.hpp>

#include "async/sim_loop.h"
#include "async/timer_queue.h"
#include "async/uv_loop.h"

using namespace ccrules;
using namespace std::chrono_literals;

namespace {

struct Bell : Timer {
  Bell(SimLoop& on, std::vector<std::int64_t>& into, std::int64_t since)
      : Timer([](Timer& timer) noexcept {
          auto& bell = static_cast<Bell&>(timer);
          bell.rung.push_back(bell.loop.now_ms() - bell.begin);
        }),
        loop(on),
        rung(into),
        begin(since) {}
  SimLoop& loop;
  std::vector<std::int64_t>& rung;
  std::int64_t begin;
};

Task<void> nap(Loop& loop, std::chrono::milliseconds time, StopToken stop, std::string& outcome) {
  const auto slept = co_await sleep_for(loop, time, stop);
  outcome = slept.ok() ? "slept" : error_code_name(slept.error().code);
}

}  // namespace

TEST_CASE("timers fire in order of time, moved ones at their new time, stopped ones not at all") {
  SimLoop loop;
  std::vector<std::int64_t> rung;
  const std::int64_t begin = loop.now_ms();
  Bell a(loop, rung, begin);
  Bell b(loop, rung, begin);
  Bell c(loop, rung, begin);
  Bell d(loop, rung, begin);
  a.start(loop.timers(), 300ms);
  b.start(loop.timers(), 100ms);
  c.start(loop.timers(), 200ms);
  d.start(loop.timers(), 50ms);
  b.start(loop.timers(), 400ms);  // later
  a.start(loop.timers(), 150ms);  // earlier
  d.stop();
  loop.run();
  CHECK(rung == std::vector<std::int64_t>{150, 200, 400});
}

TEST_CASE("many timers started, moved and destroyed in disorder fire in order") {
  SimLoop loop;
  std::vector<std::int64_t> rung;
  const std::int64_t begin = loop.now_ms();
  std::vector<std::unique_ptr<Bell>> bells;
  std::uint64_t seed = 7;
  const auto random = [&seed](std::uint64_t below) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % below;
  };
  std::size_t expected = 0;
  for (int at = 0; at < 500; ++at) {
    bells.push_back(std::make_unique<Bell>(loop, rung, begin));
    bells.back()->start(loop.timers(), std::chrono::milliseconds(random(1000)));
    if (random(3) == 0)
      bells[random(bells.size())]->start(loop.timers(), std::chrono::milliseconds(random(2000)));
    if (random(4) == 0) bells[random(bells.size())]->stop();
    if (random(5) == 0) bells.erase(bells.begin() + static_cast<std::ptrdiff_t>(random(bells.size())));
  }
  for (const auto& bell : bells) expected += bell->running() ? 1u : 0u;
  loop.run();
  CHECK(rung.size() == expected);
  CHECK(std::is_sorted(rung.begin(), rung.end()));
}

TEST_CASE("virtual time jumps to the next timer and run_for stops the clock where it was told") {
  SimLoop loop;
  std::string outcome;
  const std::int64_t begin = loop.now_ms();
  spawn(nap(loop, 24h, StopToken(), outcome));
  loop.run_for(1h);
  CHECK(outcome.empty());
  CHECK(loop.now_ms() - begin == 3'600'000);
  loop.run();
  CHECK(outcome == "slept");
  CHECK(loop.now_ms() - begin == 86'400'000);
}

TEST_CASE("a stop ends a sleep with cancelled, before it or during it, and a child stops with its parent") {
  SimLoop loop;
  StopSource parent;
  StopSource child(parent.token());
  std::string outcome;
  spawn(nap(loop, 1h, child.token(), outcome));
  CHECK(outcome.empty());
  parent.request_stop(StopReason::kShutdown);
  CHECK(outcome == "cancelled");
  CHECK(child.reason() == StopReason::kShutdown);
  std::string late;
  spawn(nap(loop, 1h, child.token(), late));
  CHECK(late == "cancelled");
}

TEST_CASE("a deadline that is moved in time does not fire, and fires once when it is not") {
  SimLoop loop;
  StopSource stop;
  Deadline deadline(loop, stop);
  deadline.set(100ms);
  loop.run_for(90ms);
  deadline.set(100ms);
  loop.run_for(90ms);
  CHECK_FALSE(stop.stopped());
  deadline.clear();
  loop.run_for(1h);
  CHECK_FALSE(stop.stopped());
  deadline.set(5ms);
  loop.run();
  CHECK(stop.reason() == StopReason::kDeadline);
}

TEST_CASE("a stop source may be destroyed by the coroutine it wakes") {
  static SimLoop* loop;
  const auto with_own_deadline = [](std::string& outcome) -> Task<void> {
    StopSource stop;
    Deadline deadline(*loop, stop);
    deadline.set(10ms);
    const auto slept = co_await sleep_for(*loop, 1h, stop.token());
    outcome = slept.ok() ? "slept" : "stopped";
  };
  SimLoop own;
  loop = &own;
  const std::ptrdiff_t frames = g_frames_alive;
  std::string outcome;
  spawn(with_own_deadline(outcome));
  own.run();
  CHECK(outcome == "stopped");
  CHECK(g_frames_alive == frames);
}

TEST_CASE("a million awaits in a row need a constant stack") {
  const auto add = [](int a) -> Task<int> { co_return a + 1; };
  const auto many = [](auto next, int& sum) -> Task<void> {
    for (int at = 0; at < 1'000'000; ++at) sum = co_await next(sum);
  };
  int sum = 0;
  spawn(many(add, sum));
  CHECK(sum == 1'000'000);
}

namespace {

Task<void> count_far_away(Loop& loop, std::thread::id& worked_on, std::thread::id& resumed_on, bool& done) {
  std::function<void()> work = [&worked_on] { worked_on = std::this_thread::get_id(); };
  co_await on_pool(loop, std::move(work));
  resumed_on = std::this_thread::get_id();
  done = true;
  loop.stop();
}

}  // namespace

TEST_CASE("work for the pool runs on another thread and its task goes on on the loop's") {
  UvLoop loop;
  std::thread::id worked_on, resumed_on;
  bool done = false;
  spawn(count_far_away(loop, worked_on, resumed_on, done));
  loop.run();
  CHECK(done);
  CHECK(worked_on != std::this_thread::get_id());
  CHECK(resumed_on == std::this_thread::get_id());
}
