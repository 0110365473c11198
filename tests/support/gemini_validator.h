#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "support/validators.h"

/// Strict judges of Google's Gemini API, as validators.h has them for the other dialects.
namespace ccrules::test {

Seen check_gemini_stream(std::string_view sse, bool may_be_cut = false);
Seen check_gemini_reply(std::string_view json);
Seen check_gemini_error(std::string_view json);
std::vector<std::string> check_gemini_request(std::string_view json);

}  // namespace ccrules::test
