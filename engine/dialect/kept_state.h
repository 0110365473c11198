#pragma once
#include "chat/request.h"
#include "core/result.h"
#include "dialect/dialect.h"

namespace ccrules::dialect {

/// Requests that lean on what their own provider keeps (message threads, stored responses, compacted history)
/// mean nothing to another one: it would see half a conversation. Every writer asks this about requests of
/// other dialects.
/// @return a 400 that says what the client can send instead
Result<void> refuse_kept_state(const chat::Request& request, const Capabilities& target);

}  // namespace ccrules::dialect
