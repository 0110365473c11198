#pragma once
#include "http/server.h"
#include "proxy/worker.h"

namespace ccrules::proxy {

/// The life of one request, from its head to its ledger row. Never fails: whatever happens, the client is
/// told in its own dialect (unless it left) and exactly one row is written per model request.
Task<void> serve(Worker& worker, http::Exchange& exchange);

}  // namespace ccrules::proxy
