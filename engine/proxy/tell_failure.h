#pragma once
#include "async/task.h"
#include "core/error.h"
#include "dialect/dialect.h"
#include "http/server.h"
#include "proxy/visit.h"

namespace ccrules::proxy {

/// A failed answer, told in the client's dialect; the provider's own words where it spoke the same dialect. Notes in the row what the
/// client was told: 499 when it had left.
Task<void> tell_failure(http::Exchange& exchange, const dialect::Dialect& spoken, const Error& error, Visit& visit);

}  // namespace ccrules::proxy
