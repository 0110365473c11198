#pragma once
#include <string>
#include <string_view>

#include "chat/event.h"
#include "chat/loss.h"
#include "core/result.h"
#include "dialect/dialect.h"

namespace ccrules::dialect::ollama {

Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options);
/// Model, usage and stop reason only; all empty when the body is not a reply.
chat::Reply peek_reply(std::string_view body);
std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options, chat::LossNotes& losses);

}  // namespace ccrules::dialect::ollama
