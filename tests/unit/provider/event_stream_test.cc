#include "provider/event_stream.h"

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "dialect/dialect.h"
#include "support/amazon_events.h"
#include "support/byte_cuts.h"
#include "support/stream_cuts.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;
using provider::EventStreamDecoder;

namespace {

/// The server-sent events, or "refused: ..." and why.
std::string decode(const std::vector<std::string>& pieces) {
  EventStreamDecoder decoder;
  std::string sse;
  for (const std::string& piece : pieces) {
    if (const auto fed = decoder.feed(piece, sse); !fed.ok()) return sse + "refused: " + fed.error().message;
  }
  return sse + (decoder.complete() ? "" : "unfinished");
}

/// The same for every cut.
std::string decode(const std::string& bytes) {
  const std::string whole = decode(std::vector<std::string>{bytes});
  for_every_cut(bytes, [&](const std::vector<std::string>& pieces) {
    const std::string again = decode(pieces);
    if (again != whole) FAIL_CHECK("other cut: " << again);
  });
  return whole;
}

constexpr const char* kText = R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Grüße"}})";

}  // namespace

TEST_CASE("a chunk of Bedrock's is the server-sent event that it carries, in every cut") {
  CHECK(decode(amazon_chunk(kText)) == std::string("event: content_block_delta\ndata: ") + kText + "\n\n");
  CHECK(decode(amazon_chunk(R"({"type":"ping"})") + amazon_chunk(R"({"type":"message_stop"})")) ==
        "event: ping\ndata: {\"type\":\"ping\"}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

TEST_CASE("the message without headers and payload from Amazon's description of the encoding has the checksums written there") {
  const std::string empty("\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff", 16);
  CHECK(amazon_message("", "") == empty);
  CHECK(decode(empty) == "");
}

TEST_CASE("line ends between the tokens of an event do not end it") {
  CHECK(decode(amazon_chunk("{\n\"type\":\"ping\"\r\n}")) == "event: ping\ndata: { \"type\":\"ping\"  }\n\n");
}

TEST_CASE("an exception inside the stream is the error event that Anthropic would send") {
  const auto told = [](const char* type) { return decode(amazon_exception(type, "Too many requests.")); };
  CHECK(told("throttlingException") ==
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Too many requests.\"}}\n\n");
  CHECK_THAT(told("validationException"), Contains("invalid_request_error"));
  CHECK_THAT(told("modelTimeoutException"), Contains("timeout_error"));
  CHECK_THAT(told("serviceUnavailableException"), Contains("overloaded_error"));
  CHECK_THAT(told("modelStreamErrorException"), Contains("api_error"));
  CHECK_THAT(told("internalServerException"), Contains("api_error"));
  const std::string unmodelled =
      amazon_header(":message-type", "error") + amazon_header(":error-code", "InternalError") + amazon_header(":error-message", "broken");
  CHECK_THAT(decode(amazon_message(unmodelled, "")), Contains(R"("message":"broken")"));
  CHECK_THAT(decode(amazon_message(amazon_header(":message-type", "exception") + amazon_header(":exception-type", "x"), "")),
             Contains("Bedrock broke its answer off with x"));
}

TEST_CASE("headers of every type are passed over, and messages of other kinds say nothing") {
  const auto header = [](const char* name, char type, const std::string& value) {
    return network_order(static_cast<std::uint32_t>(std::string(name).size()), 1) + name + type + value;
  };
  const std::string all = header("a", 0, "") + header("b", 1, "") + header("c", 2, "1") + header("d", 3, "12") + header("e", 4, "1234") +
                          header("f", 5, "12345678") + header("g", 6, network_order(3, 2) + "xyz") + header("h", 8, "12345678") +
                          header("i", 9, "1234567890123456") + amazon_header(":event-type", "chunk");
  CHECK(decode(amazon_message(all, R"({"bytes":")" + dialect::signature::to_base64(R"({"type":"ping"})") + "\"}")) ==
        "event: ping\ndata: {\"type\":\"ping\"}\n\n");
  CHECK(decode(amazon_message(amazon_header(":event-type", "initial-response"), "{}")) == "");
}

TEST_CASE("a wrong byte anywhere in a message is found") {
  const std::string good = amazon_chunk(R"({"type":"ping"})");
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    INFO("byte " << at);
    CHECK_THAT(decode(std::vector<std::string>{bad}), Contains("refused: the provider's event stream"));
  }
}

TEST_CASE("bytes that are no such messages are refused with a sentence") {
  const auto refused = [](const std::string& bytes) { return decode(bytes); };
  CHECK_THAT(refused("<!doctype html><html></html>"), Contains("fails its checksum, or is something else"));
  CHECK_THAT(refused(amazon_message(amazon_header(":event-type", "chunk"), "{}")), Contains("a chunk without an event"));
  CHECK_THAT(refused(amazon_message(amazon_header(":event-type", "chunk"), R"({"bytes":"*"})")), Contains("a chunk without an event"));
  CHECK_THAT(refused(amazon_chunk("[]")), Contains("no event of Anthropic's"));
  CHECK_THAT(refused(amazon_chunk(R"({"type":"a\nevent: b"})")), Contains("no event of Anthropic's"));
  CHECK_THAT(refused(amazon_message("\x05:abc", "")), Contains("headers that cannot be read"));
  CHECK_THAT(refused(amazon_message(std::string("\x01") + "a" + "\x0B", "")), Contains("headers that cannot be read"));
  const auto prelude = [](std::uint32_t total, std::uint32_t headers) {
    const std::string lengths = network_order(total) + network_order(headers);
    return lengths + network_order(digest::crc32(lengths));
  };
  CHECK_THAT(refused(prelude(15, 0)), Contains("lengths do not fit"));
  CHECK_THAT(refused(prelude(20, 5)), Contains("lengths do not fit"));
  CHECK_THAT(refused(prelude(limits::kSseEventBytes + 1, 0)), Contains("larger than"));
}

TEST_CASE("a stream that ends inside a message is not complete") {
  const std::string good = amazon_chunk(R"({"type":"ping"})");
  for (std::size_t size = 1; size < good.size(); ++size) CHECK(decode(std::vector<std::string>{good.substr(0, size)}) == "unfinished");
}

TEST_CASE("an answer of Bedrock's reads as the same events as Anthropic's own") {
  const std::vector<std::string> events = {
      R"({"type":"message_start","message":{"id":"m","model":"x","usage":{"input_tokens":3}}})",
      R"({"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}})",
      R"({"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}})",
      R"({"type":"content_block_stop","index":0})",
      R"({"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":5}})",
      R"({"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3}})"};
  std::string framed;
  std::string plain;
  for (const std::string& event : events) {
    framed += amazon_chunk(event);
    plain += "data: " + event + "\n\n";
  }
  const std::string expected = to_text(read_every_cut(dialect::anthropic(), plain));
  for_every_cut(framed, [&](const std::vector<std::string>& pieces) {
    const std::string sse = decode(pieces);
    CHECK(to_text(read_pieces(dialect::anthropic(), {sse})) == expected);
  });
}
