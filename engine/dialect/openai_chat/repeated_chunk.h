#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dialect/openai_chat/chunk.h"

namespace ccrules::dialect::openai {

/// The short cut for the bulk of every stream: chunks that differ from the one before them in one string
/// only, the piece of text, reasoning or arguments. Such a chunk is read by comparing bytes (about 0.1 µs)
/// instead of parsing JSON (0.6 µs).
class RepeatedChunk {
 public:
  /// Remembers the shape of a chunk just read, when all it says is one string. Forgets the old shape
  /// otherwise not.
  void learn(std::string_view json, const Chunk& chunk);
  /// True when `json` has that shape: `chunk` then is what read_chunk() would have made of it, without id and
  /// model. Views point into `json` and this object, until the next call.
  bool match(std::string_view json, Chunk& chunk);

 private:
  enum class Kind : std::uint8_t { kNothing, kText, kReasoning, kArguments };

  Kind kind_ = Kind::kNothing;
  std::optional<std::int64_t> tool_index_;
  std::string head_;  ///< up to and with the string's opening quote
  std::string
      tail_;  ///< from its closing quote on; with OpenAI's obfuscation up to that string's opening quote
  bool obfuscated_ = false;
  std::string unescaped_;
};

}  // namespace ccrules::dialect::openai
