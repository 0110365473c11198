// Any bytes as an Anthropic request: outline and reader never crash, and what was read can be written and
// read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/json.h"
#include "dialect/dialect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace ccrules;
  std::string body(reinterpret_cast<const char*>(bytes), size);
  const std::string_view padded = json::padded(body);
  const auto outline = dialect::anthropic().outline(padded);
  const auto request = dialect::anthropic().read_request(padded);
  if (!request.ok()) return 0;
  if (outline.ok() && outline->model != request->model) std::abort();
  for (int variant = 0; variant < 2; ++variant) {
    dialect::Capabilities target;
    target.model = "m";
    target.mid_system = variant == 0;
    target.thinking_adaptive = variant == 0;
    target.thinking_enabled = variant != 0;
    target.vision = variant == 0;
    chat::Request copy = *request;
    if (variant == 1) copy.dialect = "openai_chat";
    chat::LossNotes losses;
    auto written = dialect::anthropic().write_request(copy, target, losses);
    if (!written.ok()) continue;
    if (!json::is_valid(*written)) std::abort();
    if (!dialect::anthropic().outline(json::padded(*written)).ok()) std::abort();
    if (!dialect::anthropic().read_request(json::padded(*written)).ok()) std::abort();
  }
  return 0;
}
