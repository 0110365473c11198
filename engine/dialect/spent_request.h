#pragma once
#include <string>

#include "chat/loss.h"
#include "chat/request.h"
#include "core/result.h"
#include "dialect/dialect.h"

namespace ccrules::dialect {

/// Dialect::write_request() of `to` for a request that nobody needs any more: Anthropic's, who puts the turns in order, moves
/// their texts instead of copying them; the others copy none. What only the client's own dialect says is first put as others know it: the
/// summary of Anthropic's compaction blocks as text, the tools that an item of responses brings among the tools alone. Pure, any thread.
Result<std::string> write_spent_request(const Dialect& to, chat::Request request, const Capabilities& target, chat::LossNotes& losses);

}  // namespace ccrules::dialect
