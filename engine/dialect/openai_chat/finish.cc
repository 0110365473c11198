#include "dialect/openai_chat/finish.h"

#include <algorithm>
#include <initializer_list>

#include "core/text.h"
#include "dialect/stop_losses.h"

namespace ccrules::dialect::openai {
namespace {

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view other) { return text::equals_ignore_case(word, other); });
}

}  // namespace

Finish finish_of(std::string_view finish_reason, bool called_tools, std::string_view stop_sequence) {
  Finish finish;
  if (is_one_of(finish_reason, {"error", "network_error", "insufficient_system_resource"})) {
    finish.failed = true;
    finish.error_type =
        is_one_of(finish_reason, {"insufficient_system_resource"}) ? "overloaded_error" : "api_error";
  } else if (is_one_of(finish_reason, {"length", "model_length", "max_tokens"})) {
    finish.reason = chat::StopReason::kMaxTokens;
  } else if (is_one_of(finish_reason, {"content_filter", "sensitive", "safety"})) {
    finish.reason = chat::StopReason::kRefusal;
    finish.stop_details_json = kFilteredDetails;
  } else if (is_one_of(finish_reason, {"model_context_window_exceeded"})) {
    finish.reason = chat::StopReason::kContextExceeded;
  } else if (called_tools) {
    // "stop" beside tool calls: a forced function at OpenAI, and several vendors for any call.
    finish.reason = chat::StopReason::kToolUse;
  } else if (!stop_sequence.empty() && is_one_of(finish_reason, {"stop", "stop_sequence"})) {
    finish.reason = chat::StopReason::kStopSequence;
  } else if (!is_one_of(finish_reason, {"stop", "stop_sequence", "end_turn", "eos", "eos_token", "tool_calls", "function_call"})) {
    finish.reason = chat::StopReason::kOther;
  }
  return finish;
}

std::string_view finish_reason_of(chat::StopReason reason) {
  switch (reason) {
    case chat::StopReason::kToolUse:
      return "tool_calls";
    case chat::StopReason::kMaxTokens:
    case chat::StopReason::kContextExceeded:
      return "length";
    case chat::StopReason::kRefusal:
      return "content_filter";
    case chat::StopReason::kEndTurn:
    case chat::StopReason::kStopSequence:
    case chat::StopReason::kPauseTurn:
    case chat::StopReason::kOther:
      return "stop";
  }
  return "stop";
}

}  // namespace ccrules::dialect::openai
