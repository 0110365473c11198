#pragma once
#include "dialect/dialect.h"
#include "http/server.h"
#include "proxy/worker.h"

namespace ccrules::proxy {

/// GET /health, /ready and /status (docs/operating.md). They answer anyone; who may use the proxy (its key,
/// or this machine when it has none) is told the details too. 503: no provider is left that could answer, so
/// a balancer should ask elsewhere. A ledger in trouble is told and is no reason: requests are still served.
/// @param endpoint kHealth, kReady or kStatus
Task<Result<void>> tell_health(Worker& worker, http::Exchange& exchange, dialect::Endpoint endpoint);

}  // namespace ccrules::proxy
