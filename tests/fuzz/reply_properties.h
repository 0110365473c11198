#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "dialect/dialect.h"

/// What holds for any bytes as a whole reply of a dialect's provider: they are a reply or an error, never a crash; the error can
/// be told in every dialect, and the reply written in every dialect, whole and as a stream that ends clean.
namespace ccrules::fuzz {

inline constexpr const char* kDialects[] = {"anthropic", "openai_chat", "openai_responses", "gemini", "ollama"};

inline void require(bool holds) {
  if (!holds) std::abort();
}

inline void check_stream(const dialect::Dialect& to, const chat::Reply& reply) {
  dialect::StreamWriterOptions options;
  options.model = "m";
  std::string bytes;
  const auto writer = to.stream_writer(options);
  for (const chat::Event& event : chat::unroll(reply)) writer->write(event, bytes);
  const auto reader = to.stream_reader({});
  std::vector<chat::Event> events;
  require(reader->feed(bytes, events).ok() && (reader->ended() || reader->finish(events).ok()));
  require(!events.empty());
  bool clean = false;
  for (const chat::Event& event : events) {
    clean = clean || std::holds_alternative<chat::MessageEnd>(event);
    require(!std::holds_alternative<chat::StreamError>(event));
  }
  require(clean);
}

/// The first byte chooses the status of the error.
inline int check_reply(const dialect::Dialect& from, const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::string body(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  dialect::UpstreamFailure failure;
  failure.status = 200 + bytes[0] % 4 * 100 + bytes[0] % 32;
  failure.body = body;
  failure.provider = "p";
  const Error error = from.read_error(failure);
  require(error.http_status >= 400 && error.http_status <= 599);
  for (const char* name : kDialects) require(json::is_valid(dialect::by_name(name)->write_error(error, "req_1")));
  (void)from.peek_reply(body);
  const auto reply = from.read_reply(body, dialect::ReaderOptions{});
  if (!reply) return 0;
  for (const char* name : kDialects) {
    chat::LossNotes losses;
    const std::string written = dialect::by_name(name)->write_reply(*reply, dialect::StreamWriterOptions{}, losses);
    require(json::is_valid(written));
    require(dialect::by_name(name)->read_reply(written, {}).ok());
    check_stream(*dialect::by_name(name), *reply);
  }
  return 0;
}

}  // namespace ccrules::fuzz
