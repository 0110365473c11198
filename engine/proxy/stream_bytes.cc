#include "proxy/stream_bytes.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "core/json.h"
#include "core/limits.h"
#include "core/sse.h"
#include "core/text.h"
#include "dialect/data_lines.h"
#include "provider/provider.h"
#include "proxy/attempts.h"

namespace ccrules::proxy {
namespace {

bool is_break(char byte) {
  return byte == '\n' || byte == '\r';
}

/// True when the line that ends before `at` is blank. Lines may end in CR LF, LF or CR, each its own way.
bool ends_blank_line(std::string_view bytes, std::size_t at) {
  if (at < 2 || !is_break(bytes[at - 1]) || !is_break(bytes[at - 2])) return false;
  const bool one_break = bytes[at - 2] == '\r' && bytes[at - 1] == '\n';
  return !one_break || (at > 2 && is_break(bytes[at - 3]));
}

/// Length of the first event with its blank line.
std::size_t first_event(std::string_view events) {
  if (events.find('\r') == std::string_view::npos) {
    const auto blank = events.find("\n\n");
    return blank == std::string_view::npos ? events.size() : blank + 2;
  }
  std::size_t at = 2;
  while (at < events.size() && (!ends_blank_line(events, at) || events[at] == '\n')) ++at;
  return std::min(at, events.size());
}

/// OpenAI's last chunk when usage was asked for: it has no choices. (Azure's first one has none either, and no usage.)
bool is_usage_chunk(std::string_view event) {
  const auto holds = [event](std::string_view text) { return event.find(text) != std::string_view::npos; };
  return (holds("\"choices\":[]") || holds("\"choices\": []")) && (holds("\"usage\":{") || holds("\"usage\": {"));
}

void without_usage_chunks(std::string_view events, std::string& out) {
  while (!events.empty()) {
    const std::string_view event = events.substr(0, first_event(events));
    if (!is_usage_chunk(event)) out += event;
    events.remove_prefix(event.size());
  }
}

}  // namespace

std::string_view WholeEvents::last() const {
  if (json::is_valid(text::trim(tail_))) return tail_;  // a line, or one body in place of a stream
  sse::Decoder decoder;
  decoder.feed(tail_);
  sse::Event event;
  (void)decoder.next(event);  // no event ends in it
  if (!decoder.finish(event) || event.data.empty()) return {};
  dialect::DataLines lines(event.data);
  for (std::string_view json; lines.next(json);) {
    if (json != "[DONE]" && !json::is_valid(json)) return {};
  }
  return tail_;
}

std::size_t WholeEvents::whole_prefix(std::string_view bytes, std::size_t from) const {
  std::size_t at = bytes.size();
  if (kind_ == Kind::kLine) {
    while (at > from && bytes[at - 1] != '\n') --at;
  } else {
    while (at > from && !ends_blank_line(bytes, at)) --at;
  }
  return at > from ? at : 0;
}

std::string_view WholeEvents::take(std::string_view bytes) {
  if (tail_.empty()) {
    const std::size_t whole = whole_prefix(bytes, 0);
    if (whole != bytes.size()) tail_.assign(bytes.substr(whole));
    return bytes.substr(0, whole);
  }
  const std::size_t searched = tail_.size();  // again for every read, a huge event would cost its square
  tail_ += bytes;
  const std::size_t whole = whole_prefix(tail_, searched);
  ready_.assign(tail_, 0, whole);
  tail_.erase(0, whole);
  return ready_;
}

StreamBytes::StreamBytes(Lane lane, dialect::StreamReader& reader, Visit& visit)
    : lane_(std::move(lane)),
      reader_(reader),
      visit_(visit),
      whole_(lane_.spoken->stream_type() == "text/event-stream" ? WholeEvents::Kind::kBlankLine
                                                                : WholeEvents::Kind::kLine) {}

dialect::StreamWriter& StreamBytes::writer() {
  if (!writer_) writer_ = lane_.spoken->stream_writer(lane_.options);
  return *writer_;
}

void StreamBytes::write(const chat::Event& event) {
  if (const auto* failed = std::get_if<chat::StreamError>(&event)) {
    chat::Event told = *failed;
    auto& message = std::get<chat::StreamError>(told).message;
    message = provider::without_key(std::move(message), *lane_.provider);
    hide_key_ = true;
    show(told);
  } else {
    show(event);
  }
}

void StreamBytes::show(const chat::Event& event) {
  visit_.observe(event);
  if (!lane_.native) writer().write(event, out_);
  over_ = over_ || std::holds_alternative<chat::MessageEnd>(event) ||
          std::holds_alternative<chat::StreamError>(event);
}

void StreamBytes::count_passed_over() {
  const std::int64_t bytes = reader_.passed_over_bytes();
  visit_.output_text_bytes += bytes - std::exchange(counted_bytes_, bytes);
}

std::string_view StreamBytes::forward(std::string_view bytes) {
  const std::string_view whole = whole_.take(bytes);
  if (!lane_.drop_usage_chunk && !hide_key_) return whole;
  if (lane_.drop_usage_chunk) {
    without_usage_chunks(whole, out_);
  } else {
    out_ = whole;
  }
  if (hide_key_) out_ = provider::without_key(std::move(out_), *lane_.provider);
  return out_;
}

std::string_view StreamBytes::begin(std::string_view held, const std::vector<chat::Event>& events) {
  out_.clear();
  for (const chat::Event& event : events) write(event);
  count_passed_over();
  return framed(lane_.native ? forward(held) : out_);
}

std::string_view StreamBytes::take(std::string_view bytes) {
  return framed(take_events(bytes));
}

std::string_view StreamBytes::end(const Error* failure) {
  const std::string_view events = end_events(failure);
  return lane_.as_array ? array_.end(events) : events;
}

std::string_view StreamBytes::take_events(std::string_view bytes) {
  out_.clear();
  events_.clear();
  hide_key_ = hide_key_ || over_;
  if (auto fed = reader_.feed(bytes, events_); !fed) return unreadable(std::move(fed).error());
  for (const chat::Event& event : events_) write(event);
  count_passed_over();
  if (!lane_.native) return out_;
  const std::string_view whole = forward(bytes);
  // Lines that carry no data are none of the reader's business, but they are held here until their blank
  // line.
  if (whole_.rest().size() > limits::kSseEventBytes) return unreadable(sse::too_large());
  return whole;
}

std::string_view StreamBytes::end_events(const Error* failure) {
  out_.clear();
  if (over_) {
    if (lane_.native) out_ = provider::without_key(std::string(whole_.last()), *lane_.provider);
    return out_;
  }
  events_.clear();
  if (auto finished = reader_.finish(events_); !finished) return unreadable(std::move(finished).error());
  for (const chat::Event& event : events_) {
    if (const auto* cut = std::get_if<chat::StreamError>(&event)) {
      return failure != nullptr
                 ? fail(failure->code == ErrorCode::kUpstreamTimeout  ? "timeout_error"
                        : failure->code == ErrorCode::kBudgetExceeded ? "billing_error"
                                                                      : "api_error",
                        failure->message)
                 : fail(cut->type, cut->message);
    }
    write(event);
  }
  if (!lane_.native) return out_;
  out_ = whole_.last();
  return out_;
}

std::string_view StreamBytes::unreadable(Error error) {
  return fail("api_error", name_provider(std::move(error), *lane_.provider).message);
}

std::string_view StreamBytes::fail(std::string type, std::string message) {
  broken_ = true;
  whole_.drop_rest();
  if (over_) return out_;  // the client knows how the message ended
  visit_.abandon();
  chat::StreamError failed;
  failed.type = std::move(type);
  failed.message = provider::without_key(std::move(message), *lane_.provider);
  const chat::Event event = std::move(failed);
  visit_.observe(event);
  over_ = true;
  writer().write(event, out_);
  return out_;
}

std::string_view StreamBytes::ping() {
  return framed(writer().ping());
}

}  // namespace ccrules::proxy
