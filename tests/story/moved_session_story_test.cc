#include <catch2/catch.hpp>

#include "support/json_tree.h"
#include "support/proxy_world.h"

/// A session begins at a model of another dialect and goes on at one of its own: what the first model thought came to
/// the client in a signature of ours, and no provider but the one it belongs to may see it.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "providers": {
    "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "models": ["claude-*"] },
    "oai": { "dialect": "openai_responses", "base_url": "http://oai:80/v1", "models": ["gpt-*"] },
    "google": { "dialect": "gemini", "base_url": "http://google:80", "models": ["gemini-*"] },
    "deep": { "dialect": "openai_chat", "base_url": "http://deep:80", "reasoning_replay": "reasoning_content", "models": ["deep-*"] }
  }
})";

constexpr const char* kMessagesReply =
    R"({"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"done"}],)"
    R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}})";
constexpr const char* kGeminiReply =
    R"({"candidates":[{"content":{"parts":[{"text":"done"}],"role":"model"},"finishReason":"STOP","index":0}],)"
    R"("usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1,"totalTokenCount":10},"modelVersion":"gemini-3.5-flash","responseId":"r1"})";
constexpr const char* kResponsesReply =
    R"({"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"gpt-x","output":[{"type":"message","id":"m1",)"
    R"("role":"assistant","status":"completed","content":[{"type":"output_text","text":"done","annotations":[]}]}],)"
    R"("usage":{"input_tokens":9,"output_tokens":1,"total_tokens":10}})";
/// A whole answer of `deep` that reasons and calls a tool.
constexpr const char* kDeepReply =
    R"({"id":"c1","object":"chat.completion","created":1,"model":"deep-1","choices":[{"index":0,"finish_reason":"tool_calls","message":)"
    R"({"role":"assistant","content":null,"reasoning_content":"I need the time","tool_calls":[{"id":"call_1","type":"function",)"
    R"("function":{"name":"now","arguments":"{\"zone\":\"utc\"}"}}]}}],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}})";

/// The text of one member of the answer, as JSON: everything from behind `key` up to the bracket that closes it.
std::string member_json(const std::string& body, const std::string& key) {
  const std::size_t at = body.find("\"" + key + "\":");
  REQUIRE(at != std::string::npos);
  const std::size_t begin = at + key.size() + 3;
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = begin; i < body.size(); ++i) {
    if (quoted) {
      if (body[i] == '\\') ++i;
      else if (body[i] == '"') quoted = false;
      continue;
    }
    if (body[i] == '"') quoted = true;
    if (body[i] == '[' || body[i] == '{') ++depth;
    if ((body[i] == ']' || body[i] == '}') && --depth == 0) return body.substr(begin, i + 1 - begin);
  }
  FAIL("no end of " << key << " in " << body);
  return {};
}

constexpr const char* kMessagesTool = R"("tools":[{"name":"now","input_schema":{"type":"object","properties":{"zone":{"type":"string"}}}}],)";

/// The second turn of an Anthropic client: `content` is what the first answer held, unchanged.
std::string messages_turn(const std::string& model, const std::string& content, const std::string& more = {}) {
  return R"({"model":")" + model + R"(","max_tokens":2000,)" + kMessagesTool + more + R"("future_member":1.50,)" +
         R"("messages":[{"role":"user","content":"what time is it?"},{"role":"assistant","content":)" + content +
         R"(},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":"noon"}]}]})";
}

std::string first_messages_turn() {
  return R"({"model":"deep-1","max_tokens":2000,)" + std::string(kMessagesTool) +
         R"("messages":[{"role":"user","content":"what time is it?"}]})";
}

}  // namespace

TEST_CASE("an Anthropic session that began elsewhere goes on at Anthropic without our signatures") {
  SimWorld world;
  world.script("deep", 80, http_reply(200, "application/json", kDeepReply));
  ProxyWorld proxy(world, kConfig);
  const Message first = proxy.answer("/v1/messages", first_messages_turn());
  const std::string content = member_json(first.body, "content");
  REQUIRE_THAT(content, Contains("ccr1.deep,deep-1:") && Contains("I need the time"));

  world.scripted_requests.clear();
  world.script("anth", 80, http_reply(200, "application/json", kMessagesReply));
  const Message next = proxy.answer("/v1/messages", messages_turn("claude-sonnet-4-5", content));
  CHECK(next.body == kMessagesReply);
  CHECK_THAT(world.scripted_requests, !Contains("ccr1.") && !Contains("I need the time"));
  CHECK_THAT(world.scripted_requests, Contains(R"("type":"tool_use","id":"call_1")") && Contains(R"("future_member":1.50)"));
  CHECK_THAT(next.field("x-ccrules-loss"), Contains("thinking"));

  world.scripted_requests.clear();
  world.script("deep", 80, http_reply(200, "application/json", kDeepReply));
  const Message back = proxy.answer("/v1/messages", messages_turn("deep-1", content));
  CHECK_THAT(back.first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, Contains(R"("reasoning_content":"I need the time")") && !Contains("ccr1."));
}

TEST_CASE("an Anthropic session that thought elsewhere and calls a tool does not ask Anthropic for thinking it cannot continue") {
  SimWorld world;
  world.script("deep", 80, http_reply(200, "application/json", kDeepReply));
  ProxyWorld proxy(world, kConfig);
  const std::string content = member_json(proxy.answer("/v1/messages", first_messages_turn()).body, "content");
  world.scripted_requests.clear();
  world.script("anth", 80, http_reply(200, "application/json", kMessagesReply));
  const Message next = proxy.answer(
      "/v1/messages", messages_turn("claude-sonnet-4-5", content, R"("thinking":{"type":"enabled","budget_tokens":1024},)"));
  CHECK_THAT(next.first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, !Contains("budget_tokens"));
}

TEST_CASE("after a restart a session that the rules move to another Claude goes on without the thinking that this one refuses") {
  const std::string refusal =
      http_reply(400, "application/json",
                 R"({"type":"error","error":{"type":"invalid_request_error","message":"messages.1.content.0: Invalid `signature` in `thinking` block"}})");
  SimWorld world;
  world.script_in_turn("anth", 80, {refusal, http_reply(200, "application/json", kMessagesReply)});
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(, "rules": ["/r.lua"])");
  ProxyWorld proxy(world, config, {{"/r.lua", R"(rule "other" { when = { model = "claude-old" }, to = "anth,claude-new" })"}});
  const std::string thought = R"([{"type":"thinking","thinking":"hm","signature":"c2lnbmVk"},{"type":"tool_use","id":"call_1","name":"now","input":{}}])";
  const std::string session = "x-claude-code-session-id: s-1\r\n";
  const Message answer = proxy.answer("/v1/messages", messages_turn("claude-old", thought), session);
  CHECK(answer.body == kMessagesReply);
  CHECK_THAT(answer.field("x-ccrules-loss"), Contains("thinking"));
  CHECK_THAT(world.scripted_requests, Contains("c2lnbmVk"));
  world.scripted_requests.clear();
  CHECK_THAT(proxy.answer("/v1/messages", messages_turn("claude-old", thought), session).first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, !Contains("c2lnbmVk"));  // known now
}

TEST_CASE("a refusal of thinking reaches a client that chose the model itself as it is") {
  const std::string body =
      R"({"type":"error","error":{"type":"invalid_request_error","message":"messages.1.content.0: Invalid `signature` in `thinking` block"}})";
  SimWorld world;
  world.script("anth", 80, http_reply(400, "application/json", body));
  ProxyWorld proxy(world, kConfig);
  const std::string thought = R"([{"type":"thinking","thinking":"hm","signature":"c2lnbmVk"},{"type":"tool_use","id":"call_1","name":"now","input":{}}])";
  CHECK(proxy.answer("/v1/messages", messages_turn("claude-new", thought)).body == body);
}

TEST_CASE("an Anthropic session with its own signatures goes to Anthropic byte for byte") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kMessagesReply));
  ProxyWorld proxy(world, kConfig);
  const std::string ask = messages_turn(
      "claude-x", R"([{"type":"thinking","thinking":"so ccr1. is text","signature":"EqQBCgIYAhIM"},{"type":"tool_use","id":"call_1","name":"now","input":{}}])");
  CHECK(proxy.answer("/v1/messages", ask).body == kMessagesReply);
  CHECK_THAT(world.scripted_requests, Contains(ask));
}

TEST_CASE("a Gemini session that began elsewhere goes on at Google without our signatures") {
  SimWorld world;
  world.script("deep", 80, http_reply(200, "application/json", kDeepReply));
  ProxyWorld proxy(world, kConfig);
  const std::string tools =
      R"("tools":[{"functionDeclarations":[{"name":"now","parametersJsonSchema":{"type":"object","properties":{"zone":{"type":"string"}}}}]}],)";
  const std::string asked = R"({"role":"user","parts":[{"text":"what time is it?"}]})";
  const Message first =
      proxy.answer("/v1beta/models/deep-1:generateContent", "{" + tools + "\"contents\":[" + asked + "]}");
  const std::string said = member_json(first.body, "content");
  REQUIRE_THAT(said, Contains("Y2NyO") && Contains("functionCall"));

  world.scripted_requests.clear();
  world.script("google", 80, http_reply(200, "application/json", kGeminiReply));
  const std::string turn = "{" + tools + "\"contents\":[" + asked + "," + said +
                           R"(,{"role":"user","parts":[{"functionResponse":{"id":"call_1","name":"now","response":{"output":"noon"}}}]}]})";
  const Message next = proxy.answer("/v1beta/models/gemini-3.5-flash:generateContent", turn);
  CHECK(next.body == kGeminiReply);
  CHECK_THAT(world.scripted_requests, !Contains("Y2NyO") && !Contains("I need the time") && Contains("\"functionCall\""));

  world.scripted_requests.clear();
  world.script("deep", 80, http_reply(200, "application/json", kDeepReply));
  CHECK_THAT(proxy.answer("/v1beta/models/deep-1:generateContent", turn).first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, Contains(R"("reasoning_content":"I need the time")") && !Contains("Y2NyO"));
}

TEST_CASE("a Gemini session whose first call another model made goes on at Gemini 3 with the sentinel, elsewhere as it is") {
  std::string unreasoned = kDeepReply;
  const std::string reasoning = R"("reasoning_content":"I need the time",)";
  unreasoned.erase(unreasoned.find(reasoning), reasoning.size());
  SimWorld world;
  world.script("deep", 80, http_reply(200, "application/json", unreasoned));
  ProxyWorld proxy(world, kConfig);
  const std::string asked = R"({"role":"user","parts":[{"text":"what time is it?"}]})";
  const Message first = proxy.answer("/v1beta/models/deep-1:generateContent", "{\"contents\":[" + asked + "]}");
  const std::string said = member_json(first.body, "content");
  REQUIRE_THAT(said, Contains("functionCall") && !Contains("thoughtSignature"));

  const auto turn = [&](const std::string& answer) {
    return "{\"contents\":[" + asked + "," + answer +
           R"(,{"role":"user","parts":[{"functionResponse":{"id":"call_1","name":"now","response":{"output":"noon"}}}]}]})";
  };
  const auto sent = [&](const std::string& model, const std::string& body) {
    world.scripted_requests.clear();
    world.script("google", 80, http_reply(200, "application/json", kGeminiReply));
    const Message answer = proxy.answer("/v1beta/models/" + model + ":generateContent", body);
    CHECK(answer.body == kGeminiReply);
    CHECK(answer.field("x-ccrules-loss").empty());
    return world.scripted_requests.substr(world.scripted_requests.find("\r\n\r\n") + 4);
  };
  CHECK_THAT(sent("gemini-3.5-flash", turn(said)), Contains(R"("id":"call_1","name":"now")") &&
                                                       Contains(R"("thoughtSignature":"skip_thought_signature_validator")"));
  CHECK(sent("gemini-2.5-flash", turn(said)) == turn(said));
  const std::string googles =
      R"({"role":"model","parts":[{"functionCall":{"id":"call_1","name":"now","args":{}},"thoughtSignature":"U0lH"},)"
      R"({"functionCall":{"id":"call_2","name":"now","args":{}}}]})";
  CHECK(sent("gemini-3.5-flash", turn(googles)) == turn(googles));
}

TEST_CASE("what Anthropic signed in a Gemini session never goes to Google") {
  SimWorld world;
  world.script("anth", 80,
               http_reply(200, "application/json",
                          R"({"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"thinking","thinking":"hmm",)"
                          R"("signature":"EqQBCkYIARgC"},{"type":"text","text":"done"}],"stop_reason":"end_turn","stop_sequence":null,)"
                          R"("usage":{"input_tokens":9,"output_tokens":1}})"));
  ProxyWorld proxy(world, kConfig);
  const std::string asked = R"({"role":"user","parts":[{"text":"what time is it?"}]})";
  const std::string said =
      member_json(proxy.answer("/v1beta/models/claude-x:generateContent", "{\"contents\":[" + asked + "]}").body, "content");
  REQUIRE_THAT(said, Contains("Y2NyO") && Contains("hmm"));
  world.scripted_requests.clear();
  world.script("google", 80, http_reply(200, "application/json", kGeminiReply));
  const Message next = proxy.answer("/v1beta/models/gemini-3.5-flash:generateContent", "{\"contents\":[" + asked + "," + said + "," + asked + "]}");
  CHECK(next.body == kGeminiReply);
  CHECK_THAT(next.field("x-ccrules-loss"), Contains("thinking"));
  CHECK_THAT(world.scripted_requests, !Contains("Y2NyO") && !Contains("hmm") && Contains("done"));
}

TEST_CASE("a Responses session that began elsewhere goes on at OpenAI without our signatures") {
  SimWorld world;
  world.script("deep", 80, http_reply(200, "application/json", kDeepReply));
  ProxyWorld proxy(world, kConfig);
  const std::string tools = R"("tools":[{"type":"function","name":"now","parameters":{"type":"object"},"strict":false}],)";
  const std::string asked = R"({"role":"user","content":"what time is it?"})";
  const Message first = proxy.answer(
      "/v1/responses", R"({"model":"deep-1","store":false,"include":["reasoning.encrypted_content"],)" + tools + "\"input\":[" + asked + "]}");
  const std::string output = member_json(first.body, "output");
  REQUIRE_THAT(output, Contains("ccr1.deep,deep-1:") && Contains("function_call"));

  world.scripted_requests.clear();
  world.script("oai", 80, http_reply(200, "application/json", kResponsesReply));
  const std::string items = asked + "," + output.substr(1, output.size() - 2) +
                            R"(,{"type":"function_call_output","call_id":"call_1","output":"noon"})";
  const Message next = proxy.answer("/v1/responses", R"({"model":"gpt-x","store":false,)" + tools + "\"input\":[" + items + "]}");
  CHECK(next.body == kResponsesReply);
  CHECK_THAT(world.scripted_requests, !Contains("ccr1.") && Contains("\"function_call\""));

  world.scripted_requests.clear();
  world.script("deep", 80, http_reply(200, "application/json", kDeepReply));
  CHECK_THAT(proxy.answer("/v1/responses", R"({"model":"deep-1","store":false,)" + tools + "\"input\":[" + items + "]}").first_line,
             Contains("200"));
  CHECK_THAT(world.scripted_requests, Contains(R"("reasoning_content":"I need the time")") && !Contains("ccr1."));
}

TEST_CASE("reasoning goes back byte for byte to the model it came from, also after a restart, and to no other") {
  struct Kind {
    const char* provider;
    const char* model;
    const char* other;    ///< another model of the same provider
    std::string reply;    ///< thinks and calls a tool
    std::string answer;   ///< of the second turn
    std::string payload;  ///< what must come back
  };
  const std::string chat_head =
      R"({"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,)";
  const std::string chat_tail =
      R"("tool_calls":[{"id":"call_1","type":"function","function":{"name":"now","arguments":"{}"}}]}}],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}})";
  const std::vector<Kind> kinds = {
      {"google", "gemini-3.5-flash", "gemini-3.8-flash",
       R"({"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"functionCall":{"id":"call_1","name":"now","args":{}},)"
       R"("thoughtSignature":"U2ln+/bmF0dXJl=="}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,)"
       R"("candidatesTokenCount":5,"totalTokenCount":14},"modelVersion":"gemini-3.5-flash","responseId":"r1"})",
       kGeminiReply, R"("thoughtSignature":"U2ln+/bmF0dXJl==")"},
      {"oai", "gpt-5", "gpt-5-mini",
       R"({"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"gpt-5","output":[{"type":"reasoning","id":"rs_1",)"
       R"("summary":[],"encrypted_content":"gAAAAABo_-enc=="},{"type":"function_call","id":"fc_1","call_id":"call_1","name":"now","arguments":"{}",)"
       R"("status":"completed"}],"usage":{"input_tokens":9,"output_tokens":5,"total_tokens":14}})",
       kResponsesReply, R"("encrypted_content":"gAAAAABo_-enc==")"},
      {"router", "any/model-a", "any/model-b",
       chat_head + R"("reasoning_details":[{"type":"reasoning.encrypted","data":"enc+/==","id":"rd_1","format":"google-gemini-v1","index":0}],)" + chat_tail,
       kDeepReply, R"("data":"enc+/==")"},
      {"compat", "compat,gemini-3.8-flash", "compat,gemini-3.5-flash",
       chat_head + R"("tool_calls":[{"extra_content":{"google":{"thought_signature":"U2ln+/bmF0dXJl=="}},"function":{"arguments":"{}",)"
                   R"("name":"now"},"id":"call_1","type":"function"}]}}]})",
       kDeepReply, R"("extra_content":{"google":{"thought_signature":"U2ln+/bmF0dXJl=="}})"},
      {"deep", "deep-1", "", chat_head + R"("reasoning_content":"I need \u00e9 \"time\"",)" + chat_tail, kDeepReply,
       R"("reasoning_content":"I need é \"time\"")"},
  };
  const std::string config = R"({
  "providers": {
    "oai": { "dialect": "openai_responses", "base_url": "http://oai:80/v1", "models": ["gpt-*"] },
    "google": { "dialect": "gemini", "base_url": "http://google:80", "models": ["gemini-*"] },
    "router": { "dialect": "openai_chat", "base_url": "http://router:80", "reasoning_replay": "reasoning_details", "models": ["any/*"] },
    "compat": { "dialect": "openai_chat", "base_url": "http://compat:80", "reasoning_replay": "thought_signature", "models": [] },
    "deep": { "dialect": "openai_chat", "base_url": "http://deep:80", "reasoning_replay": "reasoning_content", "models": ["deep-*"] }
  } })";
  for (const Kind& kind : kinds) {
    INFO(kind.provider);
    std::string content;
    {
      SimWorld world;
      world.script(kind.provider, 80, http_reply(200, "application/json", kind.reply));
      ProxyWorld proxy(world, config);
      content = member_json(proxy.answer("/v1/messages", messages_turn(kind.model, R"([{"type":"text","text":"hm"}])")).body, "content");
      REQUIRE_THAT(content, Contains("ccr1."));
    }
    SimWorld world;  // another process: nothing is kept here, all of it lies with the client
    world.script(kind.provider, 80, http_reply(200, "application/json", kind.answer));
    ProxyWorld proxy(world, config);
    CHECK_THAT(proxy.answer("/v1/messages", messages_turn(kind.model, content)).first_line, Contains("200"));
    CHECK_THAT(world.scripted_requests, Contains(kind.payload) && !Contains("ccr1."));
    if (*kind.other == '\0') continue;  // plain text: any model of the vendor reads it
    world.scripted_requests.clear();
    world.script(kind.provider, 80, http_reply(200, "application/json", kind.answer));
    CHECK_THAT(proxy.answer("/v1/messages", messages_turn(kind.other, content)).first_line, Contains("200"));
    CHECK_THAT(world.scripted_requests, !Contains(kind.payload) && !Contains("ccr1."));
  }
}

TEST_CASE("a conversation that moves to another Claude model takes no thinking along, and keeps what the new model thinks") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kMessagesReply));
  ProxyWorld proxy(world, kConfig);
  const std::string first = R"([{"type":"thinking","thinking":"of the first","signature":"Rmlyc3Q="},{"type":"tool_use","id":"call_1","name":"now","input":{}}])";
  const auto turn = [&](const std::string& model, const std::string& more, const std::string& session) {
    world.scripted_requests.clear();
    const std::string body = R"({"model":")" + model + R"(","max_tokens":2000,)" + kMessagesTool +
                             R"("messages":[{"role":"user","content":"what time is it?"},{"role":"assistant","content":)" + first +
                             R"(},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":"noon"}]})" + more + "]}";
    const Message answer = proxy.answer("/v1/messages", body, "x-claude-code-session-id: " + session + "\r\n");
    CHECK(answer.body == kMessagesReply);
    return body;
  };
  const std::string same = turn("claude-opus-5-5", "", "s1");
  CHECK_THAT(world.scripted_requests, Contains(same));
  const std::string moved = turn("claude-sonnet-5-5", "", "s1");
  CHECK_THAT(world.scripted_requests, !Contains("of the first") && Contains("call_1"));
  const std::string more =
      R"(,{"role":"assistant","content":[{"type":"thinking","thinking":"of the second","signature":"U2Vjb25k"},{"type":"text","text":"noon"}]},)"
      R"({"role":"user","content":"and now?"})";
  (void)turn("claude-sonnet-5-5", more, "s1");
  CHECK_THAT(world.scripted_requests, !Contains("of the first") && Contains("of the second") && Contains("U2Vjb25k"));
  const std::string other = turn("claude-sonnet-5-5", "", "s2");  // another session: nothing is known against it
  CHECK_THAT(world.scripted_requests, Contains(other));
}
