#include "proxy/race.h"

#include <utility>

#include "http/wait.h"

namespace ccrules::proxy {

void Race::start(Try& runner) {
  runner.stop = std::make_unique<StopSource>(stop_);
  runner.tried.may_be_beside = true;
  ++running_;
  spawn(run(*this, runner));
}

Task<void> Race::wait(std::chrono::milliseconds patience) {
  http::Wait wait(worker_.loop, patience, StopToken());
  waiting_ = &wait;
  (void)co_await wait;  // who asks looks for himself
  waiting_ = nullptr;
}

Task<void> Race::run(Race& race, Try& runner) {
  auto result = co_await try_target(race.worker_, race.ask_, race.visit_, std::move(runner.lease), runner.tried, runner.stop->token());
  if (result.ok()) (*result)->alone = std::move(runner.stop);
  runner.result.emplace(std::move(result));
  race.ended();  // neither lives on from here
}

void Race::ended() {
  --running_;
  if (http::Wait* const waiting = std::exchange(waiting_, nullptr)) waiting->wake();
}

}  // namespace ccrules::proxy
