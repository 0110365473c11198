#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/dialect.h"

namespace ccrules::test {

/// What a StreamReader made of some bytes.
struct StreamRun {
  std::vector<chat::Event> events;
  std::optional<Error> error;  ///< of feed() or finish(), which ended the run
};

/// Feeds the pieces to a fresh reader of `dialect`, then finish().
StreamRun read_pieces(const dialect::Dialect& dialect, const std::vector<std::string_view>& pieces);

/// Reads `bytes` whole, byte by byte, and cut in two at every position; fails the test when any run differs from the
/// first, or breaks the order promised in chat/event.h. @return the run.
StreamRun read_every_cut(const dialect::Dialect& dialect, std::string_view bytes);

/// What breaks the order promised in chat/event.h, "" when nothing does. `ended`: the stream is over.
std::string order_fault(const std::vector<chat::Event>& events, bool ended = true);

/// One short line per event, for comparing and for reading: `text 0 "Hi"`, `end end_turn in=25 out=15`.
std::string to_text(const chat::Event& event);
std::string to_text(const chat::Usage& usage);
std::string to_text(const std::vector<chat::Event>& events);
std::string to_text(const StreamRun& run);
const char* name_of(chat::StopReason reason);

/// Writes all events with a fresh writer. @return the bytes.
std::string write_stream(const dialect::Dialect& dialect, const std::vector<chat::Event>& events,
                         const dialect::StreamWriterOptions& options);

}  // namespace ccrules::test
