#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "support/validators.h"

/// Strict judges of Ollama's /api/chat, as validators.h has them for the other dialects.
namespace ccrules::test {

Seen check_ollama_stream(std::string_view ndjson, bool may_be_cut = false);
Seen check_ollama_reply(std::string_view json);
Seen check_ollama_error(std::string_view json);
std::vector<std::string> check_ollama_request(std::string_view json);
/// Non-empty lines, each as the data of an event without a name.
std::vector<SseEvent> split_lines(std::string_view bytes);

}  // namespace ccrules::test
