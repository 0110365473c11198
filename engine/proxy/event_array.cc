#include "proxy/event_array.h"

namespace ccrules::proxy {

void EventArray::put(std::string_view data) {
  if (data.empty()) return;
  out_ += begun_ ? ",\r\n" : "[";
  out_ += data;
  begun_ = true;
}

std::string_view EventArray::take(std::string_view events) {
  out_.clear();
  if (ended_ || events.empty()) return out_;
  decoder_.feed(events);
  sse::Event event;
  while (decoder_.next(event) == sse::Step::kEvent) put(event.data);
  if (out_.empty()) out_ = "\n";
  return out_;
}

std::string_view EventArray::end(std::string_view events) {
  take(events);
  if (ended_) return out_;
  sse::Event event;
  if (decoder_.finish(event)) put(event.data);
  out_ += begun_ ? "]" : "[]";
  ended_ = true;
  return out_;
}

}  // namespace ccrules::proxy
