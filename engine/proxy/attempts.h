#pragma once
#include <memory>

#include "proxy/one_attempt.h"

namespace ccrules::proxy {

/// Tries the decision's targets in order until one answers. Retries and fallbacks are made here and
/// nowhere else, as verdict.h decides; every Error's `retry` verdict is obeyed. Fills `visit` with the attempts
/// made and, when all fail, with the last provider's verbatim answer if the client speaks its dialect.
Task<Result<std::unique_ptr<FirstReply>>> first_reply(Worker& worker, const Ask& ask, Visit& visit,
                                                      StopToken stop);

}  // namespace ccrules::proxy
