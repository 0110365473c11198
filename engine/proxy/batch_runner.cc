#include "proxy/batch_runner.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "core/json.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"
#include "http/server.h"
#include "proxy/serve.h"

namespace ccrules::proxy {
namespace {

/// A request without a client's connection: its answer is gathered.
class Inner final : public http::Exchange {
 public:
  Inner(http::RequestHead head, std::string body, StopToken stop) : head_(std::move(head)), body_(std::move(body)), stop_(stop) {}

  [[nodiscard]] const http::RequestHead& head() const noexcept override { return head_; }
  [[nodiscard]] StopToken stop() const noexcept override { return stop_; }
  [[nodiscard]] bool peer_is_loopback() const noexcept override { return true; }
  [[nodiscard]] std::string_view peer() const noexcept override { return "batch"; }
  Task<Result<std::string>> read_body(std::size_t most_bytes) override {
    if (body_.size() > most_bytes) {
      Error error = bad_request("the request is larger than limits.body (" + std::to_string(most_bytes) + " bytes)");
      error.code = ErrorCode::kTooLarge;
      error.http_status = 413;
      co_return error;
    }
    (void)json::padded(body_);  // makes room; the view is the reader's affair
    co_return std::move(body_);
  }
  [[nodiscard]] bool accepts(http::Coding coding) const noexcept override { return coding == http::Coding::kIdentity; }
  [[nodiscard]] bool head_sent() const noexcept override { return started_; }
  Task<Result<void>> send(int status, const http::Headers& headers, std::string_view body) override {
    start(status, headers);
    answer_ = body;
    co_return Result<void>();
  }
  void start(int status, const http::Headers& headers) override {
    started_ = true;
    status_ = status;
    retry_after_ms_ = http::retry_after_ms(headers, 0);
    told_not_to_retry_ = headers.get("x-should-retry") == "false";
  }
  Task<Result<void>> write(std::string_view bytes) override {
    answer_ += bytes;
    co_return Result<void>();
  }
  Task<Result<void>> finish(std::string_view last) override {
    answer_ += last;
    co_return Result<void>();
  }
  void abort() noexcept override { aborted_ = true; }

  /// 0: there is no answer.
  [[nodiscard]] int status() const noexcept { return aborted_ ? 0 : status_; }
  [[nodiscard]] const std::string& answer() const noexcept { return answer_; }
  /// True when the same request may be answered later.
  [[nodiscard]] bool passes() const noexcept {
    return !told_not_to_retry_ && (status() == 429 || status() == 503 || status() == 529);
  }
  [[nodiscard]] std::int64_t retry_after_ms() const noexcept { return retry_after_ms_; }

 private:
  http::RequestHead head_;
  std::string body_;
  StopToken stop_;
  std::string answer_;
  int status_ = 0;
  std::int64_t retry_after_ms_ = -1;
  bool started_ = false, aborted_ = false, told_not_to_retry_ = false;
};

http::RequestHead head_of(const ledger::BatchJob& job) {
  http::RequestHead head;
  head.method = "POST";
  head.target = "/v1/messages/batches";
  head.headers.add("content-type", "application/json");
  for (const std::string_view line : text::split(job.headers, '\n')) {
    const std::size_t colon = line.find(": ");
    if (colon != std::string_view::npos) head.headers.add(line.substr(0, colon), line.substr(colon + 2));
  }
  return head;
}

constexpr const char* kNoAnswer =
    R"({"type":"error","error":{"type":"api_error","message":"the proxy could not answer this request; send it again"}})";

void report(const Result<void>& kept) {
  if (!kept) log::error("a batch's state cannot be kept: " + kept.error().message);
}

}  // namespace

BatchRunner::Alarm::Alarm(BatchRunner& runner)
    : Timer([](Timer& timer) noexcept { static_cast<Alarm&>(timer).owner.wake(); }), owner(runner) {}

BatchRunner::BatchRunner(Worker& worker) : worker_(worker) { worker.batch_runner = this; }

void BatchRunner::wake() {
  if (worker_.batches == nullptr) return;
  while (!stopping_ && lanes_ < limits::kBatchLanes) {
    ++lanes_;
    spawn(lane());
  }
}

void BatchRunner::stop(std::function<void()> idle) {
  stopping_ = true;
  alarm_.stop();
  idle_ = std::move(idle);
  stop_.request_stop(StopReason::kShutdown);
  rest();
}

void BatchRunner::rest() {
  if (!stopping_ || lanes_ > 0 || !idle_) return;
  const auto idle = std::exchange(idle_, nullptr);
  idle();
}

Task<void> BatchRunner::lane() {
  ledger::Batches& batches = *worker_.batches;
  std::optional<std::int64_t> due_us;
  while (!stopping_) {
    Result<std::optional<ledger::BatchJob>> claimed = internal_error("nobody looked");
    const std::int64_t now_us = worker_.clock.wall_us();
    std::function<void()> look = [&batches, &claimed, &due_us, now_us] {
      claimed = batches.claim(now_us);
      if (claimed.ok() && *claimed) return;
      const auto next = batches.next_due_us();
      due_us = next.ok() ? *next : std::nullopt;
    };
    co_await on_pool(worker_.loop, std::move(look));
    if (!claimed.ok()) log::error("batches cannot be read: " + claimed.error().message);
    if (!claimed.ok() || !*claimed) break;
    ledger::BatchJob job = **std::move(claimed);
    co_await run(std::move(job));
  }
  --lanes_;
  if (!stopping_ && due_us) {
    const std::int64_t wait_us = std::max<std::int64_t>(*due_us - worker_.clock.wall_us(), 1'000'000);
    alarm_.start(worker_.loop.timers(), std::chrono::milliseconds(wait_us / 1000));
  }
  rest();
}

Task<void> BatchRunner::run(ledger::BatchJob job) {
  ledger::Batches& batches = *worker_.batches;
  Inner inner(head_of(job), job.params_json, stop_.token());
  if (!stopping_) co_await serve_item(worker_, inner, job.owner);
  const std::int64_t now_us = worker_.clock.wall_us();
  std::function<void()> keep;
  if (stopping_ && inner.status() != 200) {
    keep = [&batches, &job, now_us] { report(batches.put_back(job, now_us, false)); };
  } else if (inner.passes() && job.tries + 1 < limits::kBatchTries) {
    const std::int64_t pause_ms = std::max(inner.retry_after_ms(), std::chrono::milliseconds(limits::kBatchPause).count());
    const std::int64_t due_us = now_us + pause_ms * 1000;
    keep = [&batches, &job, due_us] { report(batches.put_back(job, due_us, true)); };
  } else {
    const bool good = inner.status() == 200;
    const std::string body = inner.status() == 0 ? kNoAnswer : inner.answer();
    keep = [&batches, &job, body, good, now_us] {
      report(batches.finish(job, good ? ledger::BatchState::kSucceeded : ledger::BatchState::kErrored, body, now_us));
    };
  }
  co_await on_pool(worker_.loop, std::move(keep));
}

}  // namespace ccrules::proxy
