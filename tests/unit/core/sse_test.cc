#include "core/sse.h"

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "support/byte_cuts.h"

using ccrules::sse::Decoder;
using ccrules::sse::Event;
using ccrules::sse::Step;

namespace {

/// "name|data" of each event; a trailing one without blank line ends in "!".
std::vector<std::string> decode(const std::vector<std::string>& pieces) {
  Decoder decoder;
  Event event;
  std::vector<std::string> events;
  for (const std::string& piece : pieces) {
    decoder.feed(piece);
    Step step = decoder.next(event);
    for (; step == Step::kEvent; step = decoder.next(event)) {
      events.push_back(std::string(event.name) + "|" + std::string(event.data));
    }
    REQUIRE(step == Step::kStarved);
  }
  if (decoder.finish(event)) {
    CHECK_FALSE(event.terminated);
    events.push_back(std::string(event.name) + "|" + std::string(event.data) + "!");
  }
  return events;
}

void check_every_cut(const std::string& bytes, const std::vector<std::string>& expected) {
  CAPTURE(bytes);
  ccrules::test::for_every_cut(bytes, [&](const std::vector<std::string>& pieces) {
    const std::vector<std::string> events = decode(pieces);
    if (events != expected) {
      CAPTURE(pieces);
      REQUIRE(events == expected);
    }
  });
  SUCCEED();
}

}  // namespace

TEST_CASE("events end at blank lines with LF, CRLF, CR and any mixture of them") {
  const std::vector<std::string> expected = {"a|1", "|2"};
  check_every_cut("event: a\ndata: 1\n\ndata: 2\n\n", expected);
  check_every_cut("event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", expected);
  check_every_cut("event: a\rdata: 1\r\rdata: 2\r\r", expected);
  check_every_cut("event: a\r\ndata: 1\n\r\ndata: 2\r\n\r", expected);
}

TEST_CASE("data may come with or without the space, and only one space is taken") {
  check_every_cut("data:x\n\ndata: x\n\ndata:  x\n\ndata\n\n", {"|x", "|x", "| x", "|"});
}

TEST_CASE("several data lines are joined by LF, around other fields too") {
  check_every_cut("data: {\nevent: e\ndata:   \"a\": 1\nid: 7\ndata: }\n\n", {"e|{\n  \"a\": 1\n}"});
  check_every_cut("data\ndata\n\n", {"|\n"});
}

TEST_CASE("comments, ids, retry times, unknown fields and events without data are skipped") {
  check_every_cut(
      ": OPENROUTER PROCESSING\n\n:\n\nid: 1\nretry: 10\nfoo: bar\n\nevent: lonely\n\ndata: 1\n\n", {"|1"});
}

TEST_CASE("a blank line too many, as some keep-alives send, changes nothing") {
  check_every_cut("\n\n\r\n\rdata: 1\n\n\n\n", {"|1"});
}

TEST_CASE("a byte order mark is skipped at the start of the stream and nowhere else") {
  check_every_cut(
      "\xEF\xBB\xBF"
      "data: 1\n\n\xEF\xBB\xBF"
      "data: 2\n\n",
      {"|1"});
  check_every_cut(
      "\xEF\xBB\xBF\n"
      "data: 1\n\n",
      {"|1"});
}

TEST_CASE("an event without its closing blank line is available at the end, marked as unterminated") {
  check_every_cut("data: 1\n\nevent: e\ndata: [DONE]", {"|1", "e|[DONE]!"});
  check_every_cut("data: 1\n", {"|1!"});
  check_every_cut("data: 1\n\nevent: e\n", {"|1"});
}

TEST_CASE("multi-byte UTF-8 and NUL survive every cut") {
  check_every_cut(std::string("data: \xF0\x9F\x8E\x89\xE2\x82\xAC\0z\n\n", 17),
                  {std::string("|\xF0\x9F\x8E\x89\xE2\x82\xAC\0z", 10)});
}

TEST_CASE("an event that lies whole in one feed is a view into it") {
  const std::string bytes = "event: a\ndata: hello\n\n";
  Decoder decoder;
  Event event;
  decoder.feed(bytes);
  REQUIRE(decoder.next(event) == Step::kEvent);
  CHECK(event.data.data() == bytes.data() + bytes.find("hello"));
  CHECK(event.name.data() == bytes.data() + 7);
  CHECK(decoder.next(event) == Step::kStarved);
}

TEST_CASE("an event or a line beyond the limit ends the decoding") {
  const std::string chunk(1 << 20, 'x');
  const auto feed_until_refused = [&](const std::string& prefix, const std::string& piece) {
    Decoder decoder;
    Event event;
    decoder.feed(prefix);
    REQUIRE(decoder.next(event) == Step::kStarved);
    for (std::size_t fed = 0; fed <= ccrules::limits::kSseEventBytes + (1u << 21); fed += piece.size()) {
      decoder.feed(piece);
      const Step step = decoder.next(event);
      if (step == Step::kTooLarge) return fed;
      REQUIRE(step == Step::kStarved);
    }
    FAIL("no limit");
    return std::size_t(0);
  };
  CHECK(feed_until_refused("data: ", chunk) <= ccrules::limits::kSseEventBytes);
  CHECK(feed_until_refused("", "data: " + chunk + "\n") <= ccrules::limits::kSseEventBytes);
  CHECK(ccrules::sse::too_large().http_status == 502);
}
