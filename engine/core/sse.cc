#include "core/sse.h"

#include <algorithm>

#include "core/limits.h"
#include "core/text.h"

namespace ccrules::sse {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kNone = std::string_view::npos;

}  // namespace

void Decoder::feed(std::string_view bytes) {
  input_ = bytes;
  position_ = 0;
  if (skip_line_feed_ && !bytes.empty()) {
    if (bytes.front() == '\n') position_ = 1;
    skip_line_feed_ = false;
  }
  line_feed_ = input_.find('\n', position_);
  carriage_return_ = input_.find('\r', position_);
}

Step Decoder::next(Event& event) {
  if (dispatched_) begin_event();
  std::string_view line;
  while (next_line(line)) {
    if (!line.empty()) {
      take_field(line);
      if (data_.size() > limits::kSseEventBytes) return Step::kTooLarge;
      continue;
    }
    if (!has_data_) {
      begin_event();
      continue;
    }
    event = Event{name_, data_, true};
    dispatched_ = true;
    return Step::kEvent;
  }
  keep_unfinished();
  return line_.size() + data_.size() > limits::kSseEventBytes ? Step::kTooLarge : Step::kStarved;
}

bool Decoder::finish(Event& event) {
  if (dispatched_) begin_event();
  if (!line_.empty()) {
    joined_line_ = true;
    std::string_view line = whole_line_from_parts();
    if (at_start_) skip_byte_order_mark(line);
    if (!line.empty()) take_field(line);
  }
  if (!has_data_) return false;
  event = Event{name_, data_, false};
  dispatched_ = true;
  return true;
}

bool Decoder::next_line(std::string_view& line) {
  const std::size_t end = std::min(line_feed_, carriage_return_);
  if (end == kNone) return false;
  line = input_.substr(position_, end - position_);
  position_ = end + 1;
  if (end == carriage_return_) {
    if (position_ == input_.size()) {
      skip_line_feed_ = true;
    } else if (position_ == line_feed_) {
      ++position_;
      line_feed_ = input_.find('\n', position_);
    }
    carriage_return_ = input_.find('\r', position_);
  } else {
    line_feed_ = input_.find('\n', position_);
  }
  joined_line_ = !line_.empty();
  if (joined_line_) {
    line_ += line;
    line = whole_line_from_parts();
  }
  if (at_start_) skip_byte_order_mark(line);
  return true;
}

std::string_view Decoder::whole_line_from_parts() {
  whole_line_.swap(line_);
  line_.clear();
  return whole_line_;
}

void Decoder::skip_byte_order_mark(std::string_view& line) {
  at_start_ = false;
  if (line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
}

void Decoder::take_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  if (field != "data" && field != "event") return keep_stray(line);
  std::string_view value = colon == kNone ? std::string_view() : line.substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  // A line that was put together from two feeds lives in a buffer that the next such line overwrites.
  if (field == "event") {
    name_owned_ = joined_line_;
    if (joined_line_) name_bytes_.assign(value);
    name_ = joined_line_ ? std::string_view(name_bytes_) : value;
    return;
  }
  if (has_data_) {
    if (!data_owned_) data_bytes_.assign(data_);
    data_bytes_ += '\n';
    data_bytes_ += value;
    data_owned_ = true;
    data_ = data_bytes_;
    return;
  }
  has_data_ = true;
  data_owned_ = joined_line_;
  if (joined_line_) data_bytes_.assign(value);
  data_ = joined_line_ ? std::string_view(data_bytes_) : value;
}

void Decoder::keep_stray(std::string_view line) {
  if (stray_json_.empty() && line.front() != '{' && line.front() != '[') return;
  if (line.front() == ':' || stray_json_.size() + line.size() >= limits::kErrorBodyBytes) return;
  stray_json_.append(line) += '\n';
}

void Decoder::begin_event() {
  data_ = {};
  name_ = {};
  has_data_ = data_owned_ = name_owned_ = dispatched_ = false;
  // One huge event must not keep its memory for the rest of a long stream.
  constexpr std::size_t kKeptBytes = 64 * 1024;
  for (std::string* buffer : {&data_bytes_, &whole_line_}) {
    if (buffer->capacity() > kKeptBytes) text::give_back(*buffer);
  }
}

void Decoder::keep_unfinished() {
  if (has_data_ && !data_owned_) {
    data_bytes_.assign(data_);
    data_ = data_bytes_;
    data_owned_ = true;
  }
  if (!name_.empty() && !name_owned_) {
    name_bytes_.assign(name_);
    name_ = name_bytes_;
    name_owned_ = true;
  }
  line_ += input_.substr(position_);
  input_ = {};
  position_ = 0;
  line_feed_ = carriage_return_ = kNone;
}

Error too_large() {
  Error error;
  error.code = ErrorCode::kUpstreamProtocol;
  error.origin = Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = 502;
  error.message = "the provider sent a stream event larger than " +
                  std::to_string(limits::kSseEventBytes >> 20) +
                  " MiB; route this request to another provider or model";
  return error;
}

}  // namespace ccrules::sse
