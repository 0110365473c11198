#include "tokens/counter.h"

#include <algorithm>

namespace ccrules::tokens {
namespace {

/// JSON-escaped bytes of prompt text per hundred tokens; docs/tokens.md says where the figures come from and
/// how far off they are.
constexpr std::int64_t kBytesPer100Tokens = 300;
constexpr std::int64_t kImageTokens = 1500;      ///< a screenshot of usual size
constexpr std::int64_t kDocumentTokens = 2000;   ///< one dense page; the page count is not known here
constexpr std::int64_t kMessageTokens = 4;       ///< the frame around one message
constexpr std::int64_t kToolTokens = 12;         ///< the frame around one tool definition
constexpr std::int64_t kToolPromptTokens = 350;  ///< what providers add once there are tools

std::int64_t text_tokens(std::int64_t bytes) noexcept {
  return bytes * 100 / kBytesPer100Tokens;
}

}  // namespace

Count count(const chat::Outline& request) noexcept {
  Count out;
  out.tokens = text_tokens(request.text_bytes) + request.images * kImageTokens +
               request.documents * kDocumentTokens + request.messages * kMessageTokens +
               request.tools * kToolTokens + (request.tools > 0 ? kToolPromptTokens : 0);
  out.tokens = std::max<std::int64_t>(1, out.tokens);
  return out;
}

std::int64_t count_text(std::string_view utf8) noexcept {
  return utf8.empty() ? 0 : std::max<std::int64_t>(1, text_tokens(static_cast<std::int64_t>(utf8.size())));
}

}  // namespace ccrules::tokens
