// Any body: read or refused, never a crash; what is read can be written for every dialect as valid JSON.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/json.h"
#include "dialect/dialect.h"

using namespace ccrules;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  std::string body(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const std::string_view padded = json::padded(body);
  const auto outline = dialect::gemini_dialect().outline(padded);
  const auto request = dialect::gemini_dialect().read_request(padded);
  if (!request) return 0;
  // The facts that rules decided on must be those of the request that is sent.
  if (outline && (outline->max_tokens != request->max_tokens || outline->effort != request->effort)) std::abort();
  dialect::Capabilities target;
  target.provider = "vendor";
  target.model = (bytes[0] & 32) != 0 ? "gemini-2.5-pro" : "gemini-3.5-flash";
  target.vision = (bytes[0] & 1) != 0;
  target.json_schema = (bytes[0] & 2) != 0;
  target.prefill = (bytes[0] & 4) != 0;
  target.sampling = (bytes[0] & 8) != 0;
  for (const char* dialect : {"gemini", "anthropic"}) {
    chat::Request copy = *request;
    copy.dialect = dialect;
    for (const char* to : {"gemini", "anthropic", "openai_chat", "ollama"}) {
      chat::LossNotes losses;
      const auto written = dialect::by_name(to)->write_request(copy, target, losses);
      if (written && !json::is_valid(*written)) std::abort();
    }
  }
  return 0;
}
