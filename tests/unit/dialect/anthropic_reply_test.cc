#include <algorithm>
#include <string>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"
#include "support/stream_cuts.h"
#include "support/validators.h"

using namespace ccrules;

namespace {

const dialect::Dialect& anthropic() {
  return dialect::anthropic();
}

dialect::StreamWriterOptions options() {
  dialect::StreamWriterOptions written;
  written.model = "asked-for";
  written.id = "msg_own";
  written.estimated_input_tokens = 1234;
  return written;
}

const std::string kReply =
    R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[)"
    R"({"type":"thinking","thinking":"hm","signature":"sig"},{"type":"redacted_thinking","data":"d"},)"
    R"({"type":"text","text":"Hi","citations":[{"type":"char_location","cited_text":"c"}]},)"
    R"({"type":"tool_use","id":"toolu_1","name":"Read","input":{"n":9007199254740993},"caller":{"type":"direct"}},)"
    R"({"type":"web_search_tool_result","tool_use_id":"s","content":[]}],)"
    R"("stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":5,"cache_read_input_tokens":2}})";

std::string stream_of(const std::vector<chat::Event>& events) {
  return test::write_stream(anthropic(), events, options());
}

chat::MessageStart start() {
  return chat::MessageStart{"msg_1", "m", {}};
}

}  // namespace

TEST_CASE("a whole reply survives reading and writing, and names the model that was asked for") {
  const auto reply = anthropic().read_reply(kReply, {});
  REQUIRE(reply.ok());
  CHECK(reply->usage.cache_read_tokens == 2);
  chat::LossNotes losses;
  const std::string written = anthropic().write_reply(*reply, options(), losses);
  CHECK(losses.empty());
  CHECK(test::check_anthropic_reply(written).report() == "");
  const std::string content =
      kReply.substr(kReply.find("\"content\""), kReply.find(",\"stop_reason\"") - kReply.find("\"content\""));
  CHECK(written.find(content) != std::string::npos);
  CHECK(written.find(R"("model":"asked-for")") != std::string::npos);
  CHECK(written.find(R"("stop_reason":"tool_use")") != std::string::npos);
}

TEST_CASE("peeking at a reply gives usage, model and stop reason without its blocks") {
  const chat::Reply peeked = anthropic().peek_reply(kReply);
  CHECK(peeked.usage.input_tokens == 10);
  CHECK(peeked.model == "m");
  CHECK(peeked.reason == chat::StopReason::kToolUse);
  CHECK(peeked.blocks.empty());
  CHECK(anthropic().peek_reply("<html>").usage.empty());
  CHECK(anthropic().peek_reply(R"({"type":"error"})").usage.empty());
}

TEST_CASE("a body that is no message is an upstream's fault, an error in a 200 is that error") {
  const auto html = anthropic().read_reply("<html>", {});
  REQUIRE_FALSE(html.ok());
  CHECK(html.error().code == ErrorCode::kUpstreamProtocol);
  CHECK(html.error().http_status == 502);
  const auto overloaded = anthropic().read_reply(
      R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})", {});
  REQUIRE_FALSE(overloaded.ok());
  CHECK(overloaded.error().code == ErrorCode::kUpstreamOverloaded);
  CHECK(anthropic().error_status(overloaded.error()) == 529);
}

TEST_CASE("a written stream has the exact events in the exact order, usage and estimate included (G-4)") {
  chat::MessageEnd end;
  end.usage.output_tokens = 15;
  CHECK(
      stream_of({start(), chat::BlockStart{0, chat::Block{chat::Text{}}},
                 chat::BlockDelta{0, chat::DeltaKind::kText, "H\"i"}, chat::BlockEnd{0}, end}) ==
      "event: message_start\ndata: "
      "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\","
      "\"model\":\"asked-for\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"stop_details\":"
      "null,\"container\":null,"
      "\"diagnostics\":null,\"usage\":{\"input_tokens\":1234,\"cache_creation_input_tokens\":0,\"cache_read_"
      "input_tokens\":0,"
      "\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},\"output_"
      "tokens\":0,"
      "\"service_tier\":\"standard\"}}}\n\n"
      "event: content_block_start\ndata: "
      "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
      "event: content_block_delta\ndata: "
      "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"H\\\"i\"}}"
      "\n\n"
      "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
      "event: message_delta\ndata: "
      "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":"
      "{\"input_tokens\":1234,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"cache_"
      "creation\":"
      "{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},\"output_tokens\":15,\"service_"
      "tier\":\"standard\"}}\n\n"
      "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

TEST_CASE("reading a whole reply, unrolling, writing and reading the stream gives the same reply") {
  const auto reply = anthropic().read_reply(kReply, {});
  REQUIRE(reply.ok());
  const std::string stream = stream_of(chat::unroll(*reply));
  CHECK(test::check_anthropic_stream(stream).report() == "");
  const auto run = test::read_every_cut(anthropic(), stream);
  chat::Collector collector;
  for (const chat::Event& event : run.events) collector.add(event);
  REQUIRE(collector.complete());
  chat::Reply again = collector.take();
  again.model = reply->model;
  chat::LossNotes losses;
  const auto bare = [&](chat::Reply one) {
    one.usage = {};
    return anthropic().write_reply(one, options(), losses);
  };
  CHECK(bare(again) == bare(*reply));
}

TEST_CASE("a thinking block is always signed before it closes (G-8)") {
  const std::string stream = stream_of({start(), chat::BlockStart{0, chat::Block{chat::Thinking{}}},
                                        chat::BlockDelta{0, chat::DeltaKind::kThinking, "hm"},
                                        chat::BlockEnd{0}, chat::MessageEnd{}});
  const std::size_t signature = stream.find("signature_delta");
  REQUIRE(signature != std::string::npos);
  CHECK(signature < stream.find("content_block_stop"));
  CHECK(test::check_anthropic_stream(stream).report() == "");
}

TEST_CASE("an error ends a stream at once: no stop of blocks or message, nothing after it (G-20)") {
  const std::string stream =
      stream_of({start(), chat::BlockStart{0, chat::Block{chat::Text{}}},
                 chat::StreamError{"overloaded_error", "Overloaded"}, chat::BlockEnd{0}, chat::MessageEnd{}});
  CHECK(stream.ends_with(
      "event: error\ndata: "
      "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"));
  CHECK(stream.find("message_stop") == std::string::npos);
}

TEST_CASE("blocks of another dialect are left out without a gap in the indexes") {
  chat::Opaque audio;
  audio.dialect = "openai_chat";
  audio.type = "audio";
  audio.json = "{}";
  const std::string stream =
      stream_of({start(), chat::BlockStart{0, chat::Block{audio}}, chat::BlockEnd{0},
                 chat::BlockStart{1, chat::Block{chat::Text{}}},
                 chat::BlockDelta{1, chat::DeltaKind::kText, "x"}, chat::BlockEnd{1}, chat::MessageEnd{}});
  CHECK(test::check_anthropic_stream(stream).report() == "");
  CHECK(stream.find("\"index\":1") == std::string::npos);
}

TEST_CASE("JSON with line breaks does not break an event's data line") {
  chat::Opaque search;
  search.dialect = "anthropic";
  search.type = "web_search_tool_result";
  search.json =
      "{\n  \"type\": \"web_search_tool_result\",\r\n  \"tool_use_id\": \"a\",\n \"content\": []\n}";
  chat::MessageEnd end;
  end.reason = chat::StopReason::kRefusal;
  end.stop_details_json = "{\n\"type\":\"refusal\"}";
  const std::string stream =
      stream_of({start(), chat::BlockStart{0, chat::Block{search}}, chat::BlockEnd{0}, end});
  CHECK(test::check_anthropic_stream(stream).report() == "");
  CHECK(stream.find(R"("stop_details":{"type":"refusal"})") != std::string::npos);
}

TEST_CASE("a refusal without details says so in the form clients know (G-30)") {
  chat::MessageEnd end;
  end.reason = chat::StopReason::kRefusal;
  CHECK(stream_of({start(), end})
            .find(R"("stop_details":{"type":"refusal","category":null,"explanation":null})") !=
        std::string::npos);
}

TEST_CASE("a ping is valid at any point") {
  CHECK(anthropic().stream_writer(options())->ping() == "event: ping\ndata: {\"type\":\"ping\"}\n\n");
  CHECK(stream_of({chat::Ping{}, start(), chat::MessageEnd{}}).starts_with("event: ping\n"));
}

TEST_CASE("errors reach Anthropic's clients with status and type they know") {
  const auto upstream = [](int status, const std::string& body) {
    dialect::UpstreamFailure failure;
    failure.status = status;
    failure.body = body;
    failure.provider = "groq";
    failure.model = "m";
    failure.estimated_input_tokens = 210000;
    failure.context_tokens = 200000;
    return anthropic().read_error(failure);
  };
  const auto shown = [&](int status, const std::string& body) {
    const Error error = upstream(status, body);
    const std::string json = anthropic().write_error(error, "req_1");
    const test::Seen seen = test::check_anthropic_error(json);
    CHECK(seen.report() == "");
    return std::to_string(anthropic().error_status(error)) + " " + seen.error_type + ": " +
           seen.error_message;
  };
  SECTION("context overflow in any vendor's words becomes Anthropic's (G-1)") {
    CHECK(
        shown(
            400,
            R"({"error":{"message":"This model's maximum context length is 131072 tokens. However, your messages resulted in 140000 tokens.","code":"context_length_exceeded"}})")
            .starts_with("400 invalid_request_error: prompt is too long: 140000 tokens > 131072 maximum"));
    CHECK(
        shown(
            400,
            R"({"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 250000 tokens > 200000 maximum"}})") ==
        "400 invalid_request_error: prompt is too long: 250000 tokens > 200000 maximum");
    CHECK(shown(413, "").starts_with(
        "400 invalid_request_error: prompt is too long: 210000 tokens > 200000 maximum"));
    CHECK(shown(429, R"({"error":{"message":"Rate limit reached: too many tokens per min"}})")
              .starts_with("429 rate_limit_error: "));
  }
  SECTION("our own key refused names the provider and the setting, and is not the client's 401") {
    const std::string text =
        shown(401, R"({"error":{"message":"Incorrect API key provided: sk-abcdefghijklmnop"}})");
    CHECK(text.starts_with("403 permission_error: "));
    CHECK(text.find("groq") != std::string::npos);
    CHECK(text.find("providers.groq.api_key") != std::string::npos);
    CHECK(text.find("abcdefghijklmnop") == std::string::npos);
    CHECK(upstream(401, "").should_retry_false);
  }
  SECTION("money, load, rate and unknown models keep their meaning (G-22)") {
    CHECK(
        shown(
            429,
            R"({"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}})")
            .starts_with("402 billing_error: "));
    CHECK(shown(503, R"({"error":{"message":"busy"}})") == "529 overloaded_error: busy");
    CHECK(shown(529, R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})") ==
          "529 overloaded_error: Overloaded");
    CHECK(shown(500, "oops").starts_with("500 api_error: "));
    CHECK(shown(404, R"({"error":{"message":"no such model"}})").starts_with("404 not_found_error: "));
    CHECK(shown(504, "").starts_with("504 timeout_error: "));
  }
  SECTION("capability texts that clients recover from are kept word for word") {
    CHECK(
        shown(
            400,
            R"({"type":"error","error":{"type":"invalid_request_error","message":"capability_rejected: thinking_type:adaptive"}})") ==
        "400 invalid_request_error: capability_rejected: thinking_type:adaptive");
  }
}

TEST_CASE("decisions of rules have error types of their own") {
  Error denied = bad_request("not here");
  denied.code = ErrorCode::kDenied;
  CHECK(anthropic().write_error(denied, "").find(R"("type":"policy_blocked")") != std::string::npos);
  Error broke;
  broke.code = ErrorCode::kBudgetExceeded;
  broke.http_status = 429;
  CHECK(anthropic().write_error(broke, "").find(R"("type":"billing_error")") != std::string::npos);
  CHECK(anthropic().write_error(broke, "").find(R"("request_id":null)") != std::string::npos);
}

TEST_CASE("the model list has Anthropic's shape") {
  CHECK(
      anthropic().write_models({{{"a", {}, {}}, {"b", {}, {}}}, false, {}}) ==
      R"({"data":[{"type":"model","id":"a","display_name":"a","created_at":"1970-01-01T00:00:00Z"},)"
      R"({"type":"model","id":"b","display_name":"b","created_at":"1970-01-01T00:00:00Z"}],"has_more":false,"first_id":"a","last_id":"b"})");
  CHECK(anthropic().write_models({}) == R"({"data":[],"has_more":false,"first_id":null,"last_id":null})");
  CHECK(anthropic().write_models({{{"a", 200'000, 64'000}}, true, "a"}) ==
        R"({"data":[{"type":"model","id":"a","display_name":"a","created_at":"1970-01-01T00:00:00Z","max_input_tokens":200000,)"
        R"("max_tokens":64000}],"has_more":true,"first_id":"a","last_id":"a"})");
}

TEST_CASE("what an answer's list of iterations says is read within bounds, whatever stands there") {
  const auto usage_of = [](const std::string& members) {
    const chat::Reply reply =
        anthropic().peek_reply(R"({"id":"msg_1","type":"message","model":"m","content":[],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":5)" +
                               members + "}}");
    CHECK(reply.usage.input_tokens == 10);
    for (const chat::Iteration& each : reply.usage.iterations) {
      CHECK(std::min({each.input_tokens, each.output_tokens, each.cache_read_tokens, each.cache_write_tokens, each.cache_write_1h_tokens}) >= 0);
    }
    return reply.usage;
  };
  const auto iterations_of = [&](const std::string& json) { return usage_of(R"(,"iterations":)" + json).iterations; };
  for (const char* none : {"null", "[]", "{}", "7", "\"message\"", "[null,1,\"a\",[{}],true]", "{\"type\":\"message\"}"}) {
    CAPTURE(none);
    CHECK(iterations_of(none).empty());
  }
  const auto read = iterations_of(
      R"([{"type":"advisor_message","model":"a","input_tokens":1,"output_tokens":2,"cache_read_input_tokens":3,"cache_creation_input_tokens":4,)"
      R"("cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":3},"iterations":[{"type":"message","input_tokens":9}]}])");
  REQUIRE(read.size() == 1);
  CHECK(read[0] == chat::Iteration{"advisor_message", "a", 1, 2, 3, 4, 3});
  const auto odd = iterations_of(
      R"([{"type":7,"model":["x"],"input_tokens":-5,"output_tokens":1e300,"cache_read_input_tokens":"9","cache_creation_input_tokens":null,)"
      R"("cache_creation":[1]},{}])");
  REQUIRE(odd.size() == 2);
  CHECK(odd[0] == chat::Iteration{"", "", 0, 0, 0, 0, 0});
  CHECK(iterations_of(R"([{"type":"message","model":")" + std::string(100'000, 'x') + R"("}])").at(0).model.empty());
  // Thousands: the sum is the same, and the list stays short.
  std::string many = "[";
  for (int i = 0; i < 5000; ++i) many += R"({"type":"message","input_tokens":3,"output_tokens":1},)";
  many.back() = ']';
  const chat::Usage crowd = usage_of(",\"iterations\":" + many);
  CHECK(crowd.iterations.size() <= 256);
  CHECK(crowd.total().input_tokens == 15'000);
  CHECK(crowd.total().output_tokens == 5000);
}

TEST_CASE("the tier that an answer was served at is noted when it is another than the standard one") {
  const auto tier_of = [](const std::string& members) {
    return std::string(
        anthropic()
            .peek_reply(R"({"id":"msg_1","type":"message","model":"m","content":[],"usage":{"input_tokens":10,)" + members + R"("output_tokens":5}})")
            .usage.tier());
  };
  CHECK(tier_of(R"("service_tier":"standard","speed":"standard",)").empty());
  CHECK(tier_of(R"("service_tier":null,"speed":7,)").empty());
  CHECK(tier_of(R"("service_tier":"priority",)") == "priority");
  CHECK(tier_of(R"("speed":"fast","service_tier":"priority",)") == "fast");
  CHECK(tier_of(R"("service_tier":"Rock & Roll",)").empty());
}
