#pragma once
#include <string>

#include "http/server.h"
#include "proxy/worker.h"

namespace ccrules::proxy {

/// The life of one request, from its head to its ledger row. Never fails: whatever happens, the client is
/// told in its own dialect (unless it left) and exactly one row is written per model request.
Task<void> serve(Worker& worker, http::Exchange& exchange);

/// A request for an answer that came inside another one, whose checks it has passed (a batch): no key is asked for, the rest is as
/// above. `key`: fingerprint of the credential that the other one came with.
Task<void> serve_item(Worker& worker, http::Exchange& exchange, const std::string& key);

}  // namespace ccrules::proxy
