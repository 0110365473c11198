// Any body: read or refused, never a crash; what is read can be written for both dialects as valid JSON, and
// what a chat client's body is written as can be read again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/json.h"
#include "dialect/dialect.h"

using namespace ccrules;

namespace {

void write_and_check(const dialect::Dialect& dialect, const chat::Request& request,
                     const dialect::Capabilities& target) {
  chat::LossNotes losses;
  const auto written = dialect.write_request(request, target, losses);
  if (written && !json::is_valid(*written)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  std::string body(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const std::string_view padded = json::padded(body);
  const auto outline = dialect::anthropic().outline(padded);
  const auto request = dialect::anthropic().read_request(padded);
  if (!request) return 0;
  // The facts that rules decided on must be those of the request that is sent.
  if (outline && (outline->model != request->model || outline->stream != request->stream)) std::abort();

  dialect::Capabilities target;
  target.provider = "vendor";
  target.model = request->model;
  target.vision = (bytes[0] & 1) != 0;
  target.documents = (bytes[0] & 2) != 0;
  target.mid_system = (bytes[0] & 4) != 0;
  target.tool_message_images = (bytes[0] & 8) != 0;
  target.nine_character_tool_ids = (bytes[0] & 16) != 0;
  target.cache_control = (bytes[0] & 32) != 0;
  target.prefill = (bytes[0] & 64) != 0;
  if ((bytes[0] & 128) != 0) target.reasoning_replay = "reasoning_details";
  write_and_check(dialect::anthropic(), *request, target);
  write_and_check(dialect::anthropic(), *request, target);
  chat::Request foreign = *request;
  foreign.dialect = "anthropic";
  write_and_check(dialect::anthropic(), foreign, target);
  return 0;
}
