#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/event.h"
#include "config/snapshot.h"
#include "dialect/dialect.h"
#include "proxy/event_array.h"
#include "proxy/visit.h"

namespace ccrules::proxy {

/// Keeps a verbatim stream cut at event boundaries, so that a ping or an error can be put between two events at
/// any time and a cut stream never ends in half an event. Copies only when an event spans two reads.
class WholeEvents {
 public:
  enum class Kind : std::uint8_t {
    kBlankLine,  ///< server-sent events: each ends with a blank line
    kLine        ///< newline-delimited JSON
  };
  explicit WholeEvents(Kind kind = Kind::kBlankLine) : kind_(kind) {}
  /// @return the whole events that are now complete, without the tail; valid until the next call or until
  /// `bytes` ends
  std::string_view take(std::string_view bytes);
  /// What waits for its end.
  [[nodiscard]] std::string_view rest() const { return tail_; }
  /// What is left when the stream has ended: a last event whose blank line is missing. Half an event is none.
  [[nodiscard]] std::string_view last() const;
  /// The stream is broken: half an event is worth nothing.
  void drop_rest() { tail_.clear(); }

 private:
  /// Length of the prefix that holds whole events; 0 when none ends behind `from`.
  [[nodiscard]] std::size_t whole_prefix(std::string_view bytes, std::size_t from) const;

  Kind kind_;
  std::string tail_;
  std::string ready_;
};

/// Upstream bytes in, client bytes out, for one stream; every event is shown to the visit on its way. No I/O.
class StreamBytes {
 public:
  struct Lane {
    bool native = false;
    bool as_array = false;          ///< server-sent events go out as one JSON array
    bool drop_usage_chunk = false;  ///< we asked for usage (OpenAI stream_options), the client did not
    const config::Provider* provider = nullptr;  ///< whose key must not go out
    const dialect::Dialect* spoken = nullptr;
    dialect::StreamWriterOptions options;
  };
  StreamBytes(Lane lane, dialect::StreamReader& reader, Visit& visit);

  /// What arrived before the reply was committed.
  std::string_view begin(std::string_view held, const std::vector<chat::Event>& events);
  std::string_view take(std::string_view bytes);
  /// The upstream ended (`failure` null) or broke. A stream that is not complete gets its error event.
  std::string_view end(const Error* failure);
  /// Something harmless to send after a silence.
  std::string_view ping();
  /// True when the client has been told that the message is over.
  [[nodiscard]] bool complete() const { return over_; }
  /// True when the upstream sent what cannot be read: the client has its error, and nothing may follow it.
  [[nodiscard]] bool broken() const { return broken_; }
  /// True when end() would add nothing.
  [[nodiscard]] bool nothing_left() const {
    return over_ && whole_.rest().empty() && (!lane_.as_array || array_.ended());
  }

 private:
  /// What the client gets of the events in `bytes`.
  std::string_view framed(std::string_view bytes) { return lane_.as_array ? array_.take(bytes) : bytes; }
  std::string_view take_events(std::string_view bytes);
  std::string_view end_events(const Error* failure);
  void write(const chat::Event& event);
  void show(const chat::Event& event);
  void count_passed_over();
  /// Verbatim bytes as the client gets them.
  std::string_view forward(std::string_view bytes);
  dialect::StreamWriter& writer();
  /// The upstream's bytes cannot be read on.
  std::string_view unreadable(Error error);
  std::string_view fail(std::string type, std::string message);

  Lane lane_;
  dialect::StreamReader& reader_;
  Visit& visit_;
  std::unique_ptr<dialect::StreamWriter> writer_;
  WholeEvents whole_;
  EventArray array_;
  std::vector<chat::Event> events_;
  std::string out_;
  std::int64_t counted_bytes_ = 0;  ///< of those that the reader has passed over
  bool over_ = false;
  bool broken_ = false;
  bool hide_key_ = false;  ///< an error or what follows an end: ordinary events are not searched for our key
};

}  // namespace ccrules::proxy
