#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/usage.h"
#include "core/json.h"

/// One chat.completion.chunk, or a whole chat.completion, as vendors really send them
/// (docs/dialects/openai_chat.md).
namespace ccrules::dialect::openai {

struct ToolDelta {
  std::optional<std::int64_t> index;
  std::string_view id;
  std::string_view name;
  std::string_view thought_signature;  ///< Google's, extra_content.google.thought_signature
  std::string_view
      arguments;  ///< text of the arguments string, or the raw JSON when the server sent an object
};

struct TextPiece {
  std::string_view text;
  bool reasoning = false;
};

/// What an answer may hold besides texts and calls.
struct Extras {
  bool refusal = false;       ///< some of the texts are a refusal
  bool audio = false;         ///< spoken: its words are among the texts
  bool annotations = false;   ///< citations
  bool other_choice = false;  ///< a choice other than the first said something
};

/// Everything of choice 0, and how much there is of the others. Views point into the Document it was read from.
struct Chunk {
  std::string_view id;
  std::string_view model;
  bool has_choice = false;
  std::vector<TextPiece> texts;  ///< in the order to show: reasoning before the answer's text
  std::vector<ToolDelta> tools;
  std::vector<std::string_view> details;  ///< OpenRouter reasoning_details, one raw JSON object each
  std::string_view finish_reason;         ///< empty: null or absent
  std::string_view stop_sequence;         ///< vLLM's and SGLang's name of the stop sequence that matched
  std::optional<std::size_t>
      literal_at;               ///< where in the JSON the last text or arguments string that counts begins
  std::int64_t other_text_bytes = 0;  ///< of texts and arguments of the other choices
  Extras extras;
  std::string_view error_json;  ///< raw; empty: none
  chat::Usage usage;
  bool whole_reply = false;  ///< set by the caller, kept by clear(): a message beats a delta beside it

  /// Empties it; keeps the vectors' memory.
  void clear();
};

/// Reads `json` into `chunk` (which is cleared first). Unknown members are skipped.
/// @return an error when it is not one JSON object
Result<void> read_chunk(json::Document& document, Chunk& chunk);

}  // namespace ccrules::dialect::openai
