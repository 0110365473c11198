#pragma once
#include <string>

#include "chat/loss.h"
#include "chat/request.h"
#include "core/result.h"
#include "dialect/dialect.h"

namespace ccrules::dialect::openai {

/// Appends the `messages` array (with its brackets): system prompt first, every assistant turn with tool
/// calls followed at once by exactly one tool message per call (G-5).
/// @return an error for a prefilled answer that the target cannot continue (G-16)
Result<void> append_messages(std::string& out, const chat::Request& request, const Capabilities& target,
                             chat::LossNotes& losses);

}  // namespace ccrules::dialect::openai
