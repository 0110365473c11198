// Any bytes as Bedrock's event stream: the same in every cut, and what comes out are whole server-sent events. The
// checksums of a second run are made right, so that the bytes behind them are read, too.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/sse.h"
#include "provider/event_stream.h"
#include "support/amazon_events.h"

namespace {

using namespace ccrules;

struct Run {
  std::string sse;
  bool refused = false;
  bool complete = false;
};

Run decode(std::string_view bytes, std::size_t piece_bytes) {
  Run run;
  provider::EventStreamDecoder decoder;
  for (std::size_t at = 0; at < bytes.size() && !run.refused; at += piece_bytes) {
    const std::string piece(bytes.substr(at, piece_bytes));
    run.refused = !decoder.feed(piece, run.sse).ok();
  }
  run.complete = decoder.complete();
  return run;
}

void check(std::string_view bytes, std::size_t piece_bytes) {
  const Run whole = decode(bytes, bytes.size() + 1);
  const Run pieces = decode(bytes, piece_bytes);
  if (whole.sse != pieces.sse || whole.refused != pieces.refused) std::abort();
  if (!whole.refused && whole.complete != pieces.complete) std::abort();
  sse::Decoder events;
  sse::Event event;
  events.feed(whole.sse);
  while (events.next(event) == sse::Step::kEvent) {
    if (event.name.empty() || event.data.empty()) std::abort();
  }
  if (events.finish(event)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 2, size - 2);
  const std::size_t piece_bytes = bytes[0] % 61u + 1;
  check(text, piece_bytes);
  const std::size_t header_bytes = std::min<std::size_t>(bytes[1], text.size());
  const std::string framed = test::amazon_message(text.substr(0, header_bytes), text.substr(header_bytes));
  check(framed + test::amazon_chunk(text) + framed, piece_bytes);
  return 0;
}
