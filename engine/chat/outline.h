#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/request.h"

namespace ccrules::chat {

/// What one fast pass over a request's bytes finds: everything rules decide on, without building the neutral request
/// (docs/adr/0001). Views point into the request's body and live as long as it.
struct Outline {
  std::string model;
  std::string_view model_json;  ///< the model as it stands in the body, with its quotes
  bool stream = false;
  bool include_usage = true;  ///< false only for an OpenAI stream without stream_options.include_usage
  std::optional<std::int64_t> max_tokens;
  std::int64_t choices = 1;  ///< answers asked for at once; at most limits::kChoices
  ThinkingMode thinking;
  std::string effort;
  std::string user_id;     ///< metadata.user_id / user, verbatim text
  std::string session_id;  ///< from metadata.user_id's JSON (session_id) or its `_session_` suffix; empty when none
  std::string last_role;   ///< "user", "assistant", "tool", "system"
  std::int64_t messages = 0;
  std::int64_t images = 0;       ///< also those inside tool results
  std::int64_t documents = 0;
  std::int64_t tools = 0;
  std::int64_t tool_results = 0;
  std::int64_t text_bytes = 0;   ///< JSON-escaped bytes of all text that is billed as text, base64 excluded
  std::int64_t media_bytes = 0;  ///< base64 bytes
  bool own_reasoning = false;    ///< among the messages is reasoning that we signed (dialect/signature.h): no provider knows it
  bool unsigned_call = false;    ///< gemini: the first call of a model's turn has no thoughtSignature
  bool json_schema_answer = false;          ///< output_config.format / response_format asks for a schema
  std::vector<std::string_view> tool_names; ///< escaped as in the body (names need no escapes)
  std::vector<std::string> custom_tools;  ///< names of tools that are called with a text (OpenAI responses)
  /// The system prompt's texts, raw: JSON string literals with their quotes, in order.
  std::vector<std::string_view> system_json;
  /// Texts of Anthropic messages of role system (claude-code 2.1.329 names its working directory there), raw, in order.
  std::vector<std::string_view> mid_system_json;
  /// Text of the first and of the last user message: the last text block of each, raw literal; empty when none.
  std::string_view first_user_json;
  std::string_view last_user_json;
  /// Agent/Task tool_use blocks of assistant messages: raw JSON of `input` (subagent_type, prompt).
  std::vector<std::string_view> spawn_inputs_json;
};

}  // namespace ccrules::chat
