#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "http/message.h"

/// Bedrock's streams: application/vnd.amazon.eventstream, binary messages that carry Anthropic's events in base64.
namespace ccrules::provider {

inline constexpr std::string_view kEventStreamType = "application/vnd.amazon.eventstream";

/// Turns such messages into the server-sent events that Anthropic itself would have sent, from bytes in any cut.
/// A message: total length, length of its headers, CRC-32 of these two; headers; payload; CRC-32 of all before it;
/// numbers in network order. Source: Amazon's description of the encoding and of InvokeModelWithResponseStream
/// (smithy.io, docs.aws.amazon.com; seen 2026-11-20). Exceptions become an `error` event of Anthropic's kind; messages
/// of other kinds say nothing here. Not thread-safe.
class EventStreamDecoder {
 public:
  /// Appends what became complete. Error (502, kUpstreamProtocol): a checksum, a length or a payload is wrong; the
  /// stream is not to be read on.
  Result<void> feed(std::string_view bytes, std::string& sse);
  /// True when the bytes so far end with a message.
  [[nodiscard]] bool complete() const { return unfinished_.empty(); }

 private:
  std::string unfinished_;  ///< start of a message whose end has not come
};

/// The reply with its messages turned into server-sent events, and headers that fit. A stream that ends inside a
/// message is kConnectionLost.
std::unique_ptr<http::ReplyStream> as_server_sent(std::unique_ptr<http::ReplyStream> reply);

}  // namespace ccrules::provider
