#include "proxy/stream_bytes.h"

#include <catch2/catch.hpp>

using ccrules::proxy::WholeEvents;

namespace {

/// Feeds `text` in pieces of `size`; returns what came out, with '|' after every non-empty piece.
std::string in_pieces(std::string_view text, std::size_t size) {
  WholeEvents events;
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += size) {
    const std::string_view whole = events.take(text.substr(at, size));
    if (whole.empty()) continue;
    const bool ends_blank = whole.ends_with("\n\n") || whole.ends_with("\n\r") || whole.ends_with("\r\r") ||
                            whole.ends_with("\r\n\r\n") || whole.ends_with("\n\r\n");
    CHECK(ends_blank);  // "\r\n\r" is a blank line too: its line feed may still be on its way
    out += whole;
  }
  out += events.rest();
  return out;
}

}  // namespace

TEST_CASE("a stream cut anywhere leaves in whole events, byte for byte") {
  const std::string stream =
      "event: a\ndata: {\"x\":1}\n\nevent: b\r\ndata: 2\r\n\r\n: comment\n\ndata: 3\r\rdata: [DONE]\n\n";
  for (std::size_t size = 1; size <= stream.size(); ++size) CHECK(in_pieces(stream, size) == stream);
}

TEST_CASE("half an event is held back until its blank line comes") {
  WholeEvents events;
  CHECK(events.take("data: 1\n\ndata: 2").empty() == false);
  CHECK(events.rest() == "data: 2");
  CHECK(events.take("\n").empty());
  CHECK(events.take("\n") == "data: 2\n\n");
  CHECK(events.rest().empty());
}

TEST_CASE("a last event without its blank line is kept for a proper end") {
  WholeEvents events;
  CHECK(events.take("data: 1\n\ndata: [DONE]\n") == "data: 1\n\n");
  CHECK(events.rest() == "data: [DONE]\n");
  CHECK(events.last() == "data: [DONE]\n");
}

TEST_CASE("what a stream ends with is an event that lacks its blank line, or a body in place of a stream, but never half of one") {
  const auto last = [](std::string_view end) {
    WholeEvents events;
    events.take(end);
    return std::string(events.last());
  };
  for (const char* whole : {"data: {\"a\":1}", "event: x\r\ndata: {\"a\":1}\r\n", "data: {\"a\":1}\ndata: {\"b\":2}\ndata: [DONE]",
                            "data: {\ndata: \"a\":1}\n", "{\"id\":\"body\"}\n"}) {
    CHECK(last(whole) == whole);
  }
  for (const char* half : {"d", "data", "data: ", "event: x\n", "data: {\"a\"", "data: {\"a\":1}\ndata: {\"b\"", "data: [DO", "{\"id\":"}) {
    CHECK(last(half).empty());
  }
}

TEST_CASE("newline-delimited JSON leaves line by line") {
  WholeEvents lines(WholeEvents::Kind::kLine);
  CHECK(lines.take("{\"a\":1}\n{\"b\"") == "{\"a\":1}\n");
  CHECK(lines.take(":2").empty());
  CHECK(lines.take("}\n{") == "{\"b\":2}\n");
  CHECK(lines.rest() == "{");
  CHECK(lines.last().empty());
}
