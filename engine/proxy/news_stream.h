#pragma once
#include <string>

#include "async/task.h"
#include "core/result.h"
#include "http/server.h"
#include "proxy/worker.h"

namespace ccrules::proxy {

/// Server-sent events: "analytics" with sums every few seconds, "request" for every row that is written, comments in between.
/// A ledger in trouble is an event "problem"; the stream goes on.
/// @param project whose sums; empty: all of them together
Task<Result<void>> stream_news(Worker& worker, http::Exchange& exchange, std::string project);

}  // namespace ccrules::proxy
