#include "proxy/attempts.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/limits.h"
#include "core/log.h"
#include "proxy/circuit.h"
#include "proxy/lanes.h"
#include "proxy/paying.h"
#include "proxy/race.h"
#include "proxy/rate_limit.h"
#include "proxy/verdict.h"
#include "tokens/ceiling.h"

namespace ccrules::proxy {
namespace {

using std::chrono::milliseconds;

/// False when what is asked may change something at a provider, or when nobody waits for it: it is sent once at a time.
bool may_ask_twice(const Ask& ask) {
  if (ask.head->path().ends_with("/batches")) return false;
  auto document = json::Document::open_view(*ask.body);
  return document.ok() && tokens::ceiling_of(*ask.outline, *document).all_here;
}

/// The attempts at one request: at which target they are, and what became of them.
class Attempts {
 public:
  Attempts(Worker& worker, const Ask& ask, Visit& visit)
      : worker_(worker), ask_(ask), visit_(visit), targets_(ask.decision->targets) {
    arrive();
  }

  [[nodiscard]] const rules::Target& target() const { return targets_[at_]; }
  [[nodiscard]] std::int64_t now_ms() const { return worker_.loop.now_ms(); }
  /// To the next target; false when there is none.
  bool move_on();
  void add_next(rules::Target target) { targets_.insert(targets_.begin() + static_cast<std::ptrdiff_t>(at_) + 1, std::move(target)); }
  /// Counts the attempt, which follows at once.
  void begin(Try& attempt);
  /// So long the attempt that begins now may give nothing before it gets another one beside it; zero: for ever.
  [[nodiscard]] milliseconds alone_for() const;
  /// The attempt, and another one beside it where it is slow: the first that answers wins.
  /// @param second the one beside it, when what is returned is its outcome, which the attempts then have come to
  Task<Result<std::unique_ptr<FirstReply>>> race(Try& first, std::unique_ptr<Try>& second, StopToken stop);
  /// The target is not asked.
  /// @return true: `reason` is what failure() tells
  bool pass_by(Error reason);
  /// Gives the attempt its lane where the provider has several. False, and the target passed by, when all rest.
  bool take_lane(Try& attempt);
  /// A try after a while may take every lane again.
  void forget_tried_lanes() { arrive(); }
  /// What is known to be wrong when no target is left.
  Error failure() { return *std::move(failure_); }
  void note_answer(Try& attempt, const FirstReply& answer);
  /// The client gets this answer: from now on the conversation holds what this model has thought.
  void note_used();
  void note_failure(Try& attempt, Error& error);
  /// The same again without what the provider said it does not take.
  bool goes_again_without_refused();
  Next after_answer(const FirstReply& attempt);
  Next after_error(const Error& error);
  /// What comes next must fit into the budgets.
  Task<Result<void>> afford(const Next& next, bool answered);

 private:
  [[nodiscard]] std::string target_name() const { return target_text(target()); }
  [[nodiscard]] int most_attempts() const;
  [[nodiscard]] bool is_last() const { return visit_.row.attempts >= most_attempts(); }
  /// An attempt beside `first`: on another lane of its provider, else at the next target that takes requests, else the same again.
  /// Null when there is none, or it may not be.
  Task<std::unique_ptr<Try>> beside(const Try& first);
  std::unique_ptr<Try> find_beside(const Try& first);
  std::unique_ptr<Try> at(std::size_t place);
  /// The other one has won, or both have failed and it is not the one that counts.
  void note_loser(Try& loser, bool called_off);
  /// Its target is the one the attempts are at.
  void come_to(Try& beside);
  /// At a target, for the first time or anew.
  void arrive();

  Worker& worker_;
  const Ask& ask_;
  Visit& visit_;
  std::vector<rules::Target> targets_;
  std::size_t at_ = 0;
  int tries_here_ = 0;
  std::optional<LaneChoice> lanes_;  ///< of the target's provider, when it has several
  bool other_lane_helps_ = false;    ///< after the last failure
  int refusals_ = 0;              ///< of fields; the same request without them is no repetition
  std::optional<Error> failure_;  ///< of the last attempt
};

int Attempts::most_attempts() const { return std::max(visit_.policy->config->retry.max_attempts, 1) + refusals_; }

void Attempts::arrive() {
  lanes_.reset();
  const config::Provider* provider = visit_.policy->config->provider(target().provider);
  if (provider == nullptr || provider->lanes.empty()) return;
  lanes_.emplace(worker_.tallies.lanes, *provider, ask_.facts->identity->session);
}

bool Attempts::move_on() {
  tries_here_ = 0;
  visit_.without_reasoning = false;
  if (++at_ == targets_.size()) return false;
  arrive();
  return true;
}

bool Attempts::take_lane(Try& attempt) {
  if (!lanes_) return true;
  if (std::optional<LaneLease> lane = lanes_->next(now_ms())) {
    attempt.take(*std::move(lane));
    return true;
  }
  const config::Provider& provider = *visit_.policy->config->provider(target().provider);
  pass_by(lanes_rest(provider.id, worker_.tallies.lanes.wait_ms(provider, now_ms())));
  return false;
}

void Attempts::begin(Try& attempt) {
  ++visit_.row.attempts;
  const bool here = attempt.tried.target == target();
  if (here) ++tries_here_;
  attempt.tried.without_reasoning = here && visit_.without_reasoning;
  attempt.sent_ms = now_ms();
}

milliseconds Attempts::alone_for() const {
  const config::Provider* provider = visit_.policy->config->provider(target().provider);
  return provider == nullptr || is_last() ? milliseconds(0) : provider->hedge.after;
}

std::unique_ptr<Try> Attempts::at(std::size_t place) {
  const rules::Target& there = targets_[place];
  const config::Provider* provider = visit_.policy->config->provider(there.provider);
  if (provider == nullptr) return nullptr;
  const Circuits::Admission admission = worker_.tallies.circuits.admit(there.provider, now_ms());
  if (admission.pass == Circuits::Pass::kClosed) return nullptr;
  auto made = std::make_unique<Try>(worker_.tallies.circuits, there, admission.pass);
  if (admission.pass != Circuits::Pass::kFree) return nullptr;  // its trial is for a request of its own; the pass goes back
  made->place = place;
  if (provider->lanes.empty()) return made;
  std::optional<LaneLease> taken;
  if (place == at_) {
    taken = lanes_->next(now_ms());
  } else {
    made->lanes.emplace(worker_.tallies.lanes, *provider, ask_.facts->identity->session);
    taken = made->lanes->next(now_ms());
  }
  if (!taken) return nullptr;
  made->take(*std::move(taken));
  return made;
}

std::unique_ptr<Try> Attempts::find_beside(const Try& first) {
  if (first.lane != nullptr) {
    if (auto other_lane = at(at_)) return other_lane;
  }
  for (std::size_t place = at_ + 1; place < targets_.size(); ++place) {
    if (targets_[place] == target()) continue;
    if (auto next = at(place)) return next;
  }
  return first.lane == nullptr ? at(at_) : nullptr;
}

Task<std::unique_ptr<Try>> Attempts::beside(const Try& first) {
  if (!may_ask_twice(ask_)) co_return nullptr;
  std::unique_ptr<Try> second = find_beside(first);
  if (!second) co_return nullptr;
  std::optional<RateLease> share = take_beside(worker_, visit_);
  if (!share) co_return nullptr;
  second->rate = *std::move(share);
  const rules::Target there = second->tried.target;
  const bool affordable = co_await reserve_beside(worker_, visit_, first.tried.target, there, *ask_.decision, *ask_.outline);
  if (!affordable) co_return nullptr;
  co_return second;
}

Task<Result<std::unique_ptr<FirstReply>>> Attempts::race(Try& first, std::unique_ptr<Try>& second, StopToken stop) {
  const milliseconds patience = alone_for();
  Race race(worker_, ask_, visit_, first, stop);
  co_await race.begin(patience);
  if (race.is_open()) second = co_await beside(first);
  if (second && race.is_open()) {
    log::info(target_name() + " has given nothing for " + std::to_string(patience.count()) + " ms: " + target_text(second->tried.target) +
                  " is asked beside it",
              visit_.row.id);
    begin(*second);
    race.join(*second);
  } else {
    second.reset();
  }
  const Race::Outcome outcome = co_await race.outcome();
  if (outcome.loser != nullptr) note_loser(*outcome.loser, outcome.called_off);
  if (outcome.counts == second.get()) {
    come_to(*second);
  } else {
    second.reset();
  }
  co_return *std::move(outcome.counts->result);
}

void Attempts::come_to(Try& beside) {
  if (beside.place == at_) return;
  at_ = beside.place;
  tries_here_ = 1;
  lanes_.reset();
  if (beside.lanes) lanes_.emplace(*std::move(beside.lanes));
}

void Attempts::note_loser(Try& loser, bool called_off) {
  visit_.tried(std::move(loser.tried));
  if (loser.result->ok()) {
    const chat::Usage usage = usage_of(***loser.result);
    if (usage.empty()) {
      visit_.waste_prompt();
    } else {
      visit_.waste(usage);
    }
  } else if (called_off || loser.result->error().code == ErrorCode::kCancelled) {
    visit_.waste_prompt();
  } else {
    note_failure(loser, loser.result->error());
  }
  loser.result.reset();
}

bool Attempts::pass_by(Error reason) {
  log::info(target_name() + " is not asked: " + reason.message, visit_.row.id);
  if (failure_) return false;
  visit_.row.provider = target().provider;
  visit_.row.model = target().model;
  failure_ = std::move(reason);
  return true;
}

void Attempts::note_answer(Try& attempt, const FirstReply& answer) {
  attempt.pass.answered(now_ms(), worker_.clock.wall_us(), now_ms() - attempt.sent_ms);
  if (answer.lane.lane() != nullptr) worker_.tallies.lanes.answered(*answer.lane.lane());
}

void Attempts::note_used() {
  if (ask_.spoken != &dialect::anthropic()) return;
  const std::string conversation = SessionModels::conversation(*ask_.facts->identity, *ask_.outline);
  if (visit_.without_reasoning) {
    worker_.tallies.models.moved(conversation, target(), ask_.outline->messages);
  } else {
    worker_.tallies.models.answered(conversation, target(), ask_.outline->messages);
  }
}

void Attempts::note_failure(Try& attempt, Error& error) {
  const config::Snapshot& config = *visit_.policy->config;
  const rules::Target there{visit_.row.provider, visit_.row.model};
  const config::Provider* provider = config.provider(there.provider);
  const config::Lane* lane = attempt.lane;
  const bool asked_to_fail = provider != nullptr && provider->dialect == "sim";  // its failures say nothing about it
  other_lane_helps_ = lane != nullptr && note_lane_failure(worker_.tallies.lanes, *lane, config, error, visit_.answered, now_ms()) &&
                      lanes_ && lanes_->has_next(now_ms());
  if (other_lane_helps_) {
    // The provider is not down while it has another lane.
  } else if (speaks_against_provider(error) && !asked_to_fail) {
    attempt.pass.failed(config.circuit, error.retry_after_ms, now_ms(), worker_.clock.wall_us());
  } else if (error.origin == Origin::kUpstream) {
    attempt.pass.answered(now_ms(), worker_.clock.wall_us(), now_ms() - attempt.sent_ms);
  }
  if (error.code == ErrorCode::kUpstreamTimeout) visit_.waste_prompt();
  if (provider != nullptr) error.message = provider::without_key(std::move(error.message), *provider);
  log::info("attempt " + std::to_string(visit_.row.attempts) + " at " + target_text(there) + " failed: " + error.message, visit_.row.id);
}

bool Attempts::goes_again_without_refused() {
  if (visit_.refused.empty() || refusals_ >= limits::kRefusedRetries) return false;
  ++refusals_;
  --tries_here_;
  arrive();  // the lane is not to blame
  log::info(target_name() + " does not take " + visit_.refused + ": sent again without", visit_.row.id);
  return true;
}

Next Attempts::after_answer(const FirstReply& attempt) {
  Next next;
  next.give_up = true;
  if (!is_judged(rules::api::On::kResponse, *visit_.policy)) return next;
  chat::Usage usage;
  next = after_reply(ask_, visit_, attempt, visit_.elapsed_ms(), usage);
  // An answer that a rule does not like is better than none.
  const bool elsewhere = next.same_target || next.to || at_ + 1 < targets_.size();
  next.give_up = !next.deny && (next.give_up || is_last() || !elsewhere);
  if (next.give_up) return next;
  next.wasted = usage;
  if (next.deny) visit_.waste(usage);
  return next;
}

Next Attempts::after_error(const Error& error) {
  Next next;
  next.give_up = true;
  if (is_last()) return next;
  next = after_failure(worker_, ask_, visit_, error, tries_here_, other_lane_helps_);
  if (next.other_lane) --tries_here_;
  failure_ = error;
  return next;
}

Task<Result<void>> Attempts::afford(const Next& next, bool answered) {
  if (!answered) {
    if (!next.to) co_return Result<void>();
    co_return co_await reserve_more(worker_, visit_, *next.to, *ask_.decision, *ask_.outline);
  }
  const Visit::Waste wasted_before = visit_.wasted;
  visit_.waste(next.wasted);
  const rules::Target& then = next.to ? *next.to : targets_[next.same_target ? at_ : at_ + 1];
  http::Headers before = visit_.more_headers;
  Result<void> affordable = co_await reserve_more(worker_, visit_, then, *ask_.decision, *ask_.outline);
  if (affordable.ok()) {
    log::info("attempt " + std::to_string(visit_.row.attempts) + " at " + target_name() + " answered, and a rule goes on", visit_.row.id);
  } else {
    visit_.wasted = wasted_before;
    visit_.more_headers = std::move(before);  // the answer that is there is told
    settle_model(visit_);
  }
  co_return affordable;
}

}  // namespace

Task<Result<std::unique_ptr<FirstReply>>> first_reply(Worker& worker, const Ask& ask, Visit& visit,
                                                      StopToken stop) {
  Attempts attempts(worker, ask, visit);
  for (;;) {
    const Circuits::Admission admission = worker.tallies.circuits.admit(attempts.target().provider, attempts.now_ms());
    if (admission.pass == Circuits::Pass::kClosed) {
      attempts.pass_by(circuit_open(attempts.target().provider, admission.wait_ms));
      if (!attempts.move_on()) co_return attempts.failure();
      continue;
    }
    Try first(worker.tallies.circuits, attempts.target(), admission.pass);
    if (!attempts.take_lane(first)) {
      if (!attempts.move_on()) co_return attempts.failure();
      continue;
    }
    if (asks_another_model(visit, attempts.target())) {
      http::Headers before = visit.more_headers;
      const Result<void> affordable = co_await reserve_more(worker, visit, attempts.target(), *ask.decision, *ask.outline);
      if (!affordable.ok()) {
        const bool is_told = attempts.pass_by(affordable.error());
        const bool goes_on = attempts.move_on();
        if (goes_on || !is_told) visit.more_headers = std::move(before);
        if (!goes_on) co_return attempts.failure();
        continue;
      }
    } else if (visit.wasted.nanousd > 0) {
      CCR_CO_CHECK(co_await reserve_more(worker, visit, attempts.target(), *ask.decision, *ask.outline));
    }
    std::unique_ptr<Try> second;
    attempts.begin(first);
    Task<Result<std::unique_ptr<FirstReply>>> trying = attempts.alone_for().count() > 0
                                                           ? attempts.race(first, second, stop)
                                                           : try_target(worker, ask, visit, std::move(first.lease), first.tried, stop);
    auto attempt = co_await std::move(trying);
    Try& it = second ? *second : first;
    visit.tried(std::move(it.tried));
    settle_model(visit);
    if (stop.stopped()) {
      if (!attempt.ok()) visit.abandon();
      co_return attempt;
    }

    Next next;
    if (attempt.ok()) {
      attempts.note_answer(it, **attempt);
      next = attempts.after_answer(**attempt);
    } else {
      attempts.note_failure(it, attempt.error());
      if (attempts.goes_again_without_refused()) continue;
      next = attempts.after_error(attempt.error());
    }
    if (next.deny) co_return *std::move(next.deny);
    if (next.give_up && attempt.ok()) attempts.note_used();
    if (next.give_up) co_return attempt;

    const Result<void> affordable = co_await attempts.afford(next, attempt.ok());
    if (!affordable.ok() && attempt.ok()) {
      attempts.note_used();  // after all
      co_return attempt;
    }
    CCR_CO_CHECK(affordable);
    if (next.other_lane) continue;
    if (next.same_target) {
      attempts.forget_tried_lanes();
      CCR_CO_CHECK(co_await sleep_for(worker.loop, next.wait, stop));
      continue;
    }
    if (next.to) attempts.add_next(*std::move(next.to));
    if (!attempts.move_on()) co_return attempt;
  }
}

}  // namespace ccrules::proxy
