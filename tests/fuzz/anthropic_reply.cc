// Any bytes as an Anthropic reply or error: never a crash; what was read can be written whole and as a
// stream.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/json.h"
#include "dialect/dialect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace ccrules;
  const std::string body(reinterpret_cast<const char*>(bytes), size);
  (void)dialect::anthropic().peek_reply(body);
  dialect::UpstreamFailure failure;
  failure.status = 400;
  failure.body = body;
  failure.provider = "p";
  if (!json::is_valid(dialect::anthropic().write_error(dialect::anthropic().read_error(failure), "req_1")))
    std::abort();
  const auto reply = dialect::anthropic().read_reply(body, {});
  if (!reply.ok()) return 0;
  dialect::StreamWriterOptions options;
  options.model = "m";
  chat::LossNotes losses;
  const std::string written = dialect::anthropic().write_reply(*reply, options, losses);
  if (!json::is_valid(written)) std::abort();
  if (!dialect::anthropic().read_reply(written, {}).ok()) std::abort();
  std::string stream;
  const auto writer = dialect::anthropic().stream_writer(options);
  for (const chat::Event& event : chat::unroll(*reply)) writer->write(event, stream);
  const auto reader = dialect::anthropic().stream_reader({});
  std::vector<chat::Event> events;
  if (!reader->feed(stream, events).ok() || !reader->finish(events).ok()) std::abort();
  if (events.empty() || !std::holds_alternative<chat::MessageEnd>(events.back())) std::abort();
  return 0;
}
