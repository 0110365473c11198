#include "proxy/ledger_reads.h"

#include <utility>

#include "core/limits.h"

namespace ccrules::proxy {

bool LedgerReads::Waiting::await_suspend(std::coroutine_handle<> waiter) {
  const std::lock_guard lock(reads_.mutex_);
  if (reads_.reading_ < limits::kLedgerReads) {
    ++reads_.reading_;
    return false;
  }
  refused_ = reads_.waiting_.size() >= limits::kLedgerReadsWaiting;
  if (refused_) return false;
  reads_.waiting_.push_back({&loop_, waiter});
  return true;
}

Result<LedgerReads::Turn> LedgerReads::Waiting::await_resume() {
  if (!refused_) return Turn(reads_);
  constexpr std::int64_t kComeBackMs = 5000;
  Error error;
  error.code = ErrorCode::kUnsupported;
  error.http_status = 503;
  error.retry_after_ms = kComeBackMs;
  error.message = "too many are reading the ledger at once; ask again in a few seconds";
  return error;
}

/// The turn goes on to who waits longest.
void LedgerReads::give_back() noexcept {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty()) {
    --reading_;
    return;
  }
  const Waiter next = waiting_.front();
  waiting_.pop_front();
  next.loop->post([handle = next.handle] { handle.resume(); });
}

std::shared_ptr<const std::string> LedgerReads::remembered(const std::string& question, std::int64_t now_ns) const {
  constexpr std::int64_t kShare = 9;
  const std::lock_guard lock(mutex_);
  const auto found = answers_.find(question);
  if (found == answers_.end()) return nullptr;
  const Answer& answer = found->second;
  return now_ns - answer.read_ns < kShare * (answer.read_ns - answer.began_ns) ? answer.text : nullptr;
}

void LedgerReads::remember(const std::string& question, std::shared_ptr<const std::string> answer, std::int64_t began_ns,
                           std::int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  if (answers_.size() >= limits::kLedgerAnswers) answers_.clear();
  answers_[question] = {std::move(answer), began_ns, now_ns};
}

bool LedgerReads::open_stream() noexcept {
  if (streams_.fetch_add(1, std::memory_order_relaxed) < limits::kNewsStreams) return true;
  close_stream();
  return false;
}

}  // namespace ccrules::proxy
