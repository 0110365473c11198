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
  const auto outline = dialect::ollama_chat().outline(padded);
  const auto request = dialect::ollama_chat().read_request(padded);
  if (!request) return 0;
  // The facts that rules decided on must be those of the request that is sent.
  if (outline && (outline->model != request->model || outline->stream != request->stream)) std::abort();
  dialect::Capabilities target;
  target.provider = "vendor";
  target.model = request->model;
  target.vision = (bytes[0] & 1) != 0;
  target.mid_system = (bytes[0] & 2) != 0;
  target.prefill = (bytes[0] & 4) != 0;
  target.sampling = (bytes[0] & 8) != 0;
  for (const char* dialect : {"ollama", "anthropic"}) {
    chat::Request copy = *request;
    copy.dialect = dialect;
    for (const dialect::Dialect* to : {&dialect::ollama_chat(), &dialect::anthropic(), &dialect::openai_chat()}) {
      chat::LossNotes losses;
      const auto written = to->write_request(copy, target, losses);
      if (written && !json::is_valid(*written)) std::abort();
    }
  }
  return 0;
}
