#pragma once
#include "async/task.h"
#include "core/result.h"
#include "dialect/dialect.h"
#include "http/server.h"
#include "proxy/worker.h"

namespace ccrules::proxy {

/// Message batches: handed on to Anthropic where every request of one goes to one provider that takes batches; else kept in the
/// ledger's file and sent one by one (proxy/batch_runner.h). docs/batches.md.
Task<Result<void>> serve_batches(Worker& worker, http::Exchange& exchange, const dialect::Route& route);

/// Files: handed on as they come to the provider of Anthropic's that takes them.
Task<Result<void>> serve_files(Worker& worker, http::Exchange& exchange);

}  // namespace ccrules::proxy
