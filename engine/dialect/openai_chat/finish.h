#pragma once
#include <string>
#include <string_view>

#include "chat/event.h"

/// finish_reason <-> neutral stop reason, with the words vendors add.
namespace ccrules::dialect::openai {

struct Finish {
  chat::StopReason reason = chat::StopReason::kEndTurn;
  std::string stop_details_json;  ///< kRefusal only
  bool failed = false;            ///< the provider says that it broke off
  std::string error_type;         ///< `failed` only: an Anthropic error type
};

/// `finish_reason` may be empty (servers that never send one): then, and where its word is not known, the reason is kOther, which
/// every client is told as an end like any other. `called_tools`: the reply holds at least one
/// call, whatever the reason says. `stop_sequence`: the one that matched, when the server names it.
Finish finish_of(std::string_view finish_reason, bool called_tools, std::string_view stop_sequence);

/// "stop", "length", "tool_calls", "content_filter".
std::string_view finish_reason_of(chat::StopReason reason);

}  // namespace ccrules::dialect::openai
