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
  return end->usage.tier;
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
    CHECK(dialect::openai_chat().peek_reply(whole).usage.tier == said.tier);
    const std::string stream = "data: " + head + R"(,"choices":[{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null}]})" +
                               "\n\ndata: " + head + R"(,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})" + "\n\ndata: " + head +
                               R"(,"choices":[],)" + counts + "}\n\ndata: [DONE]\n\n";
    CHECK(tier_of_stream(dialect::openai_chat(), stream) == said.tier);
    const std::string response = R"({"id":"resp_1","object":"response","status":"completed","model":"m",)" + member +
                                 R"(,"output":[{"type":"message","id":"i","status":"completed","role":"assistant",)"
                                 R"("content":[{"type":"output_text","text":"a"}]}],)"
                                 R"("usage":{"input_tokens":8,"output_tokens":2}})";
    CHECK(dialect::openai_responses().peek_reply(response).usage.tier == said.tier);
    const std::string event = R"({"type":"response.completed","sequence_number":0,"response":)" + response + "}";
    CHECK(tier_of_stream(dialect::openai_responses(), "event: response.completed\ndata: " + event + "\n\n") == said.tier);
  }
}
