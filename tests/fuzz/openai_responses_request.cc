// Any body: read or refused, never a crash; what is read can be written for every dialect as valid JSON. The
// bytes are also tried as a whole reply.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/json.h"
#include "dialect/dialect.h"

using namespace ccrules;

namespace {

void write_everywhere(const chat::Request& request, const dialect::Capabilities& target) {
  for (const char* name : {"openai_responses", "anthropic", "openai_chat"}) {
    chat::LossNotes losses;
    const auto written = dialect::by_name(name)->write_request(request, target, losses);
    if (written && !json::is_valid(*written)) std::abort();
  }
}

void read_as_reply(std::string_view body) {
  (void)dialect::openai_responses().peek_reply(body);
  const auto reply = dialect::openai_responses().read_reply(body, dialect::ReaderOptions{});
  if (!reply) return;
  for (const char* name : {"openai_responses", "anthropic", "openai_chat"}) {
    chat::LossNotes losses;
    const auto written = dialect::by_name(name)->write_reply(*reply, dialect::StreamWriterOptions{}, losses);
    if (!json::is_valid(written)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  std::string body(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const std::string_view padded = json::padded(body);
  read_as_reply(padded);
  const auto outline = dialect::openai_responses().outline(padded);
  const auto request = dialect::openai_responses().read_request(padded);
  if (!request) return 0;
  // The facts that rules decided on must be those of the request that is sent.
  if (outline && (outline->model != request->model || outline->stream != request->stream)) std::abort();

  dialect::Capabilities target;
  target.provider = "vendor";
  target.model = request->model;
  target.vision = (bytes[0] & 1) != 0;
  target.documents = (bytes[0] & 2) != 0;
  target.mid_system = (bytes[0] & 4) != 0;
  target.encrypted_reasoning = (bytes[0] & 8) != 0;
  target.user_identifiers = (bytes[0] & 16) != 0;
  target.prefill = (bytes[0] & 32) != 0;
  write_everywhere(*request, target);
  chat::Request foreign = *request;
  foreign.dialect = "anthropic";
  write_everywhere(foreign, target);
  return 0;
}
