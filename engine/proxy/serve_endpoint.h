#pragma once
#include "async/task.h"
#include "dialect/dialect.h"
#include "http/server.h"
#include "proxy/worker.h"

namespace ccrules::proxy {

/// Checks and answers everything that is not a request to a model: what endpoints.h, health.h, batches.h and analytics_api.h hold, and
/// what is not served here. Leaves no ledger row.
Task<void> serve_endpoint(Worker& worker, http::Exchange& exchange, const dialect::Route& route);

}  // namespace ccrules::proxy
