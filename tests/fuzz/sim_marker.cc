#include "provider/sim_marker.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/assert.h"
#include "core/json.h"
#include "provider/sim_input.h"

/// Markers and schemas come from whoever sends a request.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace ccrules;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  if (const auto span = provider::sim::find_marker(text)) {
    CCR_ASSERT(span->begin < span->end && span->end <= size);
    (void)provider::sim::parse_marker(
        text.substr(span->begin, span->end - span->begin));  // any outcome but a crash
  }
  (void)provider::sim::parse_script(text);  // the same
  CCR_ASSERT(json::is_valid(provider::sim::plausible_input(text)));
  return 0;
}
