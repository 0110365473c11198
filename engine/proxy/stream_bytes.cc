#include "proxy/stream_bytes.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace ccrules::proxy {
namespace {

/// Length of the prefix that ends with the last blank line; 0 when there is none.
std::size_t whole_prefix(std::string_view bytes) {
  if (bytes.ends_with("\n\n")) return bytes.size();
  std::size_t longest = 0;
  for (const std::string_view blank :
       {std::string_view("\n\n"), std::string_view("\r\n\r\n"), std::string_view("\r\r")}) {
    const auto at = bytes.rfind(blank);
    if (at != std::string_view::npos) longest = std::max(longest, at + blank.size());
  }
  return longest;
}

/// OpenAI's last chunk when usage was asked for: it has no choices.
bool is_usage_chunk(std::string_view event) {
  return event.find("\"choices\":[]") != std::string_view::npos ||
         event.find("\"choices\": []") != std::string_view::npos;
}

void without_usage_chunks(std::string_view events, std::string& out) {
  while (!events.empty()) {
    const auto blank = events.find("\n\n");
    const std::string_view event =
        events.substr(0, blank == std::string_view::npos ? events.size() : blank + 2);
    if (!is_usage_chunk(event)) out += event;
    events.remove_prefix(event.size());
  }
}

}  // namespace

std::string_view WholeEvents::take(std::string_view bytes) {
  if (tail_.empty()) {
    const std::size_t whole = whole_prefix(bytes);
    if (whole != bytes.size()) tail_.assign(bytes.substr(whole));
    return bytes.substr(0, whole);
  }
  tail_ += bytes;
  const std::size_t whole = whole_prefix(tail_);
  ready_.assign(tail_, 0, whole);
  tail_.erase(0, whole);
  return ready_;
}

StreamBytes::StreamBytes(Lane lane, dialect::StreamReader& reader, Visit& visit)
    : lane_(std::move(lane)), reader_(reader), visit_(visit) {}

dialect::StreamWriter& StreamBytes::writer() {
  if (!writer_) writer_ = lane_.spoken->stream_writer(lane_.options);
  return *writer_;
}

void StreamBytes::write(const chat::Event& event) {
  visit_.observe(event);
  const bool ends =
      std::holds_alternative<chat::MessageEnd>(event) || std::holds_alternative<chat::StreamError>(event);
  if (!lane_.native) writer().write(event, out_);
  over_ = over_ || ends;
}

std::string_view StreamBytes::begin(std::string_view held, const std::vector<chat::Event>& events) {
  out_.clear();
  for (const chat::Event& event : events) write(event);
  if (!lane_.native) return out_;
  const std::string_view whole = whole_.take(held);
  if (!lane_.drop_usage_chunk) return whole;
  without_usage_chunks(whole, out_);
  return out_;
}

std::string_view StreamBytes::take(std::string_view bytes) {
  out_.clear();
  events_.clear();
  if (auto fed = reader_.feed(bytes, events_); !fed) return fail("api_error", fed.error().message);
  for (const chat::Event& event : events_) write(event);
  if (!lane_.native) return out_;
  const std::string_view whole = whole_.take(bytes);
  if (!lane_.drop_usage_chunk) return whole;
  without_usage_chunks(whole, out_);
  return out_;
}

std::string_view StreamBytes::end(const Error* failure) {
  out_.clear();
  if (over_) return lane_.native ? whole_.rest() : std::string_view();
  events_.clear();
  if (auto finished = reader_.finish(events_); !finished) return fail("api_error", finished.error().message);
  for (const chat::Event& event : events_) {
    if (const auto* cut = std::get_if<chat::StreamError>(&event)) {
      return failure != nullptr
                 ? fail(failure->code == ErrorCode::kUpstreamTimeout ? "timeout_error" : "api_error",
                        failure->message)
                 : fail(cut->type, cut->message);
    }
    write(event);
  }
  if (!lane_.native) return out_;
  out_ = whole_.rest();
  return out_;
}

std::string_view StreamBytes::fail(std::string type, std::string message) {
  chat::StreamError failed;
  failed.type = std::move(type);
  failed.message = std::move(message);
  const chat::Event event = std::move(failed);
  visit_.observe(event);
  over_ = true;
  writer().write(event, out_);
  return out_;
}

std::string_view StreamBytes::ping() {
  return writer().ping();
}

}  // namespace ccrules::proxy
