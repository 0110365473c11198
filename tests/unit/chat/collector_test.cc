#include <catch2/catch.hpp>

#include "chat/event.h"
#include "chat/loss.h"
#include "support/stream_cuts.h"

using namespace ccrules;
using namespace ccrules::chat;

namespace {

Reply reply_with_everything() {
  Reply reply;
  reply.id = "msg_1";
  reply.model = "m";
  Thinking thinking;
  thinking.text = "hm";
  thinking.signature = "sig";
  Thinking redacted;
  redacted.text = "opaque data";
  redacted.redacted = true;
  Text text;
  text.text = "Hi";
  text.extra_json = R"({"citations":[{"type":"char_location","n":1},{"type":"char_location","n":2}]})";
  ToolCall call;
  call.id = "toolu_1";
  call.name = "Read";
  call.arguments_json = R"({"path":"a"})";
  Opaque opaque;
  opaque.dialect = "anthropic";
  opaque.type = "web_search_tool_result";
  opaque.json = R"({"type":"web_search_tool_result"})";
  reply.blocks = {Block{thinking}, Block{redacted}, Block{text}, Block{call}, Block{opaque}};
  reply.reason = StopReason::kToolUse;
  reply.usage.input_tokens = 25;
  reply.usage.output_tokens = 15;
  return reply;
}

}  // namespace

TEST_CASE("a reply unrolled into events reads like a stream of it") {
  const auto events = unroll(reply_with_everything());
  CHECK(test::order_fault(events) == "");
  CHECK(test::to_text(events) ==
        "start msg_1 m in=25\n"
        "open 0 thinking\nthinking 0 \"hm\"\nsignature 0 \"sig\"\nclose 0\n"
        "open 1 redacted_thinking \"opaque data\"\nclose 1\n"
        "open 2 text\ntext 2 \"Hi\"\n"
        "opaque 2 \"{\"type\":\"citations_delta\",\"citation\":{\"type\":\"char_location\",\"n\":1}}\"\n"
        "opaque 2 \"{\"type\":\"citations_delta\",\"citation\":{\"type\":\"char_location\",\"n\":2}}\"\nclose 2\n"
        "open 3 tool toolu_1 Read\narguments 3 \"{\"path\":\"a\"}\"\nclose 3\n"
        "open 4 opaque web_search_tool_result {\"type\":\"web_search_tool_result\"}\nclose 4\n"
        "end tool_use in=25 out=15\n");
}

TEST_CASE("collecting the events of an unrolled reply gives the reply back") {
  const Reply reply = reply_with_everything();
  Collector collector;
  for (const Event& event : unroll(reply)) collector.add(event);
  REQUIRE(collector.complete());
  const Reply again = collector.take();
  CHECK(test::to_text(unroll(again)) == test::to_text(unroll(reply)));
  CHECK(std::get<Text>(again.blocks[2].value).extra_json == std::get<Text>(reply.blocks[2].value).extra_json);
}

TEST_CASE("a stream that broke is not complete, whatever came before") {
  Collector collector;
  collector.add(MessageStart{"msg_1", "m", {}});
  collector.add(BlockStart{0, Block{Text{}}});
  collector.add(BlockDelta{0, DeltaKind::kText, "Hal"});
  CHECK_FALSE(collector.complete());
  collector.add(StreamError{"api_error", "gone"});
  CHECK_FALSE(collector.complete());
  REQUIRE(collector.error());
  CHECK(collector.error()->message == "gone");
}

TEST_CASE("usage counts of a stream are cumulative: the last one wins, absent ones are kept") {
  Collector collector;
  MessageStart start{"msg_1", "m", {}};
  start.usage.input_tokens = 25;
  start.usage.output_tokens = 1;
  collector.add(start);
  MessageEnd end;
  end.usage.output_tokens = 15;
  collector.add(end);
  CHECK(test::to_text(collector.take().usage) == " in=25 out=15");
}

TEST_CASE("content is an opened block or a delta, not a start, a ping or an end") {
  CHECK(is_content(BlockStart{}));
  CHECK(is_content(BlockDelta{}));
  CHECK_FALSE(is_content(MessageStart{}));
  CHECK_FALSE(is_content(Ping{}));
  CHECK_FALSE(is_content(MessageEnd{}));
  CHECK_FALSE(is_content(StreamError{}));
}

TEST_CASE("a loss is noted once and its header value holds no bytes a header may not") {
  LossNotes notes;
  notes.add("cache_control", "a");
  notes.add("cache_control", "b");
  notes.add("block.x\r\ny,z", "c");
  CHECK(notes.all().size() == 2);
  CHECK(notes.header_value() == "cache_control, block.x__y_z");
}
