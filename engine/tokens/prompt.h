#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/digest.h"
#include "core/result.h"
#include "tokens/counter.h"
#include "tokens/family.h"

namespace ccrules::tokens {

enum class PartKind : std::uint8_t {
  kTool,
  kSystem,
  kText,
  kThinking,
  kToolCall,
  kToolResult,
  kImage,
  kDocument,
  kSchema,  ///< that the answer must keep to
  kOther
};
/// "tool", "system", "text", "thinking", "tool_call", "tool_result", "image", "document", "schema", "other".
std::string_view part_kind_name(PartKind kind) noexcept;

/// One content block of a request, counted by itself.
struct Part {
  PartKind kind = PartKind::kOther;
  std::int32_t message = -1;  ///< index in `messages`; -1: system prompt or tool
  std::int32_t block = 0;     ///< index in its message, in `system` or in `tools`
  std::int64_t tokens = 0;
  std::int64_t bytes = 0;  ///< of JSON, media included
  bool has_media = false;  ///< pictures, pages or sound in it, however deep: a rule of thumb counts them
  digest::Hash128 hash;    ///< of what it says; cache_control left out
};

struct Message {
  bool assistant = false;
  bool user_text = false;  ///< a user's turn, not only tool results
};

/// A request taken apart, in the order in which prompts are made of it: tools, system, messages.
struct Prompt {
  const Family* family = nullptr;
  std::vector<Part> parts;
  std::vector<Message> messages;
  std::int64_t frame_tokens = 0;  ///< around messages and tools
  std::int64_t tokens = 0;        ///< all of it
  std::int64_t p95 = 0;           ///< 95 of 100 such counts are not further off
  Grade grade = Grade::kEstimated;
  std::int64_t dropped_thinking_tokens = 0;  ///< of earlier turns; not in `tokens`
  bool has_tools = false, has_media = false;
  digest::Hash128 context_edits{};  ///< of `context_management`, which takes some of the conversation out before it is billed
};

/// Reads a request of the Anthropic or the OpenAI chat dialect (they are told apart block by block) and
/// counts every block with the tokenizer and the rules of its model. Pictures inside tool results are walked,
/// base64 is never counted as text. Blocks met before cost their hash. `model` overrules the body's. Any
/// thread; a 400 like the dialects' when the body is no JSON object.
Result<Prompt> read_prompt(std::string_view body, std::string_view model = {});

/// A text by itself, as the model's tokenizer cuts it (estimated where that is not published).
std::int64_t count_plain(std::string_view utf8, std::string_view model);

}  // namespace ccrules::tokens
