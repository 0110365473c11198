// Any bytes as an Anthropic stream: the same events whatever the cut, in the promised order, and a listener
// that agrees about the end.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/dialect.h"

namespace {

using namespace ccrules;

struct Run {
  std::vector<chat::Event> events;
  bool failed = false;
};

Run read(std::string_view bytes, std::size_t cut, bool listen) {
  Run run;
  const auto reader =
      listen ? dialect::anthropic().stream_listener() : dialect::anthropic().stream_reader({});
  run.failed = !reader->feed(bytes.substr(0, cut), run.events).ok();
  if (!run.failed) run.failed = !reader->feed(bytes.substr(cut), run.events).ok();
  if (!run.failed) run.failed = !reader->finish(run.events).ok();
  return run;
}

void require_order(const std::vector<chat::Event>& events, bool ended) {
  bool started = false;
  bool over = false;
  std::optional<std::uint32_t> open;
  std::uint32_t next = 0;
  for (const chat::Event& event : events) {
    if (over) std::abort();
    if (std::holds_alternative<chat::Ping>(event)) continue;
    if (std::holds_alternative<chat::StreamError>(event)) {
      over = true;
    } else if (std::holds_alternative<chat::MessageStart>(event)) {
      if (started) std::abort();
      started = true;
    } else if (!started) {
      std::abort();
    } else if (const auto* block = std::get_if<chat::BlockStart>(&event)) {
      if (open || block->index != next) std::abort();
      open = next++;
    } else if (const auto* delta = std::get_if<chat::BlockDelta>(&event)) {
      if (open != delta->index) std::abort();
    } else if (const auto* close = std::get_if<chat::BlockEnd>(&event)) {
      if (open != close->index) std::abort();
      open.reset();
    } else {
      if (open) std::abort();
      over = true;
    }
  }
  if (ended && !over) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view stream(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const std::size_t cut = stream.empty() ? 0 : bytes[0] * stream.size() / 256;
  const Run whole = read(stream, 0, false);
  const Run halves = read(stream, cut, false);
  if (whole.failed != halves.failed || whole.events.size() != halves.events.size()) std::abort();
  for (std::size_t i = 0; i < whole.events.size(); ++i) {
    if (whole.events[i].index() != halves.events[i].index()) std::abort();
  }
  require_order(whole.events, !whole.failed);
  const Run heard = read(stream, cut, true);
  if (!heard.failed) require_order(heard.events, true);
  std::string out;
  const auto writer = dialect::anthropic().stream_writer({});
  for (const chat::Event& event : whole.events) writer->write(event, out);
  return 0;
}
