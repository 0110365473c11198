#include <catch2/catch.hpp>

#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "providers": {
    "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "models": ["claude-*"] },
    "oai": { "dialect": "openai_chat", "base_url": "http://oai:80/v1", "models": ["gpt-*"] },
    "res": { "dialect": "openai_responses", "base_url": "http://res:80/v1", "models": ["res-*"] }
  }
})";

constexpr const char* kReply =
    R"({"id":"c1","object":"chat.completion","created":1,"model":"gpt-x","choices":[{"index":0,"finish_reason":"stop","message":)"
    R"({"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}})";
constexpr const char* kResponse =
    R"({"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"res-x","output":[{"type":"message","id":"m1",)"
    R"("role":"assistant","status":"completed","content":[{"type":"output_text","text":"done","annotations":[]}]}],)"
    R"("usage":{"input_tokens":9,"output_tokens":1,"total_tokens":10}})";

std::string refusal(const std::string& message, const std::string& more = {}) {
  return http_reply(400, "application/json", R"({"error":{"message":")" + message + R"(","type":"invalid_request_error")" + more + "}}",
                    "connection: close\r\n");
}

std::string ask(const std::string& model, const std::string& more) {
  return R"({"model":")" + model + R"(","max_tokens":100,)" + more + R"("messages":[{"role":"user","content":"hi"}]})";
}

std::size_t requests_of(const SimWorld& world) {
  std::size_t count = 0;
  for (std::size_t at = world.scripted_requests.find("POST /"); at != std::string::npos;
       at = world.scripted_requests.find("POST /", at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("a field that a provider refuses is left out at once, remembered, and told") {
  SimWorld world;
  world.script_in_turn("oai", 80, {refusal("Unsupported parameter: 'temperature' is not supported with this model.",
                                           R"(,"param":"temperature","code":"unsupported_parameter")"),
                                   http_reply(200, "application/json", kReply, "connection: close\r\n")});
  ProxyWorld proxy(world, kConfig);
  const Message first = proxy.answer("/v1/messages", ask("gpt-x", R"("temperature":0.5,"top_p":0.9,)"));
  CHECK_THAT(first.first_line, Contains("200"));
  CHECK_THAT(first.field("x-ccrules-loss"), Contains("temperature"));
  CHECK(requests_of(world) == 2);
  CHECK(proxy.rows().at(0).at("attempts") == "2");

  world.scripted_requests.clear();
  world.script("oai", 80, http_reply(200, "application/json", kReply));
  const Message again = proxy.answer("/v1/messages", ask("gpt-x", R"("temperature":0.5,"top_p":0.9,)"));
  CHECK_THAT(again.field("x-ccrules-loss"), Contains("temperature"));
  CHECK(requests_of(world) == 1);
  CHECK_THAT(world.scripted_requests, !Contains("temperature") && Contains("\"top_p\":0.9"));

  world.scripted_requests.clear();
  world.script("oai", 80, http_reply(200, "application/json", kReply));
  (void)proxy.answer("/v1/messages", ask("gpt-other", R"("temperature":0.5,)"));
  CHECK_THAT(world.scripted_requests, Contains("temperature"));  // another model is another matter
}

TEST_CASE("of two requests at once both go again without the field that was refused") {
  SimWorld world;
  world.script_in_turn("oai", 80, {refusal("Unsupported parameter: 'temperature' is not supported with this model."),
                                   refusal("Unsupported parameter: 'temperature' is not supported with this model."),
                                   http_reply(200, "application/json", kReply, "connection: close\r\n"),
                                   http_reply(200, "application/json", kReply, "connection: close\r\n")});
  ProxyWorld proxy(world, kConfig);
  const auto first = proxy.ask("/v1/messages", ask("gpt-x", R"("temperature":0.5,)"));
  const auto second = proxy.ask("/v1/messages", ask("gpt-x", R"("temperature":0.5,)"));
  proxy.run();
  CHECK_THAT(read_message(first->received()).first_line, Contains("200"));
  CHECK_THAT(read_message(second->received()).first_line, Contains("200"));
  CHECK(requests_of(world) == 4);
}

TEST_CASE("a value that a provider refuses is left out; others of the same field go through") {
  SimWorld world;
  world.script_in_turn("oai", 80, {refusal("Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. "
                                           "Supported values are: 'low', 'medium', and 'high'."),
                                   http_reply(200, "application/json", kReply, "connection: close\r\n")});
  ProxyWorld proxy(world, kConfig);
  const Message first = proxy.answer("/v1/chat/completions", ask("gpt-x", R"("reasoning_effort":"minimal",)"));
  CHECK(first.body == kReply);
  CHECK_THAT(first.field("x-ccrules-loss"), Contains("reasoning_effort"));

  for (const char* effort : {"high", "minimal"}) {
    world.scripted_requests.clear();
    world.script("oai", 80, http_reply(200, "application/json", kReply, "connection: close\r\n"));
    CHECK(proxy.answer("/v1/chat/completions", ask("gpt-x", std::string(R"("reasoning_effort":")") + effort + "\",")).body == kReply);
    CHECK(requests_of(world) == 1);
    const bool sent = world.scripted_requests.find("reasoning_effort") != std::string::npos;
    CHECK(sent == (std::string(effort) == "high"));
  }
}

TEST_CASE("a provider that wants another name for a field gets it, in the native lane too") {
  SimWorld world;
  world.script_in_turn("oai", 80, {refusal("Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                                           "'max_completion_tokens' instead."),
                                   http_reply(200, "application/json", kReply)});
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/chat/completions", ask("gpt-x", ""));
  CHECK(answer.body == kReply);
  CHECK_THAT(world.scripted_requests, Contains("\"max_completion_tokens\":100"));
  CHECK_THAT(answer.field("x-ccrules-loss"), Contains("max_tokens"));
}

TEST_CASE("a provider that refuses one field after the other is asked a bounded number of times") {
  SimWorld world;
  std::vector<std::string> refusals;
  for (const char* field : {"temperature", "top_p", "stop", "user", "n"})
    refusals.push_back(refusal(std::string("Unsupported parameter: '") + field + "' is not supported with this model."));
  world.script_in_turn("oai", 80, refusals);
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer(
      "/v1/chat/completions", ask("gpt-x", R"("temperature":0.5,"top_p":0.9,"stop":["x"],"user":"u","n":1,)"));
  CHECK_THAT(answer.first_line, Contains("400"));
  CHECK(requests_of(world) == 4);
  CHECK_THAT(answer.body, Contains("'user'"));
}

TEST_CASE("the conversation, its tools and the form of the answer are never left out") {
  for (const char* field : {"messages", "tools", "model", "response_format", "stream"}) {
    SimWorld world;
    world.script("oai", 80, refusal(std::string("Unsupported parameter: '") + field + "' is not supported with this model."));
    ProxyWorld proxy(world, kConfig);
    const Message answer = proxy.answer(
        "/v1/chat/completions",
        ask("gpt-x", R"("stream":false,"response_format":{"type":"json_object"},"tools":[{"type":"function","function":{"name":"f"}}],)"));
    CHECK_THAT(answer.first_line, Contains("400"));
    CHECK(requests_of(world) == 1);
  }
}

TEST_CASE("Anthropic's refusals reach its own clients as they are: they recover by the wording") {
  SimWorld world;
  const std::string body =
      R"({"type":"error","error":{"type":"invalid_request_error","message":"context_management: Extra inputs are not permitted"},"request_id":"r"})";
  world.script("anth", 80, http_reply(400, "application/json", body));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", ask("claude-x", R"("context_management":{},)"));
  CHECK_THAT(answer.first_line, Contains("400"));
  CHECK(answer.body == body);
  CHECK(requests_of(world) == 1);
}

TEST_CASE("reasoning that a provider cannot decrypt is left out, and the request goes again") {
  SimWorld world;
  world.script_in_turn("res", 80, {refusal("The encrypted content gAAA could not be verified.", R"(,"code":"invalid_encrypted_content")"),
                                   http_reply(200, "application/json", kResponse)});
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer(
      "/v1/responses",
      R"({"model":"res-x","store":false,"input":[{"role":"user","content":"hi"},{"type":"reasoning","id":"rs_1","summary":[],)"
      R"("encrypted_content":"gAAA"},{"role":"assistant","content":"ho"},{"role":"user","content":"go on"}]})");
  CHECK(answer.body == kResponse);
  CHECK_THAT(answer.field("x-ccrules-loss"), Contains("thinking"));
  const std::size_t second = world.scripted_requests.rfind("POST /");
  CHECK(world.scripted_requests.find("gAAA", second) == std::string::npos);
  CHECK(world.scripted_requests.find("go on", second) != std::string::npos);
}

TEST_CASE("a call whose signature Google refuses or misses goes again with the sentinel") {
  constexpr const char* kWhole = R"({"candidates":[{"content":{"parts":[{"text":"noon"}],"role":"model"},"finishReason":"STOP","index":0}],)"
                                 R"("usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1},"modelVersion":"gemini-3.8-flash","responseId":"r1"})";
  constexpr const char* kGoogle = R"({ "providers": {
    "google": { "dialect": "gemini", "base_url": "http://google:80", "models": ["gemini-*"] },
    "compat": { "dialect": "openai_chat", "base_url": "http://google:80", "reasoning_replay": "thought_signature", "models": [] } } })";
  const auto refused = [](const std::string& message) {
    return http_reply(400, "application/json", R"({"error":{"code":400,"message":")" + message + R"(","status":"INVALID_ARGUMENT"}})",
                      "connection: close\r\n");
  };
  SimWorld world;
  world.script_in_turn("google", 80, {refused("Corrupted thought signature."), http_reply(200, "application/json", kWhole)});
  ProxyWorld proxy(world, kGoogle);
  const Message answer = proxy.answer(
      "/v1beta/models/gemini-3.8-flash:generateContent",
      R"({"contents":[{"parts":[{"text":"hi"}]},{"role":"model","parts":[{"functionCall":{"id":"a","name":"f","args":{}},"thoughtSignature":"b2xk"}]},)"
      R"({"role":"user","parts":[{"functionResponse":{"id":"a","name":"f","response":{"output":"x"}}}]}]})");
  CHECK(answer.body == kWhole);
  CHECK_THAT(answer.field("x-ccrules-loss"), Contains("thinking"));
  CHECK(requests_of(world) == 2);
  const std::string second = world.scripted_requests.substr(world.scripted_requests.rfind("POST /"));
  CHECK_THAT(second, Contains(R"("thoughtSignature":"skip_thought_signature_validator")") && !Contains("b2xk"));

  world.scripted_requests.clear();
  world.script_in_turn("google", 80, {refused("Function call is missing a thought_signature in functionCall parts. position 2."),
                                      http_reply(200, "application/json", kReply)});
  const Message moved = proxy.answer(
      "/v1/chat/completions",
      R"({"model":"compat,gemini-3.8-flash","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[)"
      R"({"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"x"}]})");
  CHECK(moved.body == kReply);
  CHECK(requests_of(world) == 2);
  CHECK_THAT(world.scripted_requests.substr(world.scripted_requests.rfind("POST /")),
             Contains(R"("extra_content":{"google":{"thought_signature":"skip_thought_signature_validator"}})"));
}

TEST_CASE("a request that the rules send to another Claude model asks it only for what it takes") {
  constexpr const char* kRouted = R"({
    "providers": { "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "models": ["claude-*"] } },
    "routes": { "claude-sonnet-4-5": "anth,claude-opus-5-5" } })";
  constexpr const char* kMessage =
      R"({"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5-5","content":[{"type":"text","text":"done"}],)"
      R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}})";
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kMessage));
  ProxyWorld proxy(world, kRouted);
  const Message answer = proxy.answer(
      "/v1/messages",
      R"({"model":"claude-sonnet-4-5","max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":4000},"future":{"a":1.0},)"
      R"("messages":[{"role":"user","content":"hi"}]})");
  CHECK(answer.body == kMessage);
  CHECK_THAT(world.scripted_requests,
             Contains(R"("thinking":{"type":"adaptive"})") && !Contains("budget_tokens") && Contains(R"("future":{"a":1.0})"));
  CHECK_THAT(answer.field("x-ccrules-loss"), Contains("thinking.budget_tokens"));

  world.scripted_requests.clear();
  world.script("anth", 80, http_reply(200, "application/json", kMessage));
  const std::string plain = R"({"model":"claude-sonnet-4-5","max_tokens":90 ,"messages":[{"role":"user","content":"hi"}]})";
  (void)proxy.answer("/v1/messages", plain);
  CHECK_THAT(world.scripted_requests, Contains(R"("max_tokens":90 ,)"));  // nothing to rewrite: its own bytes
}
