#include <catch2/catch.hpp>

#include "dialect/dialect.h"
#include "support/stream_cuts.h"

using namespace ccrules;

namespace {

std::string tier_of_stream(const dialect::Dialect& spoken, const std::string& bytes) {
  const test::StreamRun run = test::read_every_cut(spoken, bytes);
  REQUIRE_FALSE(run.events.empty());
  const auto* end = std::get_if<chat::MessageEnd>(&run.events.back());
  REQUIRE(end != nullptr);
  CHECK(end->usage.input_tokens == 8);
  return std::string(end->usage.tier());
}

}  // namespace

TEST_CASE("the tier that a provider served a request at is the same in a stream and in a whole answer") {
  struct Said {
    std::string json, tier;
  };
  for (const Said& said : {Said{R"("priority")", "priority"}, Said{R"("flex")", "flex"}, Said{R"("default")", ""}, Said{R"("auto")", ""},
                           Said{"null", ""}, Said{"[7]", ""}, Said{R"("P\u0000")", ""}}) {
    CAPTURE(said.json);
    const std::string member = "\"service_tier\":" + said.json;
    const std::string counts = R"("usage":{"prompt_tokens":8,"completion_tokens":2})";
    const std::string head = R"({"id":"c1","object":"chat.completion","created":1,"model":"m",)" + member;
    const std::string whole = head + R"(,"choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],)" + counts + "}";
    CHECK(dialect::openai_chat().peek_reply(whole).usage.tier() == said.tier);
    const std::string stream = "data: " + head + R"(,"choices":[{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null}]})" +
                               "\n\ndata: " + head + R"(,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})" + "\n\ndata: " + head +
                               R"(,"choices":[],)" + counts + "}\n\ndata: [DONE]\n\n";
    CHECK(tier_of_stream(dialect::openai_chat(), stream) == said.tier);
    const std::string response = R"({"id":"resp_1","object":"response","status":"completed","model":"m",)" + member +
                                 R"(,"output":[{"type":"message","id":"i","status":"completed","role":"assistant",)"
                                 R"("content":[{"type":"output_text","text":"a"}]}],)"
                                 R"("usage":{"input_tokens":8,"output_tokens":2}})";
    CHECK(dialect::openai_responses().peek_reply(response).usage.tier() == said.tier);
    const std::string event = R"({"type":"response.completed","sequence_number":0,"response":)" + response + "}";
    CHECK(tier_of_stream(dialect::openai_responses(), "event: response.completed\ndata: " + event + "\n\n") == said.tier);
  }
}

TEST_CASE("Gemini tells its tier beside its counts, by the words of either of its doors") {
  struct Said {
    std::string member, tier;
  };
  for (const Said& said :
       {Said{R"(,"serviceTier":"standard")", ""}, Said{R"(,"serviceTier":"priority")", "priority"},
        Said{R"(,"serviceTier":"SERVICE_TIER_FLEX")", "flex"}, Said{R"(,"trafficType":"ON_DEMAND")", ""},
        Said{R"(,"trafficType":"ON_DEMAND_PRIORITY")", "priority"}, Said{R"(,"trafficType":"PROVISIONED_THROUGHPUT")", "provisioned_throughput"},
        Said{R"(,"serviceTier":"priority","trafficType":"TRAFFIC_TYPE_UNSPECIFIED")", "priority"},
        Said{R"(,"trafficType":"TRAFFIC_TYPE_UNSPECIFIED")", ""}, Said{R"(,"serviceTier":7)", ""}, Said{"", ""}}) {
    CAPTURE(said.member);
    const auto answer = [](const std::string& member) {
      return R"({"candidates":[{"content":{"parts":[{"text":"a"}],"role":"model"},"index":0,"finishReason":"STOP"}],)"
             R"("usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":2)" +
             member + R"(},"modelVersion":"m"})";
    };
    CHECK(dialect::gemini_dialect().peek_reply(answer(said.member)).usage.tier() == said.tier);
    CHECK(tier_of_stream(dialect::gemini_dialect(), "data: " + answer(said.member) + "\n\n") == said.tier);
  }
}

TEST_CASE("of the tiers that a stream tells one after the other, the last one counts, each of two members in its own right") {
  const auto chat = [](const std::vector<std::string>& members, const std::string& last) {
    const std::string head = R"(data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m")";
    std::string stream;
    for (const std::string& member : members)
      stream += head + member + R"(,"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]})" +
                "\n\n";
    stream +=
        head + last +
        R"(,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":2}})" +
        "\n\n";
    return tier_of_stream(dialect::openai_chat(), stream + "data: [DONE]\n\n");
  };
  const std::string counts = R"(,"usage":{"prompt_tokens":8,"completion_tokens":1})";
  CHECK(chat({R"(,"service_tier":"priority")" + counts}, R"(,"service_tier":"default")").empty());
  CHECK(chat({R"(,"service_tier":"priority")" + counts}, R"(,"service_tier":"flex")") == "flex");
  CHECK(chat({R"(,"service_tier":"priority")" + counts}, R"(,"service_tier":null)") == "priority");
  CHECK(chat({R"(,"service_tier":"auto")", R"(,"service_tier":"priority")"}, {}) ==
        "priority");  // counts come in a chunk without it

  const auto anthropic = [](const std::string& first, const std::string& last) {
    return tier_of_stream(
        dialect::anthropic(),
        "event: message_start\ndata: "
        R"({"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":8)" +
            first +
            "}}}\n\nevent: message_delta\ndata: "
            R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2)" +
            last + "}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
  };
  CHECK(anthropic(R"(,"service_tier":"priority")", R"(,"service_tier":"standard")").empty());
  CHECK(anthropic(R"(,"service_tier":"standard")", R"(,"service_tier":"priority")") == "priority");
  CHECK(anthropic(R"(,"service_tier":"priority")", R"(,"service_tier":null)") == "priority");
  CHECK(anthropic(R"(,"service_tier":"standard","speed":"fast")", R"(,"service_tier":"standard")") == "fast");
  CHECK(anthropic(R"(,"service_tier":"standard","speed":"fast")", R"(,"speed":"standard")").empty());

  const auto gemini = [](const std::string& first, const std::string& last) {
    const std::string head = R"(data: {"candidates":[{"content":{"parts":[{"text":"a"}],"role":"model"},"index":0)";
    const std::string tokens = R"("promptTokenCount":8,"candidatesTokenCount":2)";
    return tier_of_stream(dialect::gemini_dialect(), head + R"(}],"usageMetadata":{)" + tokens + first + "}}\n\n" + head +
                                                         R"(,"finishReason":"STOP"}],"usageMetadata":{)" + tokens + last + "}}\n\n");
  };
  CHECK(gemini(R"(,"serviceTier":"priority")", R"(,"serviceTier":"standard")").empty());
  CHECK(gemini(R"(,"trafficType":"ON_DEMAND_FLEX")", {}) == "flex");

  const auto response = [](const char* status, const std::string& more) {
    return "event: response." + std::string(status) + R"(
data: {"type":"response.)" +
           status +
           R"(","sequence_number":0,"response":{"id":"resp_1","object":"response","model":"m","status":")" +
           status + "\"" + more + "}}\n\n";
  };
  const std::string output =
      R"(,"output":[{"type":"message","id":"i","status":"completed","role":"assistant","content":[{"type":"output_text","text":"a"}]}],)"
      R"("usage":{"input_tokens":8,"output_tokens":2})";
  CHECK(tier_of_stream(dialect::openai_responses(),
                       response("created", R"(,"service_tier":"auto","output":[],"usage":null)") +
                           response("completed", R"(,"service_tier":"flex")" + output)) == "flex");
}

TEST_CASE("what a provider bills beside tokens is read from a stream as from a whole answer") {
  const auto fees_of = [](const dialect::Dialect& spoken, const std::string& whole, const std::string& stream) {
    const std::vector<chat::Fee> fees = spoken.peek_reply(whole).usage.fees;
    const test::StreamRun run = test::read_every_cut(spoken, stream);
    REQUIRE_FALSE(run.events.empty());
    const auto* end = std::get_if<chat::MessageEnd>(&run.events.back());
    REQUIRE(end != nullptr);
    CHECK(end->usage.fees == fees);
    std::string text;
    for (const chat::Fee& fee : fees) text.append(fee.name).append(1, ' ').append(std::to_string(fee.count)).append(1, ';');
    return text;
  };
  const auto response = [&](const std::string& output, const std::string& details) {
    const std::string whole = R"({"id":"resp_1","object":"response","status":"completed","model":"m","output":[)" + output +
                              R"({"type":"message","id":"i","status":"completed","role":"assistant","content":[{"type":"output_text","text":"a"}]}],)"
                              R"("usage":{"input_tokens":8,"input_tokens_details":{"cached_tokens":0)" +
                              details + R"(},"output_tokens":2}})";
    const std::string event = R"({"type":"response.completed","sequence_number":0,"response":)" + whole + "}";
    return fees_of(dialect::openai_responses(), whole, "event: response.completed\ndata: " + event + "\n\n");
  };
  const std::string search = R"({"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}},)";
  CHECK(response({}, {}).empty());
  CHECK(response(search + search, {}) == "web_search 2;");
  const std::string opened = R"({"type":"web_search_call","id":"ws_2","status":"completed","action":{"type":"open_page","url":"u"}},)";
  CHECK(response(search + opened, {}) == "web_search 1;");
  CHECK(response(R"({"type":"web_search_call","id":"ws_3","status":"completed"},)", {}) == "web_search 1;");
  CHECK(response({}, R"(,"cache_write_tokens":7,"cache_write_tokens_details":{"ttl_30m_tokens":2,"ttl_12h_tokens":5})") == "cache_write_12h 5;");
  CHECK(response({}, R"(,"cache_write_tokens":7,"cache_write_tokens_details":{"ttl_30m_tokens":7,"ttl_12h_tokens":0})").empty());
  const auto gemini = [&](const std::string& grounding) {
    const std::string whole =
        R"({"candidates":[{"content":{"parts":[{"text":"a"}],"role":"model"},"index":0,"finishReason":"STOP")" + grounding +
        R"(}],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":2},"modelVersion":"m"})";
    return fees_of(dialect::gemini_dialect(), whole, "data: " + whole + "\n\n");
  };
  CHECK(gemini({}).empty());
  CHECK(gemini(R"(,"groundingMetadata":{"searchEntryPoint":{"renderedContent":"x"},"webSearchQueries":["a","b"]})") == "web_search 2;");
  CHECK(gemini(R"(,"groundingMetadata":null)").empty());
  CHECK(gemini(R"(,"groundingMetadata":{"webSearchQueries":7})").empty());
}
