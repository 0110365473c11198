#include "proxy/news_stream.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "ledger/analytics.h"
#include "proxy/budget.h"
#include "proxy/ledger_reading.h"

namespace ccrules::proxy {
namespace {

constexpr auto kRetryTime = std::chrono::seconds(2);  ///< How long a browser waits before it comes again.

/// What one look at the ledger brings.
struct Look {
  std::shared_ptr<ledger::News> news;
  std::int64_t after_seq = -1;
};

Task<Result<void>> look(Worker& worker, StopToken stop, Look& at) {
  at.news = std::make_shared<ledger::News>();
  const Reading reading = [into = at.news, after_seq = at.after_seq](const ledger::Source& from) -> Result<std::string> {
    CCR_TRY(found, ledger::news(from, after_seq, limits::kNewsRequests));
    *into = std::move(found);
    return std::string();
  };
  CCR_CO_TRY(unused, co_await read_ledger(worker, stop, reading));
  (void)unused;  // it has filled in the news
  at.after_seq = at.news->last_seq;
  co_return Result<void>();
}

/// The id of the last event that a client has had, when its stream broke off; -1: it had none.
std::int64_t resumed_after(const http::RequestHead& head) {
  const auto seq = text::to_int(head.headers.get("last-event-id"));
  return seq && *seq >= 0 ? *seq : -1;
}

/// Where a stream goes on that has been away: not farther back than what a dashboard shows.
std::int64_t place_after(std::int64_t had_seq, std::int64_t last_seq) {
  constexpr std::int64_t kMostMissed = 5 * limits::kNewsRequests;
  if (had_seq < 0 || had_seq > last_seq) return last_seq;  // none, or one of another ledger
  return std::max(had_seq, last_seq - kMostMissed);
}

/// One event; its id is the last request that it, or an event before it, has told.
void append_event(std::string& out, std::string_view name, std::int64_t seq, std::string_view data) {
  out.append("event: ").append(name).append("\nid: ").append(std::to_string(seq)).append("\ndata: ").append(data).append("\n\n");
}

/// The sums of one project (empty: all), and of the machine.
Task<Result<std::string>> sums_event(Worker& worker, StopToken stop, std::string project) {
  const std::int64_t now_us = worker.clock.wall_us();
  Reading of_project = [project, now_us](const ledger::Source& from) { return ledger::project_stats_json(from, project, now_us); };
  std::string about_project = "stream project " + project;
  CCR_CO_TRY(first, co_await read_or_remember(worker, stop, std::move(about_project), std::move(of_project)));
  ledger::Calendar calendar = calendar_of(*worker.policy->config);
  Reading of_machine = [now_us, calendar = std::move(calendar)](const ledger::Source& from) {
    return ledger::machine_stats_json(from, calendar, now_us);
  };
  std::string about_machine = "stream machine";
  CCR_CO_TRY(second, co_await read_or_remember(worker, stop, std::move(about_machine), std::move(of_machine)));
  co_return "{\"project\":" + *first + ",\"machine\":" + *second + "}";
}

}  // namespace

Task<Result<void>> stream_news(Worker& worker, http::Exchange& exchange, std::string project) {
  LedgerReads& reads = worker.vitals.ledger_reads();
  if (!reads.open_stream()) co_return unavailable("too many dashboards are open (" + std::to_string(limits::kNewsStreams) + "); close one");
  struct Close {
    LedgerReads& reads;
    ~Close() { reads.close_stream(); }
  };
  const Close close{reads};
  http::Headers headers;
  headers.add("content-type", "text/event-stream");
  headers.add("cache-control", "no-store");
  headers.add("x-accel-buffering", "no");
  exchange.start(200, headers);
  const StopToken stop = exchange.stop();
  Look at;
  const std::int64_t had_seq = resumed_after(exchange.head());
  bool placed = false;
  std::string begin = "retry: " + std::to_string(std::chrono::milliseconds(kRetryTime).count()) + "\n\n";
  std::int64_t sums_due_ms = worker.loop.now_ms();
  std::int64_t spoke_ms = worker.loop.now_ms();
  std::string told_problem;
  while (!stop.stopped() && !reads.stopping()) {
    std::string events = std::exchange(begin, {});
    Result<void> looked = co_await look(worker, stop, at);
    if (looked.ok()) {
      if (!placed) at.after_seq = place_after(had_seq, at.after_seq);
      placed = true;
      for (const ledger::News::Request& request : at.news->requests) append_event(events, "request", request.seq, request.json);
      if (worker.loop.now_ms() >= sums_due_ms) {
        auto sums = co_await sums_event(worker, stop, project);
        if (sums.ok()) append_event(events, "analytics", at.after_seq, *sums);
        if (!sums.ok()) looked = sums.error();
        sums_due_ms = worker.loop.now_ms() + limits::kNewsStatsTime.count() * 1000;
      }
    }
    if (looked.ok()) {
      told_problem.clear();
    } else if (looked.error().message != told_problem && looked.error().code != ErrorCode::kCancelled) {
      told_problem = looked.error().message;
      events.append("event: problem\ndata: ");
      json::append_string(events, told_problem);
      events.append("\n\n");
    }
    const bool silent = worker.loop.now_ms() - spoke_ms >= std::chrono::milliseconds(limits::kPingTime).count();
    if (events.empty() && silent) events = ": keep-alive\n\n";
    if (!events.empty()) {
      CCR_CO_CHECK(co_await exchange.write(events));
      spoke_ms = worker.loop.now_ms();
    }
    auto slept = co_await sleep_for(worker.loop, limits::kNewsTime, stop);
    if (!slept.ok()) break;
  }
  if (stop.stopped()) co_return Result<void>();
  co_return co_await exchange.finish();
}

}  // namespace ccrules::proxy
