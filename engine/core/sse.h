#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"

/// Server-sent events, as the WHATWG HTML standard (chapter 9.2) reads them, from bytes that arrive in any
/// cut.
namespace ccrules::sse {

/// One dispatched event. Views are valid until the next call of the Decoder.
struct Event {
  std::string_view name;   ///< The `event:` field; empty when there was none.
  std::string_view data;   ///< All `data:` lines, joined by LF; may be empty.
  bool terminated = true;  ///< False only from finish(): the closing blank line never came.
};

enum class Step : std::uint8_t {
  kEvent,    ///< An event was handed out; call next() again.
  kStarved,  ///< Everything fed was taken; feed more.
  kTooLarge  ///< An event is larger than limits::kSseEventBytes; the stream is not to be read on.
};

/// Incremental decoder. Line ends are LF, CRLF and CR; a leading byte order mark, comments, `id:`, `retry:`
/// and unknown fields are skipped. An event whose bytes lie in one feed is handed out without a copy. Linear
/// in the bytes whatever the cuts are. Not thread-safe.
///
///   decoder.feed(bytes);
///   while (decoder.next(event) == sse::Step::kEvent) use(event);
class Decoder {
 public:
  /// `bytes` must stay readable until next() returned something else than kEvent; what is unfinished then is
  /// copied. Precondition: next() has answered kStarved since the last feed.
  void feed(std::string_view bytes);
  Step next(Event& event);
  /// The bytes ended. True when an event was left without its closing blank line (Event::terminated is false
  /// then).
  bool finish(Event& event);
  /// Lines that are no fields, from the first one that begins as a JSON object or array does, each with its end: what some servers
  /// say of a failure in the middle of a stream. At most limits::kErrorBodyBytes.
  [[nodiscard]] std::string_view stray_json() const { return stray_json_; }

 private:
  bool next_line(std::string_view& line);
  std::string_view whole_line_from_parts();
  void skip_byte_order_mark(std::string_view& line);
  void take_field(std::string_view line);
  void keep_stray(std::string_view line);
  void begin_event();
  void keep_unfinished();

  std::string_view input_;
  std::size_t position_ = 0;
  std::size_t line_feed_ = 0;        ///< Next LF at or after position_; npos when the input has none.
  std::size_t carriage_return_ = 0;  ///< Next CR, likewise.
  std::string line_;                 ///< Start of a line whose end has not arrived.
  std::string stray_json_;
  std::string whole_line_;           ///< The line that line_ became, while its views are in use.
  std::string data_bytes_;           ///< Backs data_ when it is not a view into the input.
  std::string name_bytes_;           ///< Backs name_, likewise.
  std::string_view data_;
  std::string_view name_;
  bool has_data_ = false;
  bool data_owned_ = false;
  bool name_owned_ = false;
  bool joined_line_ = false;  ///< The current line is in whole_line_, not in the input.
  bool dispatched_ = false;
  bool skip_line_feed_ = false;  ///< The last line ended in CR at the end of a feed: an LF now belongs to it.
  bool at_start_ = true;         ///< No line was read yet: a byte order mark may come.
};

/// The error for kTooLarge: the upstream broke the protocol.
Error too_large();

}  // namespace ccrules::sse
