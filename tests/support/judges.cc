#include "support/judges.h"

#include <cstdlib>
#include <map>

#include "support/gemini_validator.h"
#include "support/ollama_validator.h"
#include "support/responses_validator.h"

namespace ccrules::test {
namespace {

std::vector<SseEvent> split_events(std::string_view bytes) { return split_sse(bytes); }

}  // namespace

const Judge& judge_of(std::string_view dialect) {
  static const std::map<std::string, Judge, std::less<>> judges = {
      {"anthropic",
       {[](std::string_view bytes, bool, bool may_be_cut) { return check_anthropic_stream(bytes, may_be_cut); },
        &check_anthropic_reply, &check_anthropic_error, &check_anthropic_request, &split_events, ".sse"}},
      {"openai_chat",
       {&check_openai_chat_stream, &check_openai_chat_reply, &check_openai_chat_error, &check_openai_chat_request,
        &split_events, ".sse"}},
      {"gemini",
       {[](std::string_view bytes, bool, bool may_be_cut) { return check_gemini_stream(bytes, may_be_cut); },
        &check_gemini_reply, &check_gemini_error, &check_gemini_request, &split_events, ".sse"}},
      {"openai_responses",
       {[](std::string_view bytes, bool, bool may_be_cut) { return check_responses_stream(bytes, may_be_cut); },
        &check_responses_reply, &check_openai_chat_error, &check_responses_request, &split_events, ".sse"}},
      {"ollama",
       {[](std::string_view bytes, bool, bool may_be_cut) { return check_ollama_stream(bytes, may_be_cut); },
        &check_ollama_reply, &check_ollama_error, &check_ollama_request, &split_lines, ".ndjson"}},
  };
  const auto found = judges.find(dialect);
  if (found == judges.end()) std::abort();
  return found->second;
}

dialect::ReaderOptions reading_from(std::string_view provider, std::string_view model) {
  dialect::ReaderOptions options;
  options.provider = provider;
  options.model = model;
  options.seed = 1;
  return options;
}

dialect::StreamWriterOptions writing_as_asked() {
  dialect::StreamWriterOptions options;
  options.model = "asked-model";
  options.id = "made-id";
  options.created_s = 1763700000;
  return options;
}

}  // namespace ccrules::test
