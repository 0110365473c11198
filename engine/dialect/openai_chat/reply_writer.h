#pragma once
#include <string>

#include "chat/event.h"
#include "chat/loss.h"
#include "dialect/dialect.h"

namespace ccrules::dialect::openai {

/// Writes a whole chat.completion.
std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options,
                        chat::LossNotes& losses);

}  // namespace ccrules::dialect::openai
