#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "chat/loss.h"
#include "chat/request.h"
#include "dialect/dialect.h"

namespace ccrules::dialect::openai {

/// Appends the members that ask for reasoning or switch it off, in the way of Capabilities::reasoning_style, each with a comma
/// before it. For requests of another format: the vendors' own members of a chat request go on as they are.
/// @param max_tokens as sent: a budget of reasoning stays below it
void append_reasoning(std::string& out, const chat::Request& request, std::optional<std::int64_t> max_tokens, const Capabilities& target,
                      chat::LossNotes& losses);

}  // namespace ccrules::dialect::openai
