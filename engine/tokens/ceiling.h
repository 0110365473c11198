#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/outline.h"
#include "core/digest.h"
#include "core/json.h"
#include "tokens/calibration.h"
#include "tokens/prompt.h"

/// The most tokens that a prompt can be billed as: what a hard budget sets aside (docs/tokens.md, "The most a prompt can be").
/// An estimate is off to both sides; these are not, whatever the text is made of.
namespace ccrules::tokens {

/// What a request's bytes say for certain. No tokenizer makes more tokens of a text than the text has bytes, and JSON's escapes
/// only make it longer.
struct Ceiling {
  std::int64_t text_tokens = 0;  ///< one for each byte that is not base64, and what providers add
  std::int64_t images = 0;       ///< each as large as the model takes them
  bool open = false;  ///< files, sound, or what the provider keeps of earlier turns: only the model's context bounds these
  bool each_alone = false;  ///< a list of texts, each of which has the model's context for itself
  /// How often the provider may read the prompt and write an answer of max_tokens, each billed: once, for each model that it may fall
  /// back to or ask by itself, and all of it once more to sum up a conversation that is too long.
  std::int64_t runs = 1;
  std::vector<std::string> other_models;    ///< whose runs, or one of which, may be billed in place of the target's: the request names them
  std::int64_t other_output_tokens = 0;     ///< the largest max_tokens of one of them; 0: none has its own
  bool names_speed = false;                 ///< asks for a speed other than the standard one
  bool standard_tier = false;               ///< asks for the standard service tier; where nothing is said, a provider's settings decide
  bool all_here = true;  ///< false: the provider adds to the prompt what the body only names, so counting it says less
};
/// @param body the request as the client sent it; `outline` is of it. Reads the body's own members once, not its conversation;
/// whoever has read the document before.
Ceiling ceiling_of(const chat::Outline& outline, json::Document& body);
/// At a model whose context is `context_tokens` (unset: not known). Longer prompts are refused by providers, not billed.
std::int64_t most_tokens(const Ceiling& ceiling, std::string_view model, std::optional<std::int64_t> context_tokens);

/// The same from a close count, where that says more: the model's own tokenizer, or what `target` ("provider,model") billed for
/// a known beginning and one token for each byte behind it. Unset: it does not.
/// @param body_bytes of the request: what it holds beside the parts that were counted is one token a byte, too
/// @param chain chain_of(prompt)
std::optional<std::int64_t> most_tokens(const Prompt& prompt, std::int64_t body_bytes, std::string_view target,
                                        const std::vector<digest::Hash128>& chain, const Calibration& calibration);

}  // namespace ccrules::tokens
