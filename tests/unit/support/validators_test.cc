#include "support/validators.h"

#include <catch2/catch.hpp>

using namespace ccrules::test;

namespace {

std::string frame(const std::string& name, const std::string& rest) {
  return "event: " + name + "\ndata: {\"type\":\"" + name + "\"" + (rest.empty() ? "" : "," + rest) + "}\n\n";
}

/// A thinking block, a text block and a tool call, one event an entry.
std::vector<std::string> anthropic_events() {
  return {
      frame("message_start",
            R"("message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],)"
            R"("stop_reason":null,"stop_sequence":null,"usage":{)"
            R"("input_tokens":3,"output_tokens":1,"cache_creation_input_tokens":0,)"
            R"("cache_read_input_tokens":0,)"
            R"("cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}}})"),
      frame("content_block_start",
            R"("index":0,"content_block":{"type":"thinking","thinking":"","signature":""})"),
      frame("content_block_delta", R"("index":0,"delta":{"type":"thinking_delta","thinking":"hm"})"),
      frame("content_block_delta", R"("index":0,"delta":{"type":"signature_delta","signature":"s"})"),
      frame("content_block_stop", R"("index":0)"),
      frame("content_block_start", R"("index":1,"content_block":{"type":"text","text":""})"),
      frame("content_block_delta", R"("index":1,"delta":{"type":"text_delta","text":"hi"})"),
      frame("content_block_stop", R"("index":1)"),
      frame("content_block_start",
            R"("index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}})"),
      frame("content_block_delta",
            R"("index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"})"),
      frame("content_block_delta", R"("index":2,"delta":{"type":"input_json_delta","partial_json":"1}"})"),
      frame("content_block_stop", R"("index":2)"),
      frame("message_delta",
            R"("delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":9})"),
      frame("message_stop", ""),
  };
}

std::string chunk(const std::string& choices, const std::string& rest = "") {
  return R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":)" +
         choices + rest + "}\n\n";
}

std::vector<std::string> openai_events() {
  const auto delta = [](const std::string& body, const std::string& finish = "null") {
    return chunk(R"([{"index":0,"delta":)" + body + R"(,"finish_reason":)" + finish + "}]");
  };
  return {
      delta(R"({"role":"assistant","content":""})"),
      delta(R"({"content":"hi"})"),
      delta(
          R"({"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]})"),
      delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]})"),
      delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]})"),
      delta("{}", R"("tool_calls")"),
      chunk("[]", R"(,"usage":{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12})"),
      "data: [DONE]\n\n",
  };
}

std::string join(const std::vector<std::string>& events, std::size_t without, std::size_t twice) {
  std::string out;
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (i != without) out += events[i];
    if (i == twice) out += events[i];
  }
  return out;
}
constexpr std::size_t kNone = 999;

}  // namespace

TEST_CASE("a proper Anthropic stream passes and shows what the client understood") {
  const Seen seen = check_anthropic_stream(": hello\n" + join(anthropic_events(), kNone, kNone));
  CHECK(seen.report().empty());
  CHECK(seen.ending == Ending::kClean);
  CHECK(seen.thinking() == "hm");
  CHECK(seen.text() == "hi");
  REQUIRE(seen.tools().size() == 1);
  CHECK(seen.tools()[0].arguments == "{\"a\":1}");
  CHECK(seen.stop == "tool_use");
  CHECK(seen.output_tokens == 9);
}

TEST_CASE("an Anthropic stream with any structural event missing or doubled is refused") {
  const auto events = anthropic_events();
  for (std::size_t i = 0; i < events.size(); ++i) {
    // Text and thinking fragments may come in any number.
    const bool free = events[i].find("text_delta") != std::string::npos ||
                      events[i].find("thinking_delta") != std::string::npos;
    if (free) continue;
    INFO(events[i]);
    CHECK_FALSE(check_anthropic_stream(join(events, i, kNone)).ok());
    const bool may_repeat = events[i].find("event: message_delta") != std::string::npos;  // the last one wins
    if (!may_repeat) CHECK_FALSE(check_anthropic_stream(join(events, kNone, i)).ok());
  }
}

TEST_CASE("an Anthropic stream cut at any byte is never taken for a complete one") {
  const std::string whole = join(anthropic_events(), kNone, kNone);
  for (std::size_t at = 0; at < whole.size(); ++at)
    CHECK_FALSE(check_anthropic_stream(whole.substr(0, at)).ok());
}

TEST_CASE("an Anthropic error event ends the stream and nothing may follow it") {
  const std::string error = frame("error", R"("error":{"type":"overloaded_error","message":"busy"})");
  const auto events = anthropic_events();
  CHECK(check_anthropic_stream(events[0] + error).ok());
  CHECK(check_anthropic_stream(events[0] + error).ending == Ending::kError);
  CHECK_FALSE(check_anthropic_stream(events[0] + error + events.back()).ok());
}

TEST_CASE("a proper OpenAI stream passes and shows what the client understood") {
  const Seen seen = check_openai_chat_stream(": ping\n" + join(openai_events(), kNone, kNone));
  CHECK(seen.report().empty());
  CHECK(seen.pings == 1);
  CHECK(seen.text() == "hi");
  REQUIRE(seen.tools().size() == 1);
  CHECK(seen.tools()[0].arguments == "{\"a\":1}");
  CHECK(seen.stop == "tool_calls");
  CHECK(seen.output_tokens == 9);
}

TEST_CASE("an OpenAI stream with any structural chunk missing or doubled is refused") {
  const auto events = openai_events();
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i].find(R"("content":"hi")") != std::string::npos) continue;
    INFO(events[i]);
    CHECK_FALSE(check_openai_chat_stream(join(events, i, kNone)).ok());
    CHECK_FALSE(check_openai_chat_stream(join(events, kNone, i)).ok());
  }
}

TEST_CASE("an OpenAI usage chunk is refused when the client did not ask for it") {
  const auto events = openai_events();
  CHECK_FALSE(check_openai_chat_stream(join(events, kNone, kNone), false).ok());
  CHECK(check_openai_chat_stream(join(events, 6, kNone), false).ok());
}

TEST_CASE("an OpenAI request with a message between a tool call and its answer is refused") {
  const std::string head =
      R"({"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,)"
      R"("tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},)";
  const std::string answer = R"({"role":"tool","tool_call_id":"a","content":"ok"})";
  const std::string user = R"({"role":"user","content":"y"})";
  CHECK(check_openai_chat_request(head + answer + "," + user + "]}").empty());
  CHECK_FALSE(check_openai_chat_request(head + user + "," + answer + "]}").empty());
}
