#include "dialect/unstreamed.h"

#include "core/limits.h"

namespace ccrules::dialect {

Result<bool> UnstreamedBody::take(std::string_view bytes) {
  if (kind_ == Kind::kEvents) return false;
  if (kind_ == Kind::kUnknown) {
    // The mark byte by byte: it may be cut, too.
    const std::size_t first = bytes.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
    if (first == std::string_view::npos) return false;
    const char byte = bytes[first];
    kind_ = byte == '{' || byte == '[' || byte == '<' ? Kind::kBody : Kind::kEvents;
    if (kind_ == Kind::kEvents) return false;
    bytes.remove_prefix(first);
  }
  if (text_.size() + bytes.size() > limits::kReplyBytes) {
    Error error;
    error.code = ErrorCode::kUpstreamProtocol;
    error.origin = Origin::kUpstream;
    error.retry = Retry::kNextTarget;
    error.http_status = 502;
    error.message = "the provider answered a request for a stream with one body larger than " +
                    std::to_string(limits::kReplyBytes >> 20) +
                    " MiB; route this request to another provider or model";
    return error;
  }
  text_ += bytes;
  return true;
}

}  // namespace ccrules::dialect
