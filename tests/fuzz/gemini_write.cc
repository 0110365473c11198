// Any Anthropic body that is read can be written for Google as valid JSON, its tools' schemas in both forms.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/json.h"
#include "dialect/dialect.h"

using namespace ccrules;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  std::string body(reinterpret_cast<const char*>(bytes), size);
  const auto request = dialect::anthropic().read_request(json::padded(body));
  if (!request) return 0;
  for (const char* model : {"gemini-2.5-pro", "gemini-3.5-flash"}) {
    for (const bool json_schema : {false, true}) {
      dialect::Capabilities target;
      target.provider = "google";
      target.model = model;
      target.json_schema = json_schema;
      chat::LossNotes losses;
      const auto written = dialect::gemini_dialect().write_request(*request, target, losses);
      if (!written) continue;
      if (!json::is_valid(*written)) std::abort();
      std::string copy = *written;
      if (!dialect::gemini_dialect().read_request(json::padded(copy))) std::abort();
    }
  }
  return 0;
}
