#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "support/validators.h"

/// The strict judges of support/validators.h for the OpenAI Responses dialect.
namespace ccrules::test {

/// A whole Responses SSE body. A cut stream is a fault unless `may_be_cut`. `stop` is the status, or the reason of
/// an incomplete response.
Seen check_responses_stream(std::string_view sse, bool may_be_cut = false);
Seen check_responses_reply(std::string_view json);
/// A request as a strict provider takes it. Faults only.
std::vector<std::string> check_responses_request(std::string_view json);

}  // namespace ccrules::test
