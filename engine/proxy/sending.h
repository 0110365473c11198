#pragma once
#include <memory>
#include <optional>
#include <utility>

#include "async/loop.h"
#include "async/stop.h"
#include "async/task.h"
#include "core/result.h"
#include "http/server.h"
#include "proxy/asking.h"
#include "proxy/one_attempt.h"
#include "proxy/plan.h"
#include "proxy/visit.h"
#include "proxy/worker.h"

namespace ccrules::proxy {

/// A request on its way to its providers and back, within the time it may take in all. Its answer is for its own client; where the
/// cache shares it, also for those who read along, and then it goes on for as long as one of them is there. In the request's frame;
/// the loop's thread.
class Sending {
 public:
  Sending(Worker& worker, http::Exchange& exchange, Visit& visit) : worker_(worker), exchange_(exchange), visit_(visit) {}
  /// Others may read along. Before first_reply().
  void share(std::unique_ptr<Asking> asking) { asking_ = std::move(asking); }
  /// Step 7 of docs/life-of-a-request.md, once; the plan and the body may go when it has returned.
  Task<Result<std::unique_ptr<FirstReply>>> first_reply(Plan& plan);
  /// Step 10: to its client, and what others still wait for.
  Task<Result<void>> bring(FirstReply& reply);

 private:
  Worker& worker_;
  http::Exchange& exchange_;
  Visit& visit_;
  std::unique_ptr<Asking> asking_;  ///< null: nobody reads along
  Ask ask_;
  std::optional<StopSource> within_;
  std::optional<Deadline> total_;
};

}  // namespace ccrules::proxy
