#pragma once
#include <string>

#include "async/task.h"
#include "core/result.h"
#include "http/server.h"
#include "proxy/plan.h"
#include "proxy/sending.h"
#include "proxy/visit.h"
#include "proxy/worker.h"

/// The response cache's part in a request: docs/cache.md.
namespace ccrules::proxy {

/// Whether configuration or rules let the cache answer and keep this request.
inline bool may_cache(const Visit& visit, const rules::Decision& decision) {
  return decision.cache ? decision.cache->use : visit.policy->config->cache.enabled;
}

/// Answers from the cache, from what is there or what somebody is being answered just now. False: nobody has answered this yet; when
/// the request's own answer is worth keeping, `sending` is shared and has taken `body`.
Task<Result<bool>> serve_cached(Worker& worker, http::Exchange& exchange, Visit& visit, Plan& plan, std::string& body, Sending& sending);

}  // namespace ccrules::proxy
