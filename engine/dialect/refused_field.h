#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/dialect.h"

/// Which member of a request a provider's 400 says it does not take, whatever its words: OpenAI, Anthropic, FastAPI
/// (Mistral, vLLM), Google, Groq, Ollama.
namespace ccrules::dialect {

struct RefusedField {
  std::vector<std::string> path;  ///< from the request's root, as it stands there: {"generationConfig", "thinkingConfig"}
  std::string instead;            ///< the name that the provider wants for the same value; empty: none
  /// The value it was refused with, its JSON as it was sent, where others may be taken; nullopt: refused whatever its value.
  std::optional<std::string> value_json;
  bool operator==(const RefusedField&) const = default;
  /// "generationConfig.thinkingConfig"
  [[nodiscard]] std::string name() const;
};

/// @param sent the body that the provider refused, in its own dialect
/// @return nothing when the answer says something else, names no member of `sent`, or one whose loss would change what is
/// asked: the conversation, its tools and which of them is to be called, the model, the form of the answer (limits of its
/// length may get another name)
std::optional<RefusedField> refused_field(const UpstreamFailure& failure, std::string_view sent);

/// True when the answer says that reasoning of earlier turns cannot be read back: it was encrypted with another key, or
/// its item was not kept (G-36). The request is then worth sending again without it.
[[nodiscard]] bool refuses_reasoning(const UpstreamFailure& failure);

}  // namespace ccrules::dialect
