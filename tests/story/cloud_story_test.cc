#include <catch2/catch.hpp>

#include "support/amazon_events.h"
#include "support/proxy_world.h"

/// Claude at other vendors' addresses.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "providers": {
    "vertex": { "dialect": "anthropic", "cloud": "vertex", "base_url": "http://loc:80/v1/projects/P/locations/LOC/publishers/anthropic",
                "api_key": "token", "auth": "bearer", "models": ["claude-v*"] },
    "bedrock": { "dialect": "anthropic", "base_url": "http://mantle:80/anthropic", "auth": "sigv4", "aws_scope": "us-east-1/bedrock",
                 "api_key": "AKID:SECRET", "models": ["anthropic.*"] },
    "runtime": { "dialect": "anthropic", "cloud": "bedrock", "base_url": "http://runtime:80", "auth": "bearer", "api_key": "aws-key", "models": ["us.*"] },
    "azure": { "dialect": "anthropic", "base_url": "http://res:80/anthropic", "api_key": "azure-key", "models": ["my-claude"] }
  }
})";
constexpr const char* kReply =
    R"({"id":"msg_9","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"hello"}],)"
    R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7}})";

std::string ask(const std::string& model, const std::string& more = {}) {
  return R"({"model":")" + model + R"(","max_tokens":100,)" + more + R"("messages":[{"role":"user","content":"hi"}]})";
}

}  // namespace

TEST_CASE("a message to Claude on Vertex is a golden request") {
  SimWorld world;
  world.script("loc", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages?beta=true", ask("claude-v5"), "anthropic-version: 2023-06-01\r\nx-api-key: mine\r\n");
  CHECK(answer.body == kReply);
  CHECK_THAT(world.scripted_requests,
             Contains("POST /v1/projects/P/locations/LOC/publishers/anthropic/models/claude-v5:rawPredict HTTP/1.1") &&
                 Contains("authorization: Bearer token") && !Contains("anthropic-version:") && !Contains("mine") &&
                 Contains(R"({"max_tokens":100,"messages":[{"role":"user","content":"hi"}],"anthropic_version":"vertex-2023-10-16"})"));
}

TEST_CASE("a stream from Claude on Vertex passes byte for byte, for its own clients and translated for others") {
  SimWorld world;
  world.script("loc", 80, http_stream(anthropic_events("hello")));
  ProxyWorld proxy(world, kConfig);
  std::string expected;
  for (const std::string& event : anthropic_events("hello")) expected += event;
  CHECK(proxy.answer("/v1/messages", ask("claude-v5", R"("stream":true,)")).body == expected);
  CHECK_THAT(world.scripted_requests, Contains("claude-v5:streamRawPredict HTTP/1.1") && Contains(R"("stream":true)"));
  CHECK_THAT(proxy.answer("/v1/chat/completions", ask("claude-v5", R"("stream":true,)")).body, Contains("hello") && Contains("[DONE]"));
}

TEST_CASE("a key of Amazon's signs the request and does not go out itself") {
  SimWorld world;
  world.script("mantle", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kConfig);
  CHECK(proxy.answer("/v1/messages", ask("anthropic.claude-x")).body == kReply);
  CHECK_THAT(world.scripted_requests, Contains("POST /anthropic/v1/messages HTTP/1.1") &&
                                          Contains("authorization: AWS4-HMAC-SHA256 Credential=AKID/20261118/us-east-1/bedrock/aws4_request, "
                                                   "SignedHeaders=content-type;host;x-amz-date, Signature=") &&
                                          !Contains("SECRET"));
}

TEST_CASE("of several keys of Amazon's the one whose turn it is signs, and no error repeats a secret") {
  SimWorld world;
  std::vector<std::string> credentials;
  world.serve("mantle", 80, [&credentials](http::Exchange& exchange) -> Task<void> {
    const std::string signature(exchange.head().headers.get("authorization"));
    const std::size_t from = signature.find("Credential=") + 11;
    credentials.push_back(signature.substr(from, signature.find('/') - from));
    http::Headers headers;
    headers.add("content-type", "application/json");
    const bool busy = credentials.size() == 1;
    const std::string refusal = R"({"type":"error","error":{"type":"rate_limit_error","message":"not so fast, SECRET1"}})";
    const std::string reply = busy ? refusal : std::string(kReply);
    auto sent = co_await exchange.send(busy ? 429 : 200, headers, reply);
    (void)sent;
  });
  ProxyWorld proxy(world, R"({"providers":{"bedrock":{"dialect":"anthropic","base_url":"http://mantle:80/anthropic","auth":"sigv4",)"
                          R"("aws_scope":"us-east-1/bedrock","api_keys":["AKID1:SECRET1","AKID2:SECRET2"],"models":["anthropic.*"]}}})");
  CHECK(proxy.answer("/v1/messages", ask("anthropic.claude-x")).body == kReply);
  CHECK(credentials == std::vector<std::string>{"AKID1", "AKID2"});
  for (const auto& row : proxy.rows()) CHECK_THAT(row.at("error"), !Contains("SECRET1"));
}

TEST_CASE("a stream from Bedrock's own address is Anthropic's, for its own clients and translated for others") {
  std::vector<std::string> frames;
  std::string expected;
  for (const std::string& event : anthropic_events("hello")) expected += event;
  for (const std::string& json : data_of(anthropic_events("hello"))) frames.push_back(amazon_chunk(json));
  std::string reply = http_stream(frames);
  reply.replace(reply.find("text/event-stream"), 17, "application/vnd.amazon.eventstream");
  SimWorld world;
  world.script("runtime", 80, reply);
  ProxyWorld proxy(world, kConfig);
  const Message streamed = proxy.answer("/v1/messages", ask("us.claude-x:0", R"("stream":true,)"));
  CHECK_THAT(streamed.field("content-type"), Contains("text/event-stream"));
  CHECK(streamed.body == expected);
  CHECK_THAT(world.scripted_requests, Contains("POST /model/us.claude-x%3A0/invoke-with-response-stream HTTP/1.1") &&
                                          Contains("accept: application/vnd.amazon.eventstream") && !Contains(R"("stream")"));
  CHECK_THAT(proxy.answer("/v1/chat/completions", ask("us.claude-x:0", R"("stream":true,)")).body, Contains("hello") && Contains("[DONE]"));
}

TEST_CASE("what Bedrock throws inside a stream is an error, before the answer and within it") {
  const std::vector<std::string> events = data_of(anthropic_events("hello"));
  const auto stream_of = [](const std::vector<std::string>& frames) {
    std::string reply = http_stream(frames);
    return reply.replace(reply.find("text/event-stream"), 17, "application/vnd.amazon.eventstream");
  };
  const auto told = [](const std::string& reply) {
    SimWorld world;
    world.script("runtime", 80, reply);
    ProxyWorld proxy(world, kConfig);
    return proxy.answer("/v1/messages", ask("us.claude-x:0", R"("stream":true,)"));
  };
  const Message before = told(stream_of({amazon_exception("validationException", "messages: too few")}));
  CHECK_THAT(before.first_line, Contains("400"));
  CHECK_THAT(before.body, Contains("messages: too few"));
  std::vector<std::string> frames;
  for (std::size_t i = 0; i < 3; ++i) frames.push_back(amazon_chunk(events.at(i)));
  frames.push_back(amazon_exception("modelStreamErrorException", "the model broke"));
  CHECK_THAT(told(stream_of(frames)).body, Contains("event: error") && Contains("the model broke"));
  frames.back() = amazon_chunk(events.at(3));
  frames.back().back() = static_cast<char>(frames.back().back() ^ 1);
  CHECK_THAT(told(stream_of(frames)).body, Contains("event: error") && Contains("fails its checksum"));
  CHECK_THAT(told(stream_of({"not a frame at all"})).first_line, Contains("502"));
}

TEST_CASE("a whole answer from Bedrock's own address is one stream for a client that wants a stream") {
  SimWorld world;
  world.script("runtime", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kConfig);
  const Message whole = proxy.answer("/v1/messages", ask("us.claude-x:0"), "anthropic-beta: b-1\r\n");
  CHECK(whole.body == kReply);
  CHECK_THAT(world.scripted_requests, Contains("POST /model/us.claude-x%3A0/invoke HTTP/1.1") && !Contains("anthropic-beta:") &&
                                          Contains(R"("anthropic_version":"bedrock-2023-05-31","anthropic_beta":["b-1"]})"));
  const Message streamed = proxy.answer("/v1/messages", ask("us.claude-x:0", R"("stream":true,)"));
  CHECK_THAT(streamed.field("content-type"), Contains("text/event-stream"));
  CHECK_THAT(streamed.body, Contains("event: message_start") && Contains("hello") && Contains("event: message_stop"));
}

TEST_CASE("Claude at Azure takes Anthropic's own requests") {
  SimWorld world;
  world.script("res", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kConfig);
  CHECK(proxy.answer("/v1/messages", ask("my-claude")).body == kReply);
  CHECK_THAT(world.scripted_requests, Contains("POST /anthropic/v1/messages HTTP/1.1") && Contains("x-api-key: azure-key") &&
                                          Contains("anthropic-version: 2023-06-01"));
}
