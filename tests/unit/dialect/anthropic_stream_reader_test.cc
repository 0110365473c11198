#include <string>

#include <catch2/catch.hpp>

#include "dialect/dialect.h"
#include "support/stream_cuts.h"

using namespace ccrules;

namespace {

std::string event(const std::string& type, const std::string& members = {}) {
  return "event: " + type + "\ndata: {\"type\":\"" + type + "\"" + (members.empty() ? "" : "," + members) +
         "}\n\n";
}

const std::string kStart = event(
    "message_start",
    R"("message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,)"
    R"("usage":{"input_tokens":25,"cache_creation_input_tokens":3,"cache_read_input_tokens":4,)"
    R"("cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":2},"output_tokens":1,"service_tier":null}})");
const std::string kStop = event("message_stop");

std::string open_block(int index, const std::string& block) {
  return event("content_block_start", "\"index\":" + std::to_string(index) + ",\"content_block\":" + block);
}
std::string delta(int index, const std::string& json) {
  return event("content_block_delta", "\"index\":" + std::to_string(index) + ",\"delta\":" + json);
}
std::string close_block(int index) {
  return event("content_block_stop", "\"index\":" + std::to_string(index));
}
std::string ending(const std::string& reason, const std::string& usage = R"({"output_tokens":15})") {
  return event("message_delta",
               R"("delta":{"stop_reason":")" + reason + R"(","stop_sequence":null},"usage":)" + usage) +
         kStop;
}
std::string text_block(int index, const std::string& text) {
  return open_block(index, R"({"type":"text","text":""})") +
         delta(index, R"({"type":"text_delta","text":")" + text + "\"}") + close_block(index);
}

std::string read(const std::string& bytes) {
  return test::to_text(test::read_every_cut(dialect::anthropic(), bytes));
}

const std::string kStarted = "start msg_1 m in=25 out=1 read=4 write=3 write_1h=2\n";

}  // namespace

TEST_CASE("an Anthropic stream becomes neutral events, whatever the cut of the bytes (G-19)") {
  CHECK(read(kStart + text_block(0, "h\xC3\xA9") + event("ping") + ending("end_turn")) ==
        kStarted +
            "open 0 text\ntext 0 \"h\xC3\xA9\"\nclose 0\nping\nend end_turn in=25 out=15 read=4 write=3 "
            "write_1h=2\n");
}

TEST_CASE("CRLF, CR, comments, a byte order mark and no space after the colon change nothing (G-19)") {
  const std::string stream = kStart + text_block(0, "Hi") + ending("end_turn");
  const std::string expected = read(stream);
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string out;
    for (std::size_t at = 0; at < stream.size();) {
      if (stream.compare(at, from.size(), from) == 0) {
        out += to;
        at += from.size();
      } else {
        out += stream[at++];
      }
    }
    return out;
  };
  CHECK(read(replaced("\n", "\r\n")) == expected);
  CHECK(read(replaced("\n", "\r")) == expected);
  CHECK(read(replaced("data: ", "data:")) == expected);
  CHECK(read(replaced("event: ", ": a comment\nevent: ")) == expected);
  CHECK(read("\xEF\xBB\xBF" + stream) == expected);
}

TEST_CASE("thinking, a signature and parallel tool calls keep their order") {
  CHECK(
      read(kStart + open_block(0, R"({"type":"thinking","thinking":"","signature":""})") +
           delta(0, R"({"type":"thinking_delta","thinking":"hm","estimated_tokens":5})") +
           delta(0, R"({"type":"signature_delta","signature":"c2ln"})") + close_block(0) +
           open_block(
               1,
               R"({"type":"tool_use","id":"toolu_1","name":"Read","input":{},"caller":{"type":"direct"}})") +
           delta(1, R"({"type":"input_json_delta","partial_json":""})") +
           delta(1, R"({"type":"input_json_delta","partial_json":"{\"a\":"})") +
           delta(1, R"({"type":"input_json_delta","partial_json":"1}"})") + close_block(1) +
           open_block(2, R"({"type":"tool_use","id":"toolu_2","name":"Stop","input":{}})") + close_block(2) +
           ending("tool_use")) ==
      kStarted +
          "open 0 thinking\nthinking 0 \"hm\"\nsignature 0 \"c2ln\"\nclose 0\n"
          "open 1 tool toolu_1 Read\narguments 1 \"{\"a\":\"\narguments 1 \"1}\"\nclose 1\n"
          "open 2 tool toolu_2 Stop\nclose 2\n"
          "end tool_use in=25 out=15 read=4 write=3 write_1h=2\n");
}

TEST_CASE("input that comes whole with the start of a tool call is not lost, unless deltas follow") {
  const std::string whole = open_block(0, R"({"type":"tool_use","id":"t","name":"n","input":{"a": 1}})");
  CHECK(read(kStart + whole + close_block(0) + ending("tool_use")).find("arguments 0 \"{\"a\":1}\"") !=
        std::string::npos);
  const std::string both =
      read(kStart + whole + delta(0, R"({"type":"input_json_delta","partial_json":"{}"})") + close_block(0) +
           ending("tool_use"));
  CHECK(both.find("{\"a\":1}") == std::string::npos);
}

TEST_CASE("redacted thinking and unknown blocks come out whole") {
  CHECK(
      read(kStart + open_block(0, R"({"type":"redacted_thinking","data":"xyz"})") + close_block(0) +
           open_block(1, R"({"type":"server_tool_use","id":"s","name":"web_search","input":{}})") +
           delta(1, R"({"type":"input_json_delta","partial_json":"{\"query\":"})") +
           delta(1, R"({"type":"input_json_delta","partial_json":"\"x\"}"})") + close_block(1) +
           open_block(2, R"({"type":"compaction","content":null})") +
           delta(2, R"({"type":"compaction_delta","content":"short","encrypted_content":"e"})") +
           close_block(2) + ending("end_turn")) ==
      kStarted +
          "open 0 redacted_thinking \"xyz\"\nclose 0\n"
          R"(open 1 opaque server_tool_use {"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"x"}})"
          "\nclose 1\n"
          R"(open 2 opaque compaction {"type":"compaction","content":"short","encrypted_content":"e"})"
          "\nclose 2\nend end_turn in=25 out=15 read=4 write=3 write_1h=2\n");
}

TEST_CASE("citations are handed on as they came") {
  const std::string citation =
      R"({"type":"citations_delta","citation":{"type":"char_location","cited_text":"x"}})";
  CHECK(read(kStart + open_block(0, R"({"type":"text","text":"","citations":[]})") + delta(0, citation) +
             close_block(0) + ending("end_turn"))
            .find("opaque 0 \"" + citation + "\"") != std::string::npos);
}

TEST_CASE("usage is cumulative: the last count wins, null and absent ones keep what was known (G-3)") {
  CHECK(read(kStart + text_block(0, "x") +
             event("message_delta", R"("delta":{},"usage":{"output_tokens":7,"input_tokens":null})") +
             ending("end_turn",
                    R"({"output_tokens":9,"input_tokens":30,"output_tokens_details":{"thinking_tokens":2}})"))
            .find("end end_turn in=30 out=9 read=4 write=3 write_1h=2 reasoning=2") != std::string::npos);
  CHECK(read(event("message_start", R"("message":{"id":"msg_1","model":"m"})") + text_block(0, "x") +
             event("message_delta", R"("delta":{"stop_reason":"end_turn"})") + kStop) ==
        "start msg_1 m\nopen 0 text\ntext 0 \"x\"\nclose 0\nend end_turn\n");
}

TEST_CASE("hostile usage numbers are not believed") {
  const std::string told = read(
      event("message_start",
            R"("message":{"usage":{"input_tokens":-5,"output_tokens":1e300,"cache_read_input_tokens":"many","cache_creation_input_tokens":7}})") +
      kStop);
  CHECK(told.find("write=7") != std::string::npos);
  for (const char* count : {"in=", "out=", "read="}) CHECK(told.find(count) == std::string::npos);
}

TEST_CASE("a stop sequence, a refusal and its details are kept (G-30)") {
  CHECK(read(kStart +
             event("message_delta", R"("delta":{"stop_reason":"stop_sequence","stop_sequence":"END"})") +
             kStop)
            .find("end stop_sequence \"END\"") != std::string::npos);
  CHECK(read(kStart +
             event("message_delta",
                   R"("delta":{"stop_reason":"refusal","stop_details":{"type":"refusal","category":"x"}})") +
             kStop)
            .find(R"(end refusal {"type":"refusal","category":"x"})") != std::string::npos);
}

TEST_CASE("a stream without message_stop was cut, and says so instead of ending cleanly (G-20)") {
  const std::string cut =
      "error api_error: the provider's stream was cut before its end: the answer is incomplete\n";
  CHECK(read(kStart + open_block(0, R"({"type":"text","text":""})")) == kStarted + "open 0 text\n" + cut);
  CHECK(
      read(kStart + text_block(0, "Hi") + event("message_delta", R"("delta":{"stop_reason":"end_turn"})")) ==
      kStarted + "open 0 text\ntext 0 \"Hi\"\nclose 0\n" + cut);
  CHECK(read(kStart + "event: message_st") == kStarted + cut);
  CHECK(read("") == "error api_error: the provider's stream ended before it began\n");
  CHECK(read(": only a comment\n\n") == "error api_error: the provider's stream ended before it began\n");
}

TEST_CASE("a last event without its blank line counts when it is whole (G-19)") {
  std::string stream = kStart + text_block(0, "Hi") + ending("end_turn");
  stream.resize(stream.size() - 1);
  CHECK(read(stream).find("end end_turn") != std::string::npos);
  stream.resize(stream.size() - 1);
  CHECK(read(stream).find("end end_turn") != std::string::npos);
}

TEST_CASE("an error event ends the stream as an error, also before message_start (G-20)") {
  const std::string error =
      event("error", R"("error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1")");
  CHECK(read(kStart + open_block(0, R"({"type":"text","text":""})") + error + "event: ping\ndata: {}\n\n") ==
        kStarted + "open 0 text\nerror overloaded_error: Overloaded\n");
  CHECK(read(error) == "error overloaded_error: Overloaded\n");
  CHECK(read(event("ping") + error) == "ping\nerror overloaded_error: Overloaded\n");
}

TEST_CASE("what a lax server leaves out is put in: start, stop of a block, stop reason, event names") {
  CHECK(read(open_block(0, R"({"type":"text","text":"Hi"})") + kStop) ==
        "start  \nopen 0 text\ntext 0 \"Hi\"\nclose 0\nend other\n");
  CHECK(read(kStart + open_block(0, R"({"type":"tool_use","id":"t","name":"n","input":{}})") + kStop)
            .find("end tool_use") != std::string::npos);
  CHECK(read("data: {\"type\":\"message_start\",\"message\":{\"id\":\"a\"}}\n\ndata: "
             "{\"type\":\"message_stop\"}\n\ndata: [DONE]\n\n") == "start a \nend other\n");
}

TEST_CASE("a second message_start and a delta that does not fit the open block lose nothing (G-26)") {
  CHECK(read(kStart + kStart + open_block(0, R"({"type":"text","text":""})") +
             delta(0, R"({"type":"thinking_delta","thinking":"hm"})") +
             delta(0, R"({"type":"text_delta","text":"Hi"})") + close_block(0) + ending("end_turn")) ==
        kStarted +
            "open 0 text\nclose 0\nopen 1 thinking\nthinking 1 \"hm\"\nclose 1\nopen 2 text\ntext 2 "
            "\"Hi\"\nclose 2\n"
            "end end_turn in=25 out=15 read=4 write=3 write_1h=2\n");
}

TEST_CASE("empty deltas open and write nothing (G-34)") {
  CHECK(read(kStart + open_block(0, R"({"type":"text","text":""})") +
             delta(0, R"({"type":"text_delta","text":""})") +
             delta(0, R"({"type":"thinking_delta","thinking":""})") + close_block(0) + ending("end_turn")) ==
        kStarted + "open 0 text\nclose 0\nend end_turn in=25 out=15 read=4 write=3 write_1h=2\n");
}

TEST_CASE("interleaved blocks and arguments without a call are a broken upstream") {
  CHECK(read(kStart + open_block(0, R"({"type":"text","text":""})") +
             delta(1, R"({"type":"text_delta","text":"x"})"))
            .find("failed: the provider's stream is not a valid Anthropic stream") != std::string::npos);
  CHECK(read(kStart + delta(0, R"({"type":"input_json_delta","partial_json":"{"})")).find("failed: ") !=
        std::string::npos);
  const auto run =
      test::read_every_cut(dialect::anthropic(), kStart + "event: message_delta\ndata: {\"delta\":\n\n");
  REQUIRE(run.error);
  CHECK(run.error->code == ErrorCode::kUpstreamProtocol);
  CHECK(run.error->http_status == 502);
}

TEST_CASE("a JSON body instead of a stream is read: a message is unrolled, an error is an error (G-19)") {
  CHECK(
      read(
          R"({"type":"message","id":"msg_1","model":"m","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn"})") ==
      "start msg_1 m\nopen 0 text\ntext 0 \"Hi\"\nclose 0\nend end_turn\n");
  CHECK(read(R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})") ==
        "error overloaded_error: Overloaded\n");
}

TEST_CASE(
    "an error body after a byte order mark, and a page of HTML, say what they say instead of being a cut") {
  CHECK(read("\xEF\xBB\xBF"
             R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})") ==
        "error overloaded_error: Overloaded\n");
  CHECK(read("\n<html><head><title>502 Bad Gateway</title></head></html>") ==
        "error api_error: the provider sent a page of HTML (\"502 Bad Gateway\") where an answer was expected; check that its base_url is "
        "the address of its API and what stands between\n");
  CHECK(read("error code: 502") ==
        "error api_error: the provider sent text (\"error code: 502\") where a stream of events was expected; check that its base_url is "
        "the address of its API and what stands between\n");
}

TEST_CASE(
    "Anthropic events without blank lines between them are read one a line, and none is lost silently") {
  std::string stream = kStart + text_block(0, "Hi") + ending("end_turn");
  const std::string whole = read(stream);
  for (std::size_t at = 0; (at = stream.find("\n\n", at)) != std::string::npos;) stream.erase(at, 1);
  CHECK(read(stream) == whole);
  const test::StreamRun run = test::read_every_cut(
      dialect::anthropic(), kStart + "data: {\"type\":\"ping\"} {\"type\":\"ping\"}\n\n");
  REQUIRE(run.error);
  CHECK(run.error->http_status == 502);
}

TEST_CASE("unknown events are skipped") {
  CHECK(read(kStart + event("message_progress", "\"x\":1") + kStop).find("end other") !=
        std::string::npos);
}

TEST_CASE("a listener sees the start, blocks, usage, errors and the end, without texts") {
  const auto reader = dialect::anthropic().stream_listener();
  std::vector<chat::Event> events;
  const std::string stream = kStart + text_block(0, "Hi") + event("ping") + ending("end_turn");
  for (const char c : stream) REQUIRE(reader->feed(std::string_view(&c, 1), events).ok());
  REQUIRE(reader->ended());
  REQUIRE(reader->finish(events).ok());
  CHECK(test::to_text(events) ==
        kStarted + "open 0 text\nclose 0\nping\nend end_turn in=25 out=15 read=4 write=3 write_1h=2\n");

  const auto cut = dialect::anthropic().stream_listener();
  events.clear();
  REQUIRE(cut->feed(kStart + event("error", R"("error":{"type":"api_error","message":"x"})"), events).ok());
  CHECK(test::to_text(events) == kStarted + "error api_error: x\n");
}
