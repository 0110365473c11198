#pragma once
#include "http/server.h"
#include "proxy/worker.h"

/// What the ledger and the rules in force say, for dashboards and scripts: GET /api/... (docs/analytics.md).
namespace ccrules::proxy {

/// True for the paths that tell_analytics() serves, by GET.
[[nodiscard]] bool is_analytics(const http::RequestHead& head) noexcept;

/// Answers one of them. The ledger is read on the pool's threads, for limits::kLedgerReadTime at most; a client that leaves ends
/// its reading. Only for operators (gate.h, refuse_unless_admin).
Task<Result<void>> tell_analytics(Worker& worker, http::Exchange& exchange);

}  // namespace ccrules::proxy
