#include "provider/event_stream.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "core/checksum.h"
#include "core/json.h"
#include "core/limits.h"
#include "dialect/signature.h"

namespace ccrules::provider {
namespace {

constexpr std::size_t kPreludeBytes = 12;
constexpr std::size_t kChecksumBytes = 4;

Error wrong_stream(const std::string& what) {
  Error error;
  error.code = ErrorCode::kUpstreamProtocol;
  error.origin = Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = 502;
  error.message = "the provider's event stream " + what + "; check that its base_url is a Bedrock runtime endpoint and what stands between";
  return error;
}

std::uint32_t number(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

/// What the headers of a message say; views into the message.
struct Headers {
  std::string_view message_type;
  std::string_view event_type;
  std::string_view exception_type;
  std::string_view error_code;
  std::string_view error_message;
};

/// Bytes of a header's value whose type has a fixed size.
std::optional<std::size_t> fixed_bytes(unsigned type) {
  switch (type) {
    case 0:  // true
    case 1:  // false
      return 0;
    case 2:
      return 1;
    case 3:
      return 2;
    case 4:
      return 4;
    case 5:
    case 8:  // a moment
      return 8;
    case 9:  // a UUID
      return 16;
    default:
      return std::nullopt;
  }
}

/// Takes `size` bytes off the front; nullopt when there are fewer.
std::optional<std::string_view> take(std::string_view& rest, std::size_t size) {
  if (size > rest.size()) return std::nullopt;
  const std::string_view taken = rest.substr(0, size);
  rest.remove_prefix(size);
  return taken;
}

std::optional<std::string_view> take_value(std::string_view& rest, unsigned type) {
  if (const auto size = fixed_bytes(type)) return take(rest, *size);
  if (type != 6 && type != 7) return std::nullopt;
  const auto size = take(rest, 2);
  return size ? take(rest, number(*size)) : std::nullopt;
}

std::optional<Headers> read_headers(std::string_view rest) {
  Headers headers;
  while (!rest.empty()) {
    const auto name_size = take(rest, 1);
    const auto name = name_size ? take(rest, number(*name_size)) : std::nullopt;
    const auto type = name ? take(rest, 1) : std::nullopt;
    const auto value = type ? take_value(rest, number(*type)) : std::nullopt;
    if (!value) return std::nullopt;
    if (*name == ":message-type") headers.message_type = *value;
    if (*name == ":event-type") headers.event_type = *value;
    if (*name == ":exception-type") headers.exception_type = *value;
    if (*name == ":error-code") headers.error_code = *value;
    if (*name == ":error-message") headers.error_message = *value;
  }
  return headers;
}

/// Anthropic's name for what Bedrock calls an exception.
std::string_view error_type(std::string_view exception) {
  if (exception == "throttlingException") return "rate_limit_error";
  if (exception == "validationException") return "invalid_request_error";
  if (exception == "modelTimeoutException") return "timeout_error";
  if (exception == "serviceUnavailableException") return "overloaded_error";
  return "api_error";
}

std::string string_member(std::string_view object_json, std::string_view name) {
  auto document = json::Document::open_view(object_json);
  if (!document) return {};
  auto members = document->root_object();
  while (members && members->next()) {
    if (members->key() != name || !members->value().is(json::Type::kString)) continue;
    const auto text = members->value().string();
    return text ? std::string(*text) : std::string();
  }
  return {};
}

void append_event(std::string_view name, std::string_view json, std::string& sse) {
  sse += "event: ";
  sse += name;
  sse += "\ndata: ";
  const std::size_t begin = sse.size();
  sse += json;
  // In JSON they stand between tokens only; here they would end the event.
  std::replace_if(sse.begin() + static_cast<std::ptrdiff_t>(begin), sse.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  sse += "\n\n";
}

void append_error(std::string_view kind, std::string_view words, std::string& sse) {
  std::string json;
  json::Writer writer(json);
  writer.begin_object();
  writer.member("type", "error");
  writer.key("error");
  writer.begin_object();
  writer.member("type", error_type(kind));
  const std::string named = std::string(kind.empty() ? "an error of no name" : kind);
  writer.member("message", words.empty() ? "Bedrock broke its answer off with " + named : std::string(words));
  writer.end_object();
  writer.end_object();
  append_event("error", json, sse);
}

Result<void> append_chunk(std::string_view payload, std::string& sse) {
  const auto event = dialect::signature::from_base64(string_member(payload, "bytes"));
  if (!event || event->empty()) return wrong_stream("holds a chunk without an event");
  const std::string type = string_member(*event, "type");
  const bool plain = !type.empty() && std::all_of(type.begin(), type.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
  if (!plain) return wrong_stream("holds a chunk that is no event of Anthropic's");
  append_event(type, *event, sse);
  return {};
}

Result<void> append_message(std::string_view message, std::size_t header_bytes, std::string& sse) {
  const auto headers = read_headers(message.substr(kPreludeBytes, header_bytes));
  if (!headers) return wrong_stream("holds headers that cannot be read");
  const std::size_t begin = kPreludeBytes + header_bytes;
  const std::string_view payload = message.substr(begin, message.size() - begin - kChecksumBytes);
  if (headers->message_type == "exception") {
    append_error(headers->exception_type, string_member(payload, "message"), sse);
  } else if (headers->message_type == "error") {
    append_error(headers->error_code, headers->error_message, sse);
  } else if (headers->event_type == "chunk") {
    return append_chunk(payload, sse);
  }
  return {};
}

/// @return how many bytes were whole messages
Result<std::size_t> take_messages(std::string_view bytes, std::string& sse) {
  std::size_t at = 0;
  while (bytes.size() - at >= kPreludeBytes) {
    const std::string_view rest = bytes.substr(at);
    if (number(rest.substr(8, 4)) != digest::crc32(rest.substr(0, 8))) return wrong_stream("fails its checksum, or is something else");
    const std::size_t total = number(rest.substr(0, 4));
    const std::size_t header_bytes = number(rest.substr(4, 4));
    if (total > limits::kSseEventBytes) return wrong_stream("holds a message larger than " + std::to_string(limits::kSseEventBytes >> 20) + " MiB");
    if (total < kPreludeBytes + kChecksumBytes || header_bytes > total - kPreludeBytes - kChecksumBytes)
      return wrong_stream("holds a message whose lengths do not fit");
    if (rest.size() < total) break;
    const std::string_view message = rest.substr(0, total);
    if (number(message.substr(total - kChecksumBytes)) != digest::crc32(message.substr(0, total - kChecksumBytes)))
      return wrong_stream("fails its checksum");
    CCR_CHECK(append_message(message, header_bytes, sse));
    at += total;
  }
  return at;
}

}  // namespace

Result<void> EventStreamDecoder::feed(std::string_view bytes, std::string& sse) {
  if (unfinished_.empty()) {
    CCR_TRY(taken, take_messages(bytes, sse));
    unfinished_.assign(bytes.substr(taken));
  } else {
    unfinished_ += bytes;
    CCR_TRY(taken, take_messages(unfinished_, sse));
    unfinished_.erase(0, taken);
  }
  return {};
}

namespace {

class UnframedReply final : public http::ReplyStream {
 public:
  explicit UnframedReply(std::unique_ptr<http::ReplyStream> framed) : framed_(std::move(framed)), headers_(framed_->headers()) {
    headers_.set("content-type", "text/event-stream; charset=utf-8");
    headers_.remove("content-length");
  }
  [[nodiscard]] int status() const noexcept override { return framed_->status(); }
  [[nodiscard]] const http::Headers& headers() const noexcept override { return headers_; }
  Task<Result<http::Chunk>> read(std::chrono::milliseconds patience, StopToken stop) override;

 private:
  std::unique_ptr<http::ReplyStream> framed_;
  http::Headers headers_;
  EventStreamDecoder decoder_;
  std::string sse_;
  std::optional<Error> wrong_;  ///< what the next read says
};

Task<Result<http::Chunk>> UnframedReply::read(std::chrono::milliseconds patience, StopToken stop) {
  if (wrong_) co_return *std::exchange(wrong_, std::nullopt);
  auto chunk = co_await framed_->read(patience, stop);
  if (!chunk.ok() || chunk->quiet) co_return chunk;
  sse_.clear();
  if (auto fed = decoder_.feed(chunk->bytes, sse_); !fed.ok()) {
    wrong_ = std::move(fed).error();
  } else if (chunk->end && !decoder_.complete()) {
    wrong_ = wrong_stream("ended inside a message");
    wrong_->code = ErrorCode::kConnectionLost;
  }
  // What came whole before it goes on first, as if it had come alone.
  if (wrong_ && sse_.empty()) co_return *std::exchange(wrong_, std::nullopt);
  if (wrong_) chunk->end = false;
  chunk->bytes = sse_;
  co_return chunk;
}

}  // namespace

std::unique_ptr<http::ReplyStream> as_server_sent(std::unique_ptr<http::ReplyStream> reply) {
  return std::make_unique<UnframedReply>(std::move(reply));
}

}  // namespace ccrules::provider
