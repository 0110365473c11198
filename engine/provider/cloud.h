#pragma once
#include <string>
#include <string_view>

#include "config/snapshot.h"
#include "core/result.h"

/// Claude at other vendors' addresses: the same messages in another envelope (config::Provider::cloud).
namespace ccrules::provider {

/// The body as such an address wants it: without the model, which stands in the path, and with the version. Bedrock hears
/// from its path whether to stream (event_stream.h), and has the betas in the body.
/// The vendors' documentation, seen 2026-11-20.
/// @param betas the anthropic-beta header
Result<std::string> cloud_body(const config::Provider& provider, std::string_view body, std::string_view betas);

/// The path below the base URL: Vertex's ends in "/publishers/anthropic", Bedrock's is that of bedrock-runtime.
std::string cloud_path(const config::Provider& provider, std::string_view model, bool stream);

}  // namespace ccrules::provider
