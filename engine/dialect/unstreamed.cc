#include "dialect/unstreamed.h"

#include <algorithm>
#include <array>

#include "core/limits.h"

namespace ccrules::dialect {
namespace {

/// How a stream of events begins.
constexpr std::array<std::string_view, 5> kFields = {":", "data:", "event:", "id:", "retry:"};

}  // namespace

Result<bool> UnstreamedBody::take(std::string_view bytes) {
  if (kind_ == Kind::kEvents) return false;
  if (kind_ == Kind::kUnknown) {
    // The mark byte by byte: it may be cut, too.
    const std::size_t first = bytes.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
    if (first == std::string_view::npos) return false;
    const char byte = bytes[first];
    kind_ = byte == '{' || byte == '[' || byte == '<' ? Kind::kBody : Kind::kStart;
    bytes.remove_prefix(first);
  }
  if (kind_ == Kind::kStart) {
    watch(bytes);
    return false;
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

void UnstreamedBody::watch(std::string_view bytes) {
  // Nearly every stream is known by its first feed, and nothing is kept of it.
  constexpr std::size_t kLongest = 6;
  if (text_.size() < kLongest) {
    const std::string_view more = bytes.substr(0, kLongest - text_.size());
    text_ += more;
    bytes.remove_prefix(more.size());
    const bool field = std::any_of(kFields.begin(), kFields.end(), [this](std::string_view name) { return text_.starts_with(name); });
    if (field) {
      text_.clear();
      kind_ = Kind::kEvents;
      return;
    }
  }
  text_ += bytes.substr(0, limits::kErrorMessageBytes - text_.size());
  if (text_.size() == limits::kErrorMessageBytes) kind_ = Kind::kEvents;
}

}  // namespace ccrules::dialect
