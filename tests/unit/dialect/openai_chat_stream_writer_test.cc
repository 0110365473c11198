#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "dialect/dialect.h"
#include "support/stream_cuts.h"
#include "support/validators.h"

using namespace ccrules;

namespace {

dialect::StreamWriterOptions options() {
  dialect::StreamWriterOptions options;
  options.model = "asked-for";
  options.id = "chatcmpl-1";
  options.created_s = 1700000000;
  return options;
}

std::string write(const std::vector<chat::Event>& events,
                  const dialect::StreamWriterOptions& how = options()) {
  return test::write_stream(dialect::openai_chat(), events, how);
}

chat::Event text_block(std::uint32_t index) {
  return chat::BlockStart{index, chat::Block{chat::Text{}}};
}
chat::Event call_block(std::uint32_t index, const std::string& id, const std::string& name) {
  chat::ToolCall call;
  call.id = id;
  call.name = name;
  return chat::BlockStart{index, chat::Block{std::move(call)}};
}
chat::Event delta(std::uint32_t index, chat::DeltaKind kind, const std::string& text) {
  return chat::BlockDelta{index, kind, text};
}
chat::Event end(chat::StopReason reason) {
  chat::MessageEnd event;
  event.reason = reason;
  event.usage.input_tokens = 10;
  event.usage.output_tokens = 5;
  event.usage.cache_read_tokens = 7;
  event.usage.cache_write_tokens = 3;
  event.usage.reasoning_tokens = 2;
  return event;
}

const std::string kHead =
    R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"asked-for","choices":[)";

}  // namespace

TEST_CASE("a text stream is a role chunk, content chunks, a finish chunk, a usage chunk and [DONE]") {
  const std::string written =
      write({chat::MessageStart{}, text_block(0), delta(0, chat::DeltaKind::kText, "Hi \"you\"\n"),
             chat::BlockEnd{0}, end(chat::StopReason::kEndTurn)});
  const std::string close = R"(},"logprobs":null,"finish_reason":null}],"usage":null})"
                            "\n\n";
  CHECK(written == kHead + R"({"index":0,"delta":{"role":"assistant","content":"")" + close + kHead +
                       R"({"index":0,"delta":{"content":"Hi \"you\"\n")" + close + kHead +
                       R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null})" +
                       "\n\n" + kHead +
                       R"(],"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25,)" +
                       R"("prompt_tokens_details":{"cached_tokens":7,"cache_write_tokens":3},)"
                       R"("completion_tokens_details":{"reasoning_tokens":2}}})" +
                       "\n\ndata: [DONE]\n\n");
  CHECK(test::check_openai_chat_stream(written).ok());
}

TEST_CASE("a client that did not ask for usage gets none") {
  auto how = options();
  how.include_usage = false;
  const std::string written =
      write({chat::MessageStart{}, text_block(0), delta(0, chat::DeltaKind::kText, "Hi"), chat::BlockEnd{0},
             end(chat::StopReason::kEndTurn)},
            how);
  CHECK(written.find("usage") == std::string::npos);
  CHECK(test::check_openai_chat_stream(written, false).ok());
}

TEST_CASE("thinking is reasoning_content; signatures and redacted thinking have no place") {
  chat::Thinking redacted;
  redacted.redacted = true;
  redacted.text = "SECRET";
  const std::string written =
      write({chat::MessageStart{}, chat::BlockStart{0, chat::Block{chat::Thinking{}}},
             delta(0, chat::DeltaKind::kThinking, "hm"), delta(0, chat::DeltaKind::kSignature, "SIG"),
             chat::BlockEnd{0}, chat::BlockStart{1, chat::Block{redacted}}, chat::BlockEnd{1}, text_block(2),
             delta(2, chat::DeltaKind::kText, "Hi"), chat::BlockEnd{2}, end(chat::StopReason::kEndTurn)});
  const test::Seen seen = test::check_openai_chat_stream(written);
  INFO(seen.report());
  CHECK(seen.ok());
  CHECK(seen.thinking() == "hm");
  CHECK(seen.text() == "Hi");
  CHECK(written.find("SIG") == std::string::npos);
  CHECK(written.find("SECRET") == std::string::npos);
}

TEST_CASE("tool calls are numbered among themselves, not by block, and a call without arguments says {}") {
  const std::string written = write(
      {chat::MessageStart{}, text_block(0), delta(0, chat::DeltaKind::kText, "Let me see"), chat::BlockEnd{0},
       call_block(1, "toolu_1", "f"), delta(1, chat::DeltaKind::kArguments, "{\"a\":"),
       delta(1, chat::DeltaKind::kArguments, "1}"), chat::BlockEnd{1}, call_block(2, "toolu_2", "g"),
       chat::BlockEnd{2}, end(chat::StopReason::kToolUse)});
  const test::Seen seen = test::check_openai_chat_stream(written);
  INFO(seen.report());
  CHECK(seen.ok());
  CHECK(seen.stop == "tool_calls");
  REQUIRE(seen.tools().size() == 2);
  CHECK(seen.tools()[0].arguments == "{\"a\":1}");
  CHECK(seen.tools()[1].arguments == "{}");
  CHECK(
      written.find(
          R"("tool_calls":[{"index":0,"id":"toolu_1","type":"function","function":{"name":"f","arguments":""}}])") !=
      std::string::npos);
  CHECK(written.find(R"("tool_calls":[{"index":1,"function":{"arguments":"{}"}}])") != std::string::npos);
}

TEST_CASE("stop reasons become finish reasons") {
  const auto finish_of = [](chat::StopReason reason) {
    return test::check_openai_chat_stream(
               write({chat::MessageStart{}, text_block(0), chat::BlockEnd{0}, end(reason)}))
        .stop;
  };
  CHECK(finish_of(chat::StopReason::kEndTurn) == "stop");
  CHECK(finish_of(chat::StopReason::kPauseTurn) == "stop");
  CHECK(finish_of(chat::StopReason::kStopSequence) == "stop");
  CHECK(finish_of(chat::StopReason::kMaxTokens) == "length");
  CHECK(finish_of(chat::StopReason::kContextExceeded) == "length");
  CHECK(finish_of(chat::StopReason::kRefusal) == "content_filter");
}

TEST_CASE("G-20: an error in the middle is an error chunk without [DONE], and nothing is written after it") {
  const auto writer = dialect::openai_chat().stream_writer(options());
  std::string written;
  writer->write(chat::MessageStart{}, written);
  writer->write(text_block(0), written);
  const std::size_t before = written.size();
  writer->write(chat::StreamError{"overloaded_error", "come back later"}, written);
  CHECK(written.substr(before) ==
        "data: {\"error\":{\"message\":\"come back "
        "later\",\"type\":\"server_error\",\"param\":null,\"code\":\"overloaded\"}}\n\n");
  const std::size_t after = written.size();
  writer->write(end(chat::StopReason::kEndTurn), written);
  CHECK(written.size() == after);
}

TEST_CASE("G-19: a ping is a comment line with one newline, valid anywhere") {
  const auto writer = dialect::openai_chat().stream_writer(options());
  CHECK(writer->ping() == ": ping\n");
  const std::string written =
      std::string(writer->ping()) +
      write({chat::MessageStart{}, chat::Ping{}, text_block(0), chat::Ping{},
             delta(0, chat::DeltaKind::kText, "Hi"), chat::BlockEnd{0}, end(chat::StopReason::kEndTurn)});
  CHECK(test::check_openai_chat_stream(written).ok());
  CHECK(test::check_openai_chat_stream(written).text() == "Hi");
}

TEST_CASE("the provider's id is kept, the model is the one the client asked for") {
  chat::MessageStart start;
  start.id = "msg_9";
  start.model = "real-model";
  const test::Seen seen = test::check_openai_chat_stream(
      write({start, text_block(0), chat::BlockEnd{0}, end(chat::StopReason::kEndTurn)}));
  CHECK(seen.id == "msg_9");
  CHECK(seen.model == "asked-for");
}

TEST_CASE("G-40: invalid UTF-8 and line separators are made harmless") {
  const std::string written =
      write({chat::MessageStart{}, text_block(0), delta(0, chat::DeltaKind::kText, "a\xff\xE2\x80\xA8z"),
             chat::BlockEnd{0}, end(chat::StopReason::kEndTurn)});
  CHECK(written.find("a\xEF\xBF\xBD\\u2028z") != std::string::npos);
}
