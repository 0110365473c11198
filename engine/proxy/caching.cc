#include "proxy/caching.h"

#include <chrono>
#include <functional>
#include <utility>

#include "cache/store.h"
#include "core/limits.h"
#include "http/wait.h"
#include "ledger/cost.h"
#include "proxy/cache_question.h"
#include "proxy/relay.h"

namespace ccrules::proxy {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kLeastBody = 64;  ///< Shorter ones move their bytes when they are moved; no request is so short.
constexpr int kJoins = 3;  ///< Answers on their way that may break under a request before it asks for itself alone.

rules::CachePolicy policy_of(const Visit& visit, const rules::Decision& decision) {
  rules::CachePolicy policy = decision.cache.value_or(rules::CachePolicy());
  if (policy.ttl.count() < 0) policy.ttl = visit.policy->config->cache.ttl;
  if (policy.scope.empty()) policy.scope = "user";
  return policy;
}

/// Wakes what waits on this loop, from any thread.
class Bell {
 public:
  explicit Bell(Loop& loop) : loop_(loop), state_(std::make_shared<State>()) {
    ring_ = [&loop, state = state_] {
      loop.post([state] {
        if (http::Wait* waiting = std::exchange(state->waiting, nullptr)) waiting->wake();
      });
    };
  }
  ~Bell() { state_->waiting = nullptr; }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  [[nodiscard]] const std::function<void()>& ring() const { return ring_; }
  Task<http::Wait::Outcome> wait(milliseconds patience, StopToken stop) {
    http::Wait wait(loop_, patience, stop);
    state_->waiting = &wait;
    const http::Wait::Outcome outcome = co_await wait;
    state_->waiting = nullptr;
    co_return outcome;
  }

 private:
  struct State {
    http::Wait* waiting = nullptr;  ///< only touched on the loop's thread
  };
  Loop& loop_;
  std::shared_ptr<State> state_;
  std::function<void()> ring_;
};

/// An answer of the cache as the reply of a provider, whether all of it is there or it is still arriving.
class Replay final : public http::ReplyStream {
 public:
  Replay(Loop& loop, std::shared_ptr<cache::Answer> answer) : bell_(loop), reader_(std::move(answer)) {}

  [[nodiscard]] const cache::Answer& answer() const { return reader_.answer(); }
  /// Returns once somebody has answered, or has failed to.
  Task<Result<void>> arrival(StopToken stop) {
    while (reader_.wait_for_arrival(bell_.ring())) {
      const http::Wait::Outcome outcome = co_await bell_.wait(milliseconds(0), stop);
      if (outcome == http::Wait::Outcome::kStopped) co_return cancelled();
    }
    if (answer().state() == cache::Answer::State::kFailed) co_return reader_.failure();
    co_return Result<void>();
  }
  void describe(const std::string& request_id) {
    headers_.add("content-type", answer().source().content_type);
    headers_.add("request-id", request_id);
  }

  [[nodiscard]] int status() const noexcept override { return 200; }
  [[nodiscard]] const http::Headers& headers() const noexcept override { return headers_; }
  Task<Result<http::Chunk>> read(milliseconds patience, StopToken stop) override {
    for (;;) {
      bytes_.clear();
      cache::Reader::Progress progress = reader_.read(limits::kReadChunkBytes, bytes_, bell_.ring());
      http::Chunk chunk;
      chunk.bytes = bytes_;
      chunk.end = progress.end;
      if (progress.failure && bytes_.empty()) co_return *std::move(progress.failure);
      if (chunk.end || !bytes_.empty()) co_return chunk;
      const http::Wait::Outcome outcome = co_await bell_.wait(patience, stop);
      if (outcome == http::Wait::Outcome::kStopped) co_return cancelled();
      chunk.quiet = true;
      if (outcome == http::Wait::Outcome::kQuiet) co_return chunk;
    }
  }

 private:
  Bell bell_;
  cache::Reader reader_;
  http::Headers headers_;
  std::string bytes_;
};

enum class Served : std::uint8_t { kYes, kAskAgain };

/// What it would have cost, in nano-USD.
std::int64_t saving(const Visit& visit) {
  return ledger::cost_nanousd(visit.row.usage, visit.row.provider, visit.row.model, *visit.policy->config).value_or(0);
}

Task<Result<Served>> replay(Worker& worker, http::Exchange& exchange, Visit& visit, Plan& plan, std::shared_ptr<cache::Answer> answer) {
  const dialect::Dialect& spoken = *plan.spoken;
  auto stream = std::make_unique<Replay>(worker.loop, answer);
  auto arrived = co_await stream->arrival(exchange.stop());
  if (!arrived.ok()) {
    if (!exchange.stop().stopped() && arrived.error().origin != Origin::kUpstream) co_return Served::kAskAgain;
    visit.row.cache = "miss";
    co_return std::move(arrived).error();
  }
  const cache::Source& source = answer->source();
  if (visit.policy->config->provider(source.provider) == nullptr) co_return Served::kAskAgain;
  stream->describe(visit.row.id);
  visit.row.cache = "hit";
  visit.row.cost_nanousd = 0;
  const Ask ask = ask_of(exchange, plan);
  StopSource within(exchange.stop());
  Replayed replayed;
  replayed.stream = std::move(stream);
  replayed.source = &source;
  if (answer->question().dialect == spoken.name()) replayed.loss = source.loss;
  auto reply = co_await reread(worker, ask, std::move(replayed), visit, within.token());
  Result<void> relayed;
  if (reply.ok()) {
    relayed = co_await relay(worker, **reply, spoken, visit, exchange);
  } else {
    relayed = std::move(reply).error();
  }
  const bool told = exchange.head_sent() || exchange.stop().stopped();
  if (!relayed.ok() && !told) {
    if (answer->state() == cache::Answer::State::kComplete) worker.tallies.answers.drop(*answer);
    visit.row.cache = "miss";
    visit.row.cost_nanousd.reset();
    visit.row.error.clear();
    co_return Served::kAskAgain;
  }
  worker.tallies.answers.hit(*answer, saving(visit));
  if (!relayed.ok()) co_return std::move(relayed).error();
  co_return Served::kYes;
}

}  // namespace

Task<Result<bool>> serve_cached(Worker& worker, http::Exchange& exchange, Visit& visit, Plan& plan, std::string& body, Sending& sending) {
  const dialect::Dialect& spoken = *plan.spoken;
  const rules::CachePolicy policy = policy_of(visit, plan.decision);
  const std::string_view wish = exchange.head().headers.get("cache-control");
  auto context = context_of(worker, exchange.head(), spoken, visit, plan.decision, policy);
  const bool unwanted = wish.find("no-store") != std::string_view::npos || body.size() < kLeastBody;
  if (!context || unwanted) co_return false;
  cache::Store& store = worker.tallies.answers;
  store.resize(visit.policy->config->cache.max_bytes);

  Asked asked;
  asked.question.context = *std::move(context);
  asked.question.dialect = spoken.name();
  asked.question.family = family_of(asked.question.context, plan.outline, store.seed());
  asked.question.sample = sample_of(asked.question.family, spoken.name(), body, store.seed());
  asked.question.text_bytes = plan.outline.text_bytes;
  asked.body = body;
  asked.plan = &plan;

  cache::Store::Age age{worker.loop.now_ms(), policy.ttl};
  if (wish.find("no-cache") != std::string_view::npos) age.ttl = milliseconds(0);  // a new answer, for the others too
  for (int joins = 0; joins < kJoins; ++joins) {
    std::shared_ptr<cache::Answer> answer = find_answer(store, asked, age);
    if (answer) {
      asked.compared = {};  // nobody counts what it holds
      CCR_CO_TRY(served, co_await replay(worker, exchange, visit, plan, std::move(answer)));
      if (served == Served::kYes) co_return true;
      continue;
    }
    if (hangs_on_kept_state(plan)) co_return false;
    asked.question.body = std::move(body);  // its bytes stay where they are: the plan has views into them
    std::shared_ptr<cache::Answer> mine = store.ask(asked.question, age, asked.compared);
    if (!mine) {
      body = std::move(asked.question.body);
      continue;
    }
    plan.body = &mine->question().body;
    sending.share(std::make_unique<Asking>(worker, exchange, std::move(mine), Asking::Terms{policy, plan.decision.targets.front()}));
    break;
  }
  store.missed();
  visit.row.cache = "miss";
  co_return false;
}

}  // namespace ccrules::proxy
