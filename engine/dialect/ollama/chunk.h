#pragma once
#include <string_view>
#include <vector>

#include "chat/usage.h"
#include "core/json.h"

/// One line of an /api/chat stream, or a whole reply: the same object (docs/dialects/ollama.md).
namespace ccrules::dialect::ollama {

struct Call {
  std::string_view id;  ///< newer servers only
  std::string_view name;
  std::string_view arguments_json;  ///< the arguments' own bytes; text of a string when the server sent one
};

/// Views point into the Document it was read from.
struct Chunk {
  std::string_view model;
  bool has_message = false;
  std::string_view thinking;
  std::string_view text;
  std::vector<Call> calls;
  bool done = false;
  std::string_view done_reason;
  bool failed = false;  ///< the object says `error`
  chat::Usage usage;
};

/// Reads `document` into `chunk`, which is cleared first. Unknown members are skipped.
/// @return an error when it is not one JSON object of this shape
Result<void> read_chunk(json::Document& document, Chunk& chunk);

}  // namespace ccrules::dialect::ollama
