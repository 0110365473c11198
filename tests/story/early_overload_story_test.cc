#include <catch2/catch.hpp>

#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

/// A provider whose stream begins well and then says that it is overloaded, before any content.
struct Overloaded {
  const char* dialect;
  const char* content_type;
  std::vector<std::string> stream;
};

const std::vector<Overloaded>& overloaded() {
  static const std::vector<Overloaded> kAll = {
      {"anthropic", "text/event-stream",
       {"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\","
        "\"model\":\"x\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"}},
      {"openai_chat", "text/event-stream",
       {"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
        "\"content\":\"\"},\"finish_reason\":null}]}\n\n",
        "data: {\"error\":{\"message\":\"The server is overloaded\",\"type\":\"server_error\",\"code\":503}}\n\n"}},
      {"openai_responses", "text/event-stream",
       {"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"object\":\"response\","
        "\"status\":\"in_progress\",\"model\":\"x\",\"output\":[]}}\n\n",
        "event: error\ndata: {\"type\":\"error\",\"sequence_number\":1,\"code\":\"server_is_overloaded\",\"message\":\"Overloaded\","
        "\"param\":null}\n\n"}},
      {"gemini", "text/event-stream",
       {"data: {\"error\":{\"code\":503,\"message\":\"The model is overloaded.\",\"status\":\"UNAVAILABLE\"}}\n\n"}},
      {"ollama", "application/x-ndjson", {"{\"error\":\"the server is overloaded, try again\"}\n"}}};
  return kAll;
}

std::string as_stream(const Overloaded& provider) {
  std::string reply = http_stream(provider.stream);
  const std::string usual = "text/event-stream";
  reply.replace(reply.find(usual), usual.size(), provider.content_type);
  return reply;
}

}  // namespace

TEST_CASE("an overload that a provider tells inside its stream leads to the next target, and the client sees nothing of it") {
  for (const Overloaded& provider : overloaded()) {
    for (const bool openai_client : {false, true}) {
      INFO(provider.dialect << (openai_client ? " for an OpenAI client" : " for an Anthropic client"));
      SimWorld world;
      world.script("busy", 80, as_stream(provider));
      world.script("spare", 80, http_stream(anthropic_events("from the spare")));
      ProxyWorld proxy(world, std::string(R"({"providers": {"busy": {"dialect": ")") + provider.dialect + R"(", "base_url": "http://busy:80"},
        "spare": {"dialect": "anthropic", "base_url": "http://spare:80"}}, "fallbacks": {"x": ["spare,y"]}})");
      const std::string body = R"({"model":"busy,x","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hi"}]})";
      const Message answer = proxy.answer(openai_client ? "/v1/chat/completions" : "/v1/messages", body);
      CHECK_THAT(answer.first_line, Contains("200"));
      CHECK(answer.complete);
      CHECK(answer.field("x-ccrules-target") == "spare,y");
      CHECK_THAT(answer.body, Contains("from the spare") && !Contains("verloaded") && !Contains("error"));
      const auto rows = proxy.rows();
      REQUIRE(rows.size() == 1);
      CHECK(rows[0].at("attempts") == "2");
      CHECK(rows[0].at("status") == "200");
    }
  }
}
