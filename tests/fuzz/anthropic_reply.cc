// Any body: a reply or an error, never a crash; what is read can be written in both dialects as valid JSON.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/json.h"
#include "dialect/dialect.h"

using namespace ccrules;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  dialect::UpstreamFailure failure;
  failure.status = 200 + bytes[0] % 4 * 100 + bytes[0] % 32;
  failure.body = body;
  const Error error = dialect::anthropic().read_error(failure);
  if (error.http_status < 400 || error.http_status > 599) std::abort();
  for (const dialect::Dialect* dialect : {&dialect::anthropic(), &dialect::anthropic()}) {
    if (!json::is_valid(dialect->write_error(error, "req_1"))) std::abort();
  }
  (void)dialect::anthropic().peek_reply(body);
  const auto reply = dialect::anthropic().read_reply(body, dialect::ReaderOptions{});
  if (!reply) return 0;
  for (const dialect::Dialect* dialect : {&dialect::anthropic(), &dialect::anthropic()}) {
    chat::LossNotes losses;
    if (!json::is_valid(dialect->write_reply(*reply, dialect::StreamWriterOptions{}, losses))) std::abort();
  }
  return 0;
}
