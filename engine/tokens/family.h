#pragma once
#include <cstdint>
#include <string_view>

#include "tokens/table.h"

namespace ccrules::tokens {

/// Models that share a tokenizer and what their provider adds around the text. Figures and sources:
/// docs/tokens.md.
enum class FamilyKind : std::uint8_t { kClaudeNew, kClaudeOld, kO200k, kCl100k, kGemini, kOther };

/// How pictures become tokens.
enum class ImageRule : std::uint8_t {
  kClaude,  ///< 28-pixel patches, scaled down to image_edge and image_cap
  kPatch,   ///< 32-pixel patches times 1.2, at most image_cap patches
  kTile,    ///< 512-pixel tiles: 85 + 170 each
  kFlat     ///< image_tokens, whatever the size
};

struct Family {
  FamilyKind kind;
  std::string_view name;              ///< "claude-4.7", "o200k_base": shown to people
  Encoding encoding;                  ///< what text is counted with
  bool exact;                         ///< its text count is the provider's
  std::int64_t bytes_per_100_tokens;  ///< of JSON-escaped text, over a mix of code, prose and JSON
  std::int64_t message_tokens;        ///< the frame around one message
  std::int64_t tool_tokens;           ///< the frame around one tool's definition
  std::int64_t tool_prompt_tokens;    ///< added once when there are tools
  ImageRule image_rule;
  std::int64_t image_edge, image_cap;  ///< pixels; tokens or patches
  std::int64_t image_tokens;           ///< an image of unknown size: a screenshot
  std::int64_t reply_tokens;           ///< added once for the answer's start
};

/// A model's name without what stands before it: "claude-opus-4.7" of "openrouter,anthropic/claude-opus-4.7".
std::string_view bare_model(std::string_view model) noexcept;
/// Of the model a request names, provider prefixes and dates included
/// ("openrouter/anthropic/claude-opus-4.7", "openai,gpt-5.5"). Empty: the current Claude family.
const Family& family_of(std::string_view model) noexcept;

/// The system prompt that Anthropic adds once a request has tools. `any`: tool_choice any or tool.
std::int64_t tool_prompt_tokens(std::string_view model, const Family& family, bool any) noexcept;
/// What Anthropic tells the model about a tool that it runs itself, by the tool's type; 0 for those that clients run.
std::int64_t server_tool_tokens(std::string_view type) noexcept;
/// Around the schema of a structured output, and once thinking has a budget: what Anthropic says to the model about them.
inline constexpr std::int64_t kClaudeSchemaTokens = 150;
inline constexpr std::int64_t kClaudeThinkingTokens = 22;
/// False when thinking of earlier turns is no part of a prompt: the server drops it before it counts, or nobody sends it.
bool keeps_thinking(const Family& family, std::string_view model) noexcept;

}  // namespace ccrules::tokens
