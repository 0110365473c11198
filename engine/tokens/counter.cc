#include "tokens/counter.h"

#include <algorithm>

#include "tokens/family.h"

namespace ccrules::tokens {
namespace {

constexpr std::int64_t kDocumentTokens = 2000;  ///< one dense page; how many there are is not known here

constexpr std::int64_t kBytesErrorPercent = 35;  ///< p95 of counting by bytes, over kinds of text and languages

std::int64_t text_tokens(std::int64_t bytes, const Family& family) {
  return (bytes * 100 + family.bytes_per_100_tokens - 1) / family.bytes_per_100_tokens;
}

}  // namespace

std::string_view grade_name(Grade grade) noexcept {
  switch (grade) {
    case Grade::kExact:
      return "exact";
    case Grade::kAnchored:
      return "anchored";
    case Grade::kEstimated:
      break;
  }
  return "estimated";
}

Count count(const chat::Outline& request) noexcept {
  const Family& family = family_of(request.model);
  Count out;
  out.tokens = text_tokens(request.text_bytes, family) + request.messages * family.message_tokens +
               request.tools * family.tool_tokens + (request.tools > 0 ? family.tool_prompt_tokens : 0) +
               request.images * family.image_tokens + request.documents * kDocumentTokens;
  out.tokens = std::max<std::int64_t>(1, out.tokens);
  out.p95 = (out.tokens * kBytesErrorPercent + 99) / 100;
  return out;
}

std::int64_t count_bytes(std::int64_t text_bytes, std::string_view model) noexcept {
  return text_tokens(text_bytes, family_of(model));
}

}  // namespace ccrules::tokens
