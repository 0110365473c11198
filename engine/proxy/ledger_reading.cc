#include "proxy/ledger_reading.h"

#include <atomic>
#include <utility>

#include "async/loop.h"
#include "core/limits.h"

namespace ccrules::proxy {
namespace {

/// Ends a reading whose client has left.
class Abandon final : public StopCallback {
 public:
  explicit Abandon(const StopToken& stop) : StopCallback([](StopCallback& self) noexcept {
      static_cast<Abandon&>(self).given_up.store(true, std::memory_order_relaxed);
    }) {
    if (stop.stopped()) {
      given_up = true;
    } else {
      stop.subscribe(*this);
    }
  }
  std::atomic<bool> given_up{false};
};

}  // namespace

Error unavailable(std::string message) {
  Error error;
  error.code = ErrorCode::kUnsupported;
  error.http_status = 503;
  error.message = std::move(message);
  return error;
}

Task<Result<std::string>> read_ledger(Worker& worker, StopToken stop, const Reading& reading) {
  if (worker.ledger == nullptr) co_return unavailable("the ledger could not be opened: nothing is recorded (the log says why)");
  LedgerReads::Waiting waiting = worker.vitals.ledger_reads().turn(worker.loop);
  CCR_CO_TRY(turn, co_await waiting);
  Abandon abandon(stop);
  ledger::Source from(worker.ledger->path());
  from.most_time = limits::kLedgerReadTime;
  from.given_up = &abandon.given_up;
  Result<std::string> text = cancelled();
  std::function<void()> work = [&] { text = reading(from); };
  co_await on_pool(worker.loop, std::move(work));
  (void)turn;  // ends here
  co_return text;
}

Task<Result<std::shared_ptr<const std::string>>> read_or_remember(Worker& worker, StopToken stop, std::string question, Reading reading) {
  LedgerReads& reads = worker.vitals.ledger_reads();
  if (auto known = reads.remembered(question, worker.loop.now_ns())) co_return known;
  const std::int64_t began_ns = worker.loop.now_ns();
  CCR_CO_TRY(text, co_await read_ledger(worker, stop, reading));
  auto answer = std::make_shared<const std::string>(std::move(text));
  reads.remember(question, answer, began_ns, worker.loop.now_ns());
  co_return answer;
}

}  // namespace ccrules::proxy
