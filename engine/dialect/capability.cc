#include "dialect/capability.h"

#include <algorithm>
#include <initializer_list>
#include <string>

#include "core/text.h"

namespace ccrules::dialect {

std::string_view capability_class(const Error& refusal) {
  const bool refused = refusal.code == ErrorCode::kUpstreamRefused || refusal.code == ErrorCode::kTooLarge;
  if (!refused || (refusal.http_status != 400 && refusal.http_status != 413)) return {};
  const std::string lower = text::lower(refusal.message);
  const auto says = [&lower](std::initializer_list<std::string_view> words) {
    return std::any_of(words.begin(), words.end(),
                       [&lower](std::string_view word) { return lower.find(word) != std::string::npos; });
  };
  const bool unsupported =
      says({"not support", "unsupported", "not permitted", "unknown", "unrecognized", "not allowed", "only supported"});
  if (says({"system message must be", "system role must", "system messages must", "system message can only"})) return "mid_conv_system";
  if (says({"cache_control"}) && unsupported) return "cache_control_field";
  if (says({"signature"}) && says({"thinking", "thought"}) && says({"invalid", "not valid"})) return "thinking_signature";
  if (says({"response_format", "json_schema", "structured output"}) && unsupported) return "structured_outputs_unsupported";
  if (says({"reasoning_effort", "reasoning.effort", "output_config.effort"}) && unsupported) return "effort_unsupported";
  if (says({"too many images", "total size of images", "images exceed"})) return "media_budget";
  const bool image = says({"image input", "image_url", "image inputs", "images are", "vision"});
  if (image && (unsupported || says({"no endpoints"}))) return "image_block";
  if (says({"pdf", "file input", "document input", "file inputs"}) && unsupported) return "document_block";
  return {};
}

}  // namespace ccrules::dialect
