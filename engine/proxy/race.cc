#include "proxy/race.h"

#include <utility>

#include "http/wait.h"

namespace ccrules::proxy {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kUntilOneEnds{0};

}  // namespace

Task<void> Race::begin(milliseconds patience) {
  start(first_);
  if (!first_.over()) co_await wait(patience);
}

void Race::join(Try& second) {
  second_ = &second;
  start(second);
}

Task<Race::Outcome> Race::outcome() {
  while (!first_.won() && !refused() && !second_won() && running_ > 0) co_await wait(kUntilOneEnds);
  Outcome outcome;
  outcome.counts = &first_;
  if (second_ == nullptr) co_return outcome;

  const bool first_counts = first_.won() || (refused() && !second_won());
  outcome.counts = first_counts ? &first_ : second_;
  outcome.loser = first_counts ? second_ : &first_;
  outcome.called_off = !outcome.loser->over();
  if (outcome.called_off) outcome.loser->stop->request_stop(StopReason::kClientGone);
  while (running_ > 0) co_await wait(kUntilOneEnds);
  co_return outcome;
}

void Race::start(Try& runner) {
  runner.stop = std::make_unique<StopSource>(stop_);
  runner.tried.may_be_beside = true;
  ++running_;
  spawn(run(*this, runner));
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

Task<void> Race::wait(milliseconds patience) {
  http::Wait wait(worker_.loop, patience, StopToken());
  waiting_ = &wait;
  (void)co_await wait;  // who asks looks for himself
  waiting_ = nullptr;
}

}  // namespace ccrules::proxy
