#pragma once
#include "http/server.h"
#include "proxy/visit.h"
#include "proxy/worker.h"

namespace ccrules::proxy {

/// POST /v1/completions and /v1/embeddings: no dialect of ours, so they go as they are to a provider of OpenAI's format.
/// The rules are asked, and may refuse; budgets apply. The target is the one the client names ("provider,model"), else
/// the one the rules choose when that keeps the model, else the first provider whose `models` fit, else the only one of
/// that format. One attempt.
Task<Result<void>> forward(Worker& worker, http::Exchange& exchange, Visit& visit);

}  // namespace ccrules::proxy
