#include <chrono>

#include <catch2/catch.hpp>

#include "support/json_tree.h"
#include "support/proxy_world.h"
#include "support/validators.h"

/// What Claude Code needs of a gateway. The numbers are those of the requirements list that docs/claude-code.md shows.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "providers": {
    "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "api_key": "anth-secret", "models": ["claude-*"] },
    "pass": { "dialect": "anthropic", "base_url": "http://pass:80", "auth": "passthrough", "models": [] },
    "oai": { "dialect": "openai_chat", "base_url": "http://oai:80/v1", "api_key": "oai-secret", "models": ["gpt-x"] }
  }
})";

constexpr const char* kAgent = "user-agent: claude-cli/2.1.329 (external, cli)\r\n";
constexpr const char* kReply =
    R"({"id":"msg_9","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"hello"}],)"
    R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7},"safeguard_results":[1.50]})";
constexpr const char* kChatReply =
    R"({"id":"c1","object":"chat.completion","created":1,"model":"gpt-x","choices":[{"index":0,"finish_reason":"stop","message":)"
    R"({"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}})";
/// As 2.1.329 sends it: an attribution line in front, a system message in the middle, members that nobody knows yet.
constexpr const char* kClaudeBody =
    R"({"model":"claude-x","messages":[{"role":"user","content":"hi"},{"role":"system","content":"cwd is /src"}],"system":[)"
    R"({"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.329.76f; cc_entrypoint=sdk-cli;"},)"
    R"({"type":"text","text":"You are Claude Code.","cache_control":{"type":"ephemeral"}}],"metadata":{"user_id":"u"},"max_tokens":64,)"
    R"("context_management":{"edits":[]},"output_config":{"effort":"medium"},"safeguards":{"a":1.0},"tags":["x"]})";

std::string ask(const std::string& model, const std::string& more = {}) {
  return R"({"model":")" + model + R"(","max_tokens":100,)" + more + R"("messages":[{"role":"user","content":"hi"}]})";
}

std::string chat_error(int status, const std::string& message, const std::string& more = {}) {
  return http_reply(status, "application/json", R"({"error":{"message":")" + message + R"(","type":"invalid_request_error")" + more + "}}");
}

/// What Claude Code is told when the OpenAI provider answers so.
std::string told(const std::string& provider_answer, const std::string& body, std::string* whole = nullptr) {
  SimWorld world;
  world.script("oai", 80, provider_answer);
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages?beta=true", body, kAgent);
  if (whole != nullptr) *whole = answer.body;
  const Seen seen = check_anthropic_error(answer.body);
  CHECK(seen.report() == "");
  return answer.first_line.substr(9, 3) + " " + seen.error_type + ": " + seen.error_message;
}

}  // namespace

TEST_CASE("1.1 the path alone says what is asked, and the query goes on to Anthropic") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kConfig);
  CHECK(proxy.answer("/v1/messages?beta=true&new=1", ask("claude-x")).body == kReply);
  CHECK_THAT(world.scripted_requests, Contains("POST /v1/messages?beta=true&new=1 HTTP/1.1"));
}

TEST_CASE("1.2 and 4.4 a stream goes out event by event, marked so that nothing in between holds it back") {
  SimWorld world;
  world.script("anth", 80, http_stream(anthropic_events("hello")));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", ask("claude-x", R"("stream":true,)"));
  CHECK_THAT(answer.field("content-type"), Contains("text/event-stream"));
  CHECK(answer.field("cache-control") == "no-cache");
  CHECK(answer.field("x-accel-buffering") == "no");
  std::string expected;
  for (const std::string& event : anthropic_events("hello")) expected += event;
  CHECK(answer.body == expected);
}

TEST_CASE("1.3 tokens are counted by Anthropic for its own models, and by us for another vendor's") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", R"({"input_tokens":1234})"));
  std::string config = kConfig;
  config.insert(config.find("\"dialect\""), R"("switches": { "count_tokens": true }, )");
  ProxyWorld proxy(world, config);
  const std::string prompt = R"(,"messages":[{"role":"user","content":"hi"}]})";
  CHECK(proxy.answer("/v1/messages/count_tokens?beta=true", R"({"model":"claude-x")" + prompt).body == R"({"input_tokens":1234})");
  CHECK_THAT(world.scripted_requests, Contains("POST /v1/messages/count_tokens HTTP/1.1"));
  const Message ours = proxy.answer("/v1/messages/count_tokens", R"({"model":"gpt-x")" + prompt);
  const auto counted = parse_tree(ours.body);
  REQUIRE(counted);
  CHECK(counted->integer("input_tokens").value_or(0) > 0);
}

TEST_CASE("1.5 the warm-up call is answered at once and without a key") {
  SimWorld world;
  ProxyWorld proxy(world, R"({"listen":{"api_key":"secret"},"providers":{"anth":{"dialect":"anthropic","base_url":"http://anth:80"}}})");
  CHECK_THAT(proxy.answer("/v1/messages", ask("claude-x")).first_line, Contains("401"));
  CHECK(proxy.rows().size() == 1);  // the refusal; no row for what is no request
}

TEST_CASE("1.6 a provider's redirect is an error, never passed on") {
  SimWorld world;
  world.script("anth", 80, http_reply(307, "text/html", "moved", "location: http://elsewhere/\r\n"));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", ask("claude-x"));
  CHECK_THAT(answer.first_line, Contains("502"));
  CHECK(answer.field("location").empty());
}

TEST_CASE("1.7, 2.1, 2.2, 2.7 and 3.1 what nobody knows yet reaches Anthropic byte for byte") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer(
      "/v1/messages", kClaudeBody,
      std::string(kAgent) + "anthropic-version: 2023-06-01\r\nanthropic-beta: claude-code-20250219,new-beta-2027-01-01\r\n"
                            "anthropic-workspace-id: w1\r\nx-app: cli\r\nx-stainless-lang: js\r\nx-future: yes\r\n");
  CHECK(answer.body == kReply);
  CHECK_THAT(world.scripted_requests,
             Contains("anthropic-version: 2023-06-01\r\n") && Contains("anthropic-beta: claude-code-20250219,new-beta-2027-01-01\r\n") &&
                 Contains("anthropic-workspace-id: w1") && Contains("x-app: cli") && Contains("x-stainless-lang: js") &&
                 Contains("x-future: yes") && Contains(kClaudeBody));
}

TEST_CASE("2.3 and 6.2 the gateway's key is taken as Bearer or x-api-key, and never goes on") {
  constexpr const char* kLocked = R"({"listen":{"api_key":"gate-key"},"providers":{
    "anth":{"dialect":"anthropic","base_url":"http://anth:80","api_key":"anth-secret","models":["claude-x"]}}})";
  for (const char* header : {"authorization: Bearer gate-key\r\n", "x-api-key: gate-key\r\n", "authorization: Bearer gate-key\r\nx-api-key: gate-key\r\n"}) {
    SimWorld world;
    world.script("anth", 80, http_reply(200, "application/json", kReply));
    ProxyWorld proxy(world, kLocked);
    CHECK(proxy.answer("/v1/messages", ask("claude-x"), header).body == kReply);
    CHECK_THAT(world.scripted_requests, Contains("x-api-key: anth-secret") && !Contains("gate-key"));
  }
  SimWorld world;
  ProxyWorld proxy(world, kLocked);
  const Message refused = proxy.answer("/v1/messages", ask("claude-x"), "x-api-key: wrong\r\n");
  CHECK_THAT(refused.first_line, Contains("401"));
  CHECK(refused.field("x-should-retry") == "false");  // 5.10
}

TEST_CASE("2.4 a provider set to passthrough gets the developer's own login and its beta, unchanged") {
  SimWorld world;
  world.script("pass", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kConfig);
  (void)proxy.answer("/v1/messages", ask("pass,claude-x"), "authorization: Bearer sk-ant-oat01-mine\r\nanthropic-beta: oauth-2025-04-20\r\n");
  CHECK_THAT(world.scripted_requests, Contains("authorization: Bearer sk-ant-oat01-mine") && Contains("anthropic-beta: oauth-2025-04-20"));
  world.scripted_requests.clear();
  world.script("anth", 80, http_reply(200, "application/json", kReply));
  (void)proxy.answer("/v1/messages", ask("claude-x"), "authorization: Bearer sk-ant-oat01-mine\r\n");
  CHECK_THAT(world.scripted_requests, !Contains("sk-ant-oat01-mine"));  // off unless asked for
}

TEST_CASE("2.5, 2.9 and 2.10 session, agent and class come from the client's headers and are in the ledger") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kConfig);
  (void)proxy.answer("/v1/messages", ask("claude-x"),
                     std::string(kAgent) + "x-claude-code-session-id: s-1\r\nx-claude-code-agent-id: a-1\r\nx-claude-code-request-class: compaction\r\n"
                                           "x-claude-code-managed-settings-checksum: sha256:secret\r\n");
  const auto rows = proxy.rows();
  CHECK(rows.at(0).at("session") == "s-1");
  CHECK(rows.at(0).at("request_class") == "compaction");
  CHECK_THAT(world.scripted_requests, !Contains("sha256:secret"));
}

TEST_CASE("2.8 fields of one hop stay there") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kReply, "keep-alive: timeout=9\r\nx-hop: no\r\n"));
  ProxyWorld proxy(world, kConfig);
  (void)proxy.answer("/v1/messages", ask("claude-x"), "connection: keep-alive, x-mine\r\nx-mine: 1\r\nte: trailers\r\nproxy-authorization: b\r\n");
  CHECK_THAT(world.scripted_requests, !Contains("x-mine") && !Contains("te: trailers") && !Contains("proxy-authorization"));
}

TEST_CASE("3.2, 3.4, 3.7, 3.10 and 3.11 another vendor gets the system message from the middle, and not the attribution line") {
  SimWorld world;
  world.script("oai", 80, http_reply(200, "application/json", kChatReply));
  ProxyWorld proxy(world, kConfig);
  std::string body = kClaudeBody;
  body.replace(body.find("claude-x"), 8, "gpt-x");
  const Message named = proxy.answer("/v1/messages", body, kAgent);
  CHECK_THAT(named.body, Contains("safeguards is not supported"));  // 3.10: Claude Code sends it again without
  body.erase(body.find(R"("safeguards":{"a":1.0},)"), 23);
  const Message answer = proxy.answer("/v1/messages", body, std::string(kAgent) + "anthropic-beta: context-management-2025-06-27\r\n");
  INFO(answer.body);
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, Contains("cwd is /src") && Contains("You are Claude Code.") && !Contains("x-anthropic-billing-header"));
  // 3.2 and 3.11: no half of a pair goes anywhere.
  CHECK_THAT(world.scripted_requests, !Contains("anthropic-beta") && !Contains("context_management") && !Contains("\"tags\""));
  CHECK_THAT(answer.field("x-ccrules-loss"), Contains("context_management") && Contains("tags"));
}

TEST_CASE("3.5 a rule that names another model leaves the system prompt's blocks as they are") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, R"({"providers":{"anth":{"dialect":"anthropic","base_url":"http://anth:80","models":["claude-*"]}},
    "routes":{"claude-x":"anth,claude-y"}})");
  (void)proxy.answer("/v1/messages", kClaudeBody, kAgent);
  std::string expected = kClaudeBody;
  expected.replace(expected.find("claude-x"), 8, "claude-y");
  CHECK_THAT(world.scripted_requests, Contains(expected));
}

TEST_CASE("3.12 a body of 20 MB is taken, one beyond the limit is a 413 that the client can read") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kConfig);
  const std::string big = R"({"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":")" + std::string(20'000'000, 'a') + R"("}]})";
  CHECK(proxy.answer("/v1/messages", big).body == kReply);
  const std::string bigger = R"({"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":")" + std::string(34'000'000, 'a') + R"("}]})";
  const Message refused = proxy.answer("/v1/messages", bigger);
  CHECK_THAT(refused.first_line, Contains("413"));
  CHECK(check_anthropic_error(refused.body).error_type == "request_too_large");
}

TEST_CASE("4.1 pings and comments of the provider go on at once") {
  SimWorld world;
  auto events = anthropic_events("hello");
  events.insert(events.begin(), ": comment\n\n");
  events.insert(events.begin() + 3, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
  world.script("anth", 80, http_stream(events));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", ask("claude-x", R"("stream":true,)"));
  CHECK_THAT(answer.body, Contains(": comment\n\n") && Contains("event: ping"));
}

TEST_CASE("4.2 a provider that says nothing, not even pings, does not leave the client without a byte for 15 seconds") {
  for (const bool native : {true, false}) {
    INFO((native ? "native" : "translated"));
    SimWorld world;
    std::vector<std::string> begun = native ? anthropic_events("hello") : openai_events("hello");
    begun.resize(2);
    world.script(native ? "anth" : "oai", 80, http_stream(begun, true));
    ProxyWorld proxy(world, kConfig);
    const auto client = proxy.ask("/v1/messages", ask(native ? "claude-x" : "gpt-x", R"("stream":true,)"));
    world.loop.run_for(std::chrono::seconds(1));
    for (int pings = 1; pings < 4; ++pings) {
      const std::size_t before = client->received().size();
      world.loop.run_for(std::chrono::seconds(15));
      CHECK(client->received().size() > before);
    }
    CHECK_THAT(client->received(), Contains("event: ping\ndata: {\"type\": \"ping\"}\n\n") || Contains("event: ping\ndata: {\"type\":\"ping\"}\n\n"));
  }
}

TEST_CASE("4.5 a stream that breaks ends with an error event and no message_stop, in both lanes") {
  for (const bool native : {true, false}) {
    SimWorld world;
    auto messages = anthropic_events("hello");
    messages.resize(3);
    auto chunks = openai_events("hello");
    chunks.resize(2);
    world.script("anth", 80, http_stream(messages, true));
    world.script("oai", 80, http_stream(chunks, true));
    ProxyWorld proxy(world, kConfig);
    const Message answer = proxy.answer("/v1/messages", ask(native ? "claude-x" : "gpt-x", R"("stream":true,)"));
    CHECK_THAT(answer.body, Contains("event: error\ndata: ") && !Contains("message_stop"));
  }
}

TEST_CASE("4.6 a web page with status 200 is an error, not an answer") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "text/html", "<html>hello</html>"));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", ask("claude-x"));
  CHECK_THAT(answer.first_line, Contains("502"));
  CHECK(check_anthropic_error(answer.body).report() == "");
}

TEST_CASE("4.7, 4.9 and 4.11 Anthropic's answer and its headers reach the client unchanged, with ours beside them") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kReply,
                                      "request-id: req_up\r\nx-should-retry: true\r\nanthropic-ratelimit-requests-remaining: 5\r\nretry-after: 3\r\n"));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", ask("claude-x"));
  CHECK(answer.body == kReply);
  CHECK(answer.field("request-id") == "req_up");
  CHECK(answer.field("anthropic-ratelimit-requests-remaining") == "5");
  CHECK(answer.field("retry-after") == "3");
  CHECK(answer.field("x-should-retry") == "true");
  CHECK(answer.field("x-ccrules-target") == "anth,claude-x");
}

TEST_CASE("4.8 what tells of the operator's account stays here when a team shares the proxy") {
  const auto headers_of = [](const std::string& listen, int status) {
    SimWorld world;
    world.script("anth", 80, http_reply(status, "application/json", kReply,
                                        "request-id: req_theirs\r\nanthropic-ratelimit-requests-remaining: 7\r\n"
                                        "anthropic-organization-id: org_1\r\ncf-ray: r\r\nvia: 1.1 x\r\nretry-after: 3\r\n"));
    std::string config = kConfig;
    config.insert(config.find('{') + 1, "\"listen\": " + listen + ",");
    ProxyWorld proxy(world, config);
    return proxy.answer("/v1/messages", ask("claude-x"));
  };
  for (const int status : {200, 429}) {
    const Message alone = headers_of("{}", status);
    CHECK(alone.field("request-id") == "req_theirs");
    CHECK(alone.field("anthropic-ratelimit-requests-remaining") == "7");
    const Message shared = headers_of("{ \"shared\": true }", status);
    CHECK_THAT(shared.field("request-id"), Catch::StartsWith("req_") && !Contains("theirs"));
    CHECK(shared.field("retry-after") == "3");
    for (const char* name : {"anthropic-ratelimit-requests-remaining", "anthropic-organization-id", "cf-ray", "via"}) {
      INFO(name);
      CHECK(shared.field(name).empty());
    }
    CHECK(shared.body == alone.body);
  }
}

TEST_CASE("2.11 a compressed request is taken, one in a way nobody knows is a 415") {
  SimWorld world;
  ProxyWorld proxy(world, kConfig);
  CHECK_THAT(proxy.answer("/v1/messages", "x", "content-encoding: snappy\r\n").first_line, Contains("415"));
}

TEST_CASE("2.12 a stream goes out uncompressed, whatever the client's accept and accept-encoding say") {
  const std::string text(5000, 'x');
  for (const bool native : {true, false}) {
    SimWorld world;
    world.script(native ? "anth" : "oai", 80, http_stream(native ? anthropic_events(text) : openai_events(text)));
    ProxyWorld proxy(world, kConfig);
    const Message streamed = proxy.answer("/v1/messages", ask(native ? "claude-x" : "gpt-x", R"("stream":true,)"),
                                          "accept: application/json\r\naccept-encoding: gzip, deflate, br, zstd\r\n");
    CHECK(streamed.field("content-encoding").empty());
    CHECK_THAT(streamed.field("content-type"), Contains("text/event-stream"));
    CHECK_THAT(streamed.body, Contains("message_stop") && Contains(text));
  }
}

TEST_CASE("3.8 another session with another attribution line gets the answer that is in the cache") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kReply));
  std::string config = kConfig;
  config.insert(config.find('{') + 1, R"("cache":{"enabled":true},)");
  ProxyWorld proxy(world, config);
  const auto asking = [&](const std::string& session, const std::string& user_id, const std::string& build, const std::string& words) {
    const std::string body =
        R"({"model":"claude-x","max_tokens":64,"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.329.)" + build +
        R"(; cc_entrypoint=cli;"},{"type":"text","text":"You are Claude Code."}],"metadata":{"user_id":")" + user_id + session +
        R"("},"messages":[{"role":"user","content":")" + words + "\"}]}";
    const auto client = proxy.ask("/v1/messages", body, std::string(kAgent) + "x-claude-code-session-id: " + session + "\r\n");
    world.loop.run_for(std::chrono::milliseconds(5));
    return read_message(client->received()).field("x-ccrules-cache");
  };
  const std::string as_json = R"({\"device_id\":\"d\",\"account_uuid\":\"a\",\"session_id\":)";  // since 2.1; cut off here, as nobody reads it
  for (const std::string& user_id : {std::string("user_a_account__session_"), as_json}) {
    CAPTURE(user_id);
    const std::string words = "hi" + std::to_string(user_id.size());
    CHECK(asking("s1", user_id, "76f", words) == "miss");
    CHECK(asking("s2", user_id, "a01", words) == "hit");
    CHECK(asking("s2", user_id, "a01", words + "!") == "miss");
  }
}

TEST_CASE("3.9 and 3.6 the attribution line stays where it is in the native lane, whatever a rule sets") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kReply));
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(, "rules": ["/r.lua"])");
  ProxyWorld proxy(world, config, {{"/r.lua", R"(rule "less" { set = { max_tokens = { max = 10 } } })"}});
  (void)proxy.answer("/v1/messages", kClaudeBody);
  CHECK_THAT(world.scripted_requests, Contains(R"("system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.329.76f;)") &&
                                          Contains(R"("max_tokens":10)"));
}

TEST_CASE("4.10 usage comes once at the start and once at the end of a translated stream") {
  SimWorld world;
  world.script("oai", 80, http_stream(openai_events("hello")));
  ProxyWorld proxy(world, kConfig);
  const std::string body = proxy.answer("/v1/messages", ask("gpt-x", R"("stream":true,)")).body;
  std::size_t count = 0;
  for (std::size_t at = body.find("\"usage\""); at != std::string::npos; at = body.find("\"usage\"", at + 1)) ++count;
  CHECK(count == 2);
}

TEST_CASE("5.1 and 5.5 Anthropic's errors reach the client with status and every byte") {
  for (const char* message : {"prompt is too long: 210000 tokens > 200000 maximum", "Input is too long.", "safeguards: Extra inputs are not permitted",
                              "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000"}) {
    SimWorld world;
    const std::string body = R"({"type":"error","error":{"type":"invalid_request_error","message":")" + std::string(message) +
                             R"("},"request_id":"req_1","later":{"a":1.0}})";
    world.script("anth", 80, http_reply(400, "application/json", body));
    ProxyWorld proxy(world, kConfig);
    const Message answer = proxy.answer("/v1/messages", ask("claude-x"), kAgent);
    CHECK_THAT(answer.first_line, Contains("400"));
    CHECK(answer.body == body);
  }
}

TEST_CASE("5.2 another vendor's errors come with Anthropic's status and type") {
  CHECK_THAT(told(chat_error(400, "bad thing"), ask("gpt-x")), Contains("400 invalid_request_error: bad thing"));
  CHECK_THAT(told(chat_error(404, "no such model"), ask("gpt-x")), Contains("404 not_found_error"));
  CHECK_THAT(told(chat_error(413, "huge"), ask("gpt-x")), Contains("413 request_too_large"));
  CHECK_THAT(told(chat_error(429, "slow down"), ask("gpt-x")), Contains("429 rate_limit_error"));
  CHECK_THAT(told(chat_error(503, "busy"), ask("gpt-x")), Contains("529 overloaded_error"));
  CHECK_THAT(told(chat_error(500, "oops"), ask("gpt-x")), Contains("500 api_error"));
  // Our own key is not the user's: told as 403 with the setting's name, and no retry helps.
  CHECK_THAT(told(chat_error(401, "bad key"), ask("gpt-x")), Contains("403 permission_error") && Contains("providers.oai.api_key"));
}

TEST_CASE("5.3 what Claude Code can recover from is told as its class and nothing else") {
  const std::string kStart = "400 invalid_request_error: capability_rejected: ";
  CHECK(told(chat_error(400, "This model does not support image input"), ask("gpt-x")) == kStart + "image_block");
  CHECK(told(chat_error(404, "No endpoints found that support image input"), ask("gpt-x")) != kStart + "image_block");
  CHECK(told(chat_error(400, "File input is not supported: application/pdf"), ask("gpt-x")) == kStart + "document_block");
  CHECK(told(chat_error(400, "Structured outputs are not supported with this model"), ask("gpt-x")) == kStart + "structured_outputs_unsupported");
  CHECK(told(chat_error(400, "System message must be at the beginning."), ask("gpt-x")) == kStart + "mid_conv_system");
  CHECK(told(chat_error(400, "messages.0.content.0.cache_control: Extra inputs are not permitted"), ask("gpt-x")) == kStart + "cache_control_field");
  // When unsure, and for other clients, the provider's own words.
  CHECK_THAT(told(chat_error(400, "the picture is ugly"), ask("gpt-x")), Contains("the picture is ugly"));
  SimWorld world;
  world.script("oai", 80, chat_error(400, "This model does not support image input"));
  ProxyWorld proxy(world, kConfig);
  CHECK_THAT(proxy.answer("/v1/messages", ask("gpt-x")).body, Contains("does not support image input"));
}

TEST_CASE("5.4 and 5.6 a prompt that is too long is told in the words that make Claude Code compact") {
  CHECK_THAT(told(chat_error(400, "This model's maximum context length is 128000 tokens. However, your messages resulted in 140000 tokens.",
                             R"(,"code":"context_length_exceeded")"), ask("gpt-x")),
             Contains("400 invalid_request_error: prompt is too long: 140000 tokens > 128000 maximum"));
  CHECK_THAT(told(chat_error(400, "This model's maximum context length is 32768 tokens. However, you requested 40000 tokens (8000 in the messages, "
                                  "32000 in the completion)."), ask("gpt-x")),
             Contains("input length and `max_tokens` exceed context limit: 8000 + 32000 > 32768"));
}

TEST_CASE("5.7 what a rule forbids is a 400 policy_blocked that is not tried again") {
  SimWorld world;
  ProxyWorld proxy(world,
                   R"({"providers":{"anth":{"dialect":"anthropic","base_url":"http://anth:80","models":["claude-*"]}},"rules":["/r.lua"]})",
                   {{"/r.lua", R"(rule "no" { deny = { status = 400, message = "not here" } })"}});
  const Message answer = proxy.answer("/v1/messages", ask("claude-x"), kAgent);
  INFO(answer.body);
  CHECK_THAT(answer.first_line, Contains("400"));
  CHECK(answer.field("x-should-retry") == "false");
  const Seen seen = check_anthropic_error(answer.body);
  CHECK(seen.error_type == "policy_blocked");
  CHECK(seen.error_message == "not here");
}

TEST_CASE("5.8 a budget that is used up is a 429 billing_error with the fields that Claude Code shows, and none that hide it") {
  SimWorld world;
  ProxyWorld proxy(world, R"({"providers":{"anth":{"dialect":"anthropic","base_url":"http://anth:80","models":["claude-*"]}},)"
                          R"("prices":{"claude-x":{"input":10,"output":100}},"budgets":[{"usd":0.02,"per":"week"}]})");
  ledger::Record spent;
  spent.at_us = proxy.worker().clock.wall_us();
  spent.cost_nanousd = 19'000'000;  // the request's output alone may cost 10 000 000
  proxy.tallies().spend.add(spent);
  const Message answer = proxy.answer("/v1/messages?beta=true", ask("claude-x"), kAgent);
  CHECK_THAT(answer.first_line, Contains("429"));
  CHECK(std::stoll(answer.field("retry-after")) > 0);
  CHECK(answer.field("x-should-retry") == "false");
  const std::string prefix = "anthropic-ratelimit-unified-";
  CHECK(answer.field(prefix + "status") == "rejected");
  const std::int64_t reset_s = std::stoll(answer.field(prefix + "reset"));
  CHECK(reset_s * 1'000'000 == proxy.tallies().spend.calendar().end_us(ledger::Span::kWeek, proxy.worker().clock.wall_us()));
  CHECK(answer.field(prefix + "overage-reset") == answer.field(prefix + "reset"));
  CHECK(answer.field(prefix + "overage-utilization") == "1");
  CHECK(answer.field(prefix + "overage-surpassed-threshold") == "1");
  CHECK(answer.field(prefix + "overage-period") == "weekly");
  CHECK(answer.field(prefix + "overage-disabled-reason") == "org_spend_cap_reached");
  CHECK(answer.field(prefix + "representative-claim").empty());
  CHECK(answer.field(prefix + "overage-status").empty());
  const Seen seen = check_anthropic_error(answer.body);
  CHECK(seen.error_type == "billing_error");
  CHECK_THAT(seen.error_message, Contains("free again in") && Contains("choose a cheaper model"));
  CHECK_THAT(answer.body, Contains(proxy.rows().at(0).at("id")));
}

TEST_CASE("5.9 answers under a budget say how much of it is used, and warn from three quarters on") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, R"({"providers":{"anth":{"dialect":"anthropic","base_url":"http://anth:80","models":["claude-*"]}},)"
                          R"("prices":{"claude-x":{"input":10,"output":100}},"budgets":[{"usd":0.01,"mode":"soft"}]})");
  std::string last;
  bool warned = false;
  for (int i = 0; i < 14; ++i) {
    const Message answer = proxy.answer("/v1/messages", ask("claude-x"), kAgent);
    CHECK_THAT(answer.first_line, Contains("200"));
    const std::string prefix = "anthropic-ratelimit-unified-";
    const std::string utilization = answer.field(prefix + "overage-utilization");
    const bool warn = utilization == "1" || utilization >= "0.750";
    CHECK(utilization >= last);
    last = utilization;
    warned |= warn;
    CHECK(answer.field(prefix + "status") == (warn ? "allowed_warning" : "allowed"));
    CHECK(answer.field(prefix + "overage-status") == answer.field(prefix + "status"));
    CHECK(answer.field(prefix + "representative-claim") == "overage");
    CHECK(answer.field(prefix + "overage-surpassed-threshold") == (!warn ? "" : utilization == "1" || utilization >= "0.950" ? "0.95" : "0.75"));
    CHECK_FALSE(answer.field(prefix + "reset").empty());
    CHECK(answer.field(prefix + "overage-reset") == answer.field(prefix + "reset"));
  }
  CHECK(warned);
}

TEST_CASE("5.10 errors that a retry cannot help say so") {
  SimWorld world;
  world.script("oai", 80, chat_error(401, "Incorrect API key provided"));
  ProxyWorld proxy(world, R"({"listen":{"api_key":"gate"},"providers":{"oai":{"dialect":"openai_chat","base_url":"http://oai:80/v1",)"
                          R"("api_key":"oai-secret","models":["gpt-x"]}}})");
  const auto retry = [&](const std::string& key) {
    const Message answer = proxy.answer("/v1/messages", ask("gpt-x"), std::string(kAgent) + "x-api-key: " + key + "\r\n");
    return answer.first_line.substr(9, 3) + " " + answer.field("x-should-retry");
  };
  CHECK(retry("wrong") == "401 false");
  CHECK_THAT(retry("gate"), Contains("false"));  // the operator's key is refused: nothing that the client could mend
}

TEST_CASE("1.4, 6.1, 6.3 and 6.4 Claude Code's list of models shows every model, and what it picks is understood") {
  SimWorld world;
  world.script("oai", 80, http_reply(200, "application/json", kChatReply));
  ProxyWorld proxy(world, kConfig);
  const auto list = [&world, &proxy](const std::string& headers) {
    MemoryClient client(world.loop, proxy.server());
    client.send("GET /v1/models?limit=1000 HTTP/1.1\r\nhost: localhost\r\n" + headers + "\r\n");
    world.loop.run();
    return read_message(client.received()).body;
  };
  const auto discovered = parse_tree(list("anthropic-version: 2023-06-01\r\nuser-agent: claude-code/2.1.329\r\n"));
  REQUIRE(discovered);
  bool found = false;
  for (const Tree& model : discovered->get("data")->items) {
    const bool shown = model.string("id").find("claude") != std::string::npos;
    CHECK(shown);
    found = found || (model.string("id") == "claude-via/gpt-x" && model.string("display_name") == "gpt-x");
  }
  CHECK(found);
  CHECK_THAT(list("anthropic-version: 2023-06-01\r\n"), Contains(R"("id":"gpt-x")") && Contains("first_id"));
  CHECK_THAT(list(""), Contains(R"("object":"list")") && Contains(R"("id":"gpt-x")"));
  const Message picked = proxy.answer("/v1/messages", ask("claude-via/gpt-x"), kAgent);
  CHECK_THAT(picked.first_line, Contains("200"));
  CHECK(picked.field("x-ccrules-target") == "oai,gpt-x");
}

TEST_CASE("7 a name that ends in [1m] is the model without it, and the beta stays") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", ask("claude-x[1m]"), "anthropic-beta: context-1m-2025-08-07\r\n");
  CHECK(answer.body == kReply);
  CHECK_THAT(world.scripted_requests, Contains(R"("model":"claude-x")") && Contains("context-1m-2025-08-07"));
}
