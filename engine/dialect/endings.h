#pragma once
#include <string_view>
#include <vector>

#include "chat/event.h"

namespace ccrules::dialect {

/// How a whole answer ended, read from all of what its provider sent, as one JSON text or as a stream: the end of each choice, and
/// besides what the answer holds whatever its end says, kToolUse for a call that the client must answer and kRefusal for a refusal.
/// kOther stands for an end that is missing, null or not known here, for content of a kind that is not known here, and for what
/// cannot be read.
/// @param dialect  of the bytes, as Dialect::name() says it
/// @return each one once; never empty
/// Pure; reads the bytes once more: for who is about to keep an answer.
std::vector<chat::StopReason> endings(std::string_view dialect, std::string_view bytes);

}  // namespace ccrules::dialect
