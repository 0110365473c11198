#include "tokens/counter.h"

#include <algorithm>

#include "core/text.h"

namespace ccrules::tokens {
namespace {

/// How one family of tokenizers cuts text, and what its providers add around it. The figures and how far they
/// are off: docs/tokens.md.
struct Family {
  std::int64_t bytes_per_100_tokens;  ///< of JSON-escaped text, over a mix of code, prose and JSON
  std::int64_t message_tokens;        ///< the frame around one message
  std::int64_t tool_tokens;           ///< the frame around one tool's definition
  std::int64_t tool_prompt_tokens;    ///< added once when there are tools
  std::int64_t image_tokens;          ///< an image of usual size: a screenshot
};
constexpr Family kClaudeNew{270, 4, 10, 350, 2500};  ///< Opus 4.7 and later, every Claude 5
constexpr Family kClaudeOld{340, 4, 10, 500, 1500};  ///< up to Opus 4.6, Sonnet 4.6, Haiku 4.5
constexpr Family kOpenAi{400, 4, 8, 0, 1200};  ///< o200k, and what comes close to it (Llama, Qwen, DeepSeek)
constexpr Family kGemini{360, 4, 8, 0, 1100};
constexpr std::int64_t kDocumentTokens = 2000;  ///< one dense page; how many there are is not known here

bool digit_at(std::string_view text, std::size_t at) {
  return at < text.size() && text[at] >= '0' && text[at] <= '9';
}

/// True for Claude models with the tokenizer before Opus 4.7: claude-3..., claude-opus-4-6,
/// claude-haiku-4-5-20251001.
bool is_old_claude(std::string_view model) {
  for (std::size_t at = model.find('-'); at != std::string_view::npos; at = model.find('-', at + 1)) {
    if (!digit_at(model, at + 1) || digit_at(model, at + 2))
      continue;  // the first part that is one digit: the generation
    const char generation = model[at + 1];
    if (generation != '4') return generation < '4';
    // "4-7", "4.8"; a longer number behind the 4 is a date.
    const bool has_minor = digit_at(model, at + 3) && !digit_at(model, at + 4);
    return !has_minor || model[at + 3] < '7';
  }
  return false;
}

const Family& family_of(std::string_view model) {
  if (model.empty()) return kClaudeNew;
  if (text::contains_ignore_case(model, "claude")) return is_old_claude(model) ? kClaudeOld : kClaudeNew;
  if (text::contains_ignore_case(model, "gemini") || text::contains_ignore_case(model, "gemma"))
    return kGemini;
  return kOpenAi;
}

std::int64_t text_tokens(std::int64_t bytes, const Family& family) {
  return (bytes * 100 + family.bytes_per_100_tokens - 1) / family.bytes_per_100_tokens;
}

}  // namespace

Count count(const chat::Outline& request) noexcept {
  const Family& family = family_of(request.model);
  Count out;
  out.tokens = text_tokens(request.text_bytes, family) + request.messages * family.message_tokens +
               request.tools * family.tool_tokens + (request.tools > 0 ? family.tool_prompt_tokens : 0) +
               request.images * family.image_tokens + request.documents * kDocumentTokens;
  out.tokens = std::max<std::int64_t>(1, out.tokens);
  return out;
}

std::int64_t count_text(std::string_view utf8, std::string_view model) noexcept {
  return count_bytes(static_cast<std::int64_t>(utf8.size()), model);
}

std::int64_t count_bytes(std::int64_t text_bytes, std::string_view model) noexcept {
  return text_tokens(text_bytes, family_of(model));
}

}  // namespace ccrules::tokens
