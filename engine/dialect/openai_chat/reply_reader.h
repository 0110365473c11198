#pragma once
#include <string_view>

#include "chat/event.h"
#include "core/result.h"
#include "dialect/dialect.h"

namespace ccrules::dialect::openai {

/// Reads a whole chat.completion. A 200 answer that holds an error is that error, with its retry verdict.
Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options);

/// Id, model, stop reason and usage only; an empty Reply when the body is not one.
chat::Reply peek_reply(std::string_view body);

}  // namespace ccrules::dialect::openai
