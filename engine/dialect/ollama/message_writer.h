#pragma once
#include <string>

#include "chat/loss.h"
#include "chat/request.h"
#include "core/result.h"
#include "dialect/dialect.h"

namespace ccrules::dialect::ollama {

/// Appends the `messages` array: contents are plain strings, images stand beside them.
Result<void> append_messages(std::string& out, const chat::Request& request, const Capabilities& target,
                             chat::LossNotes& losses);

}  // namespace ccrules::dialect::ollama
