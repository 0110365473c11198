#pragma once
#include <cstddef>
#include <string>

#include "core/result.h"

namespace ccrules::cli {

/// GET of an https URL (http only from this machine) into memory. Redirects are not followed: the error names where one leads.
/// Takes at most limits::kPackFetchTime. Errors: kConnectFailed and kUpstreamTimeout when nobody is there, kTooLarge beyond
/// `most_bytes`, else one sentence with the URL.
Result<std::string> download(const std::string& url, std::size_t most_bytes);

}  // namespace ccrules::cli
