#pragma once
#include <functional>
#include <memory>
#include <string>

#include "async/stop.h"
#include "async/task.h"
#include "core/result.h"
#include "ledger/analytics.h"
#include "proxy/worker.h"

/// Reading the ledger for who looks at it, off the loop and a few at once (ledger_reads.h). On the loop's thread.
namespace ccrules::proxy {

/// A reading of the ledger. Runs on a thread of the pool.
using Reading = std::function<Result<std::string>(const ledger::Source& from)>;

/// Reads on a thread of the pool, when it is our turn, for as long as the client stays and limits::kLedgerReadTime allows.
/// Error: what `reading` says; 503 without a ledger, or when too many read already.
Task<Result<std::string>> read_ledger(Worker& worker, StopToken stop, const Reading& reading);

/// The same question, asked again and again by several windows, is not read each time.
Task<Result<std::shared_ptr<const std::string>>> read_or_remember(Worker& worker, StopToken stop, std::string question, Reading reading);

/// 503: there is nothing to look at, or no room for who looks.
Error unavailable(std::string message);

}  // namespace ccrules::proxy
