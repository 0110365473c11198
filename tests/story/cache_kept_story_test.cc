#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;

namespace {

/// An answer of a provider, whole and as a stream, and whether the next one who asks the same may have it.
struct Answer {
  std::string what;
  std::string dialect;
  bool kept = false;
  std::string whole;   ///< empty: only as a stream
  std::string stream;  ///< empty: only whole
  int choices = 1;
};

std::string events(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += "data: " + text + "\n\n";
  return out;
}

// --- Anthropic

/// @param block  instead of a text
std::string message(const std::string& stop, const std::string& block = R"({"type":"text","text":"hello"})") {
  return R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[)" + block + R"(],"stop_reason":)" + stop +
         R"(,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}})";
}

std::string message_stream(const std::string& stop, const std::string& block = R"({"type":"text","text":""})") {
  return events({R"({"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],)"
                 R"("stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}})",
                 R"({"type":"content_block_start","index":0,"content_block":)" + block + "}",
                 R"({"type":"content_block_stop","index":0})",
                 R"({"type":"message_delta","delta":{"stop_reason":)" + stop + R"(,"stop_sequence":null},"usage":{"output_tokens":2}})",
                 R"({"type":"message_stop"})"});
}

// --- Chat Completions

std::string choice(const std::string& finish, const std::string& more = {}, int index = 0) {
  return "{\"index\":" + std::to_string(index) + R"(,"message":{"role":"assistant","content":"hello")" + more + R"(},"finish_reason":)" +
         finish + "}";
}

std::string completion(const std::string& choices) {
  return R"({"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[)" + choices +
         R"(],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}})";
}

std::string chunk(const std::string& delta, const std::string& finish, int index = 0) {
  return R"({"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":)" + std::to_string(index) +
         ",\"delta\":{" + delta + R"(},"finish_reason":)" + finish + "}]}";
}

std::string chunks(std::vector<std::string> list) {
  list.insert(list.begin(), chunk(R"("role":"assistant","content":"hello")", "null"));
  list.push_back(R"({"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],)"
                 R"("usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}})");
  list.emplace_back("[DONE]");
  return events(list);
}

const std::string kStop = "\"stop\"";
const std::string kCall = R"("tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"Bash","arguments":"{}"}}])";

// --- Responses

const std::string kMessage =
    R"({"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hello","annotations":[]}]})";

std::string response(const std::string& items, const std::string& status = "completed", const std::string& incomplete = "null") {
  return R"({"id":"resp_1","object":"response","created_at":1,"status":")" + status + R"(","background":false,"error":null,"incomplete_details":)" +
         incomplete + R"(,"model":"m","output":[)" + items +
         R"(],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}})";
}

std::string response_stream(const std::string& item, const std::string& end = "completed", const std::string& incomplete = "null") {
  return events({R"({"type":"response.created","response":)" + response("", "in_progress") + "}",
                 R"({"type":"response.output_item.added","output_index":0,"item":)" + item + "}",
                 R"({"type":"response.output_item.done","output_index":0,"item":)" + item + "}",
                 R"({"type":"response.)" + end + R"(","response":)" + response(item, end, incomplete) + "}"});
}

Answer item(const std::string& what, bool kept, const std::string& json) {
  const std::string more = kept ? "," + kMessage : "";
  return {what, "openai_responses", kept, response(json + more), response_stream(json)};
}

Answer job(const std::string& status) { return {"status " + status, "openai_responses", false, response("", status), ""}; }

// --- Gemini

std::string candidate(const std::string& finish, const std::string& part = R"({"text":"hello"})", int index = 0) {
  return R"({"content":{"role":"model","parts":[)" + part + "]}" + (finish.empty() ? "" : R"(,"finishReason":)" + finish) +
         ",\"index\":" + std::to_string(index) + "}";
}

std::string generated(const std::string& candidates) {
  return R"({"candidates":[)" + candidates +
         R"(],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5},"modelVersion":"m","responseId":"r1"})";
}

Answer gemini(const std::string& what, bool kept, const std::string& candidates, int choices = 1) {
  return {what, "gemini", kept, generated(candidates), events({generated(candidate("")), generated(candidates)}), choices};
}

// --- Ollama

std::string line(const std::string& end, const std::string& more = {}) {
  return R"({"model":"m","created_at":"2026-11-21T09:30:00Z","message":{"role":"assistant","content":"hello")" + more + "}," + end + "}";
}

Answer ollama(const std::string& what, bool kept, const std::string& end, const std::string& more = {}) {
  const std::string counts = end + R"(,"prompt_eval_count":3,"eval_count":2)";
  return {what, "ollama", kept, line(counts, more), line("\"done\":false") + "\n" + line(counts, more) + "\n"};
}

std::vector<Answer> answers() {
  const std::string text = R"("choices":[{"index":0,"text":"hello","finish_reason":"stop","logprobs":null},)"
                           R"({"index":1,"text":"hello","finish_reason":)";
  const auto texts = [&text](const std::string& second) {
    return R"({"id":"c1","object":"text_completion","created":1,"model":"m",)" + text + second +
           R"(,"logprobs":null}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}})";
  };
  const std::string two = candidate("\"STOP\"") + ",";
  const std::string refused = R"({"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"refusal","refusal":"no"}]})";
  return {
      {"an end", "anthropic", true, message("\"end_turn\""), message_stream("\"end_turn\"")},
      {"a stop sequence", "anthropic", true, message("\"stop_sequence\""), message_stream("\"stop_sequence\"")},
      {"a search of the provider's", "anthropic", true,
       message("\"end_turn\"", R"({"type":"server_tool_use","id":"s1","name":"web_search","input":{"query":"x"}},)"
                               R"({"type":"web_search_tool_result","tool_use_id":"s1","content":[]},{"type":"text","text":"hello"})"),
       message_stream("\"end_turn\"", R"({"type":"web_search_tool_result","tool_use_id":"s1","content":[]})")},
      {"a call that says end_turn", "anthropic", false, message("\"end_turn\"", R"({"type":"tool_use","id":"t1","name":"Bash","input":{}})"),
       message_stream("\"end_turn\"", R"({"type":"tool_use","id":"t1","name":"Bash","input":{}})")},
      {"content of a new kind", "anthropic", false, message("\"end_turn\"", R"({"type":"client_tool_use","id":"t1","name":"Bash","input":{}})"),
       message_stream("\"end_turn\"", R"({"type":"client_tool_use","id":"t1","name":"Bash","input":{}})")},
      {"no end", "anthropic", false, message("null"), message_stream("null")},
      {"an end of a new kind", "anthropic", false, message("\"tired\""), message_stream("\"tired\"")},

      {"an end", "openai_chat", true, completion(choice(kStop)), chunks({chunk("", kStop)})},
      {"no refusal", "openai_chat", true, completion(choice(kStop, R"(,"refusal":null,"tool_calls":[],"function_call":null)")),
       chunks({chunk(R"("refusal":null,"tool_calls":null)", kStop)})},
      {"an end in a vendor's words", "openai_chat", true, completion(choice("\"eos\"")), chunks({chunk("", "\"eos\"")})},
      {"two ends", "openai_chat", true, completion(choice(kStop) + "," + choice(kStop, "", 1)),
       chunks({chunk("\"content\":\"hi\"", "null", 1), chunk("", kStop), chunk("", kStop, 1)}), 2},
      {"a refusal", "openai_chat", false, completion(choice(kStop, R"(,"refusal":"I will not")")),
       chunks({chunk(R"("refusal":"I will not")", "null"), chunk("", kStop)})},
      {"a refusal as a part", "openai_chat", false,
       completion(R"({"index":0,"message":{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},"finish_reason":"stop"})"), ""},
      {"a second choice that is cut", "openai_chat", false, completion(choice(kStop) + "," + choice("\"length\"", "", 1)),
       chunks({chunk("\"content\":\"hi\"", "null", 1), chunk("", kStop), chunk("", "\"length\"", 1)}), 2},
      {"a second choice that is filtered", "openai_chat", false, completion(choice(kStop) + "," + choice("\"content_filter\"", "", 1)),
       chunks({chunk("\"content\":\"hi\"", "null", 1), chunk("", kStop), chunk("", "\"content_filter\"", 1)}), 2},
      {"a second choice that calls", "openai_chat", false,
       completion(choice(kStop) + "," + choice("\"tool_calls\"", "," + kCall, 1)),
       chunks({chunk(kCall, "null", 1), chunk("", kStop), chunk("", "\"tool_calls\"", 1)}), 2},
      {"a second choice that calls and says stop", "openai_chat", false, completion(choice(kStop) + "," + choice(kStop, "," + kCall, 1)),
       chunks({chunk(kCall, "null", 1), chunk("", kStop), chunk("", kStop, 1)}), 2},
      {"a second choice without an end", "openai_chat", false, completion(choice(kStop) + "," + choice("null", "", 1)),
       chunks({chunk("\"content\":\"hi\"", "null", 1), chunk("", kStop)}), 2},
      {"no end", "openai_chat", false, completion(choice("null")), chunks({})},
      {"an end of a new kind", "openai_chat", false, completion(choice("\"tired\"")), chunks({chunk("", "\"tired\"")})},
      {"a call of the older kind", "openai_chat", false, completion(choice(kStop, R"(,"function_call":{"name":"Bash","arguments":"{}"})")),
       chunks({chunk(R"("function_call":{"name":"Bash","arguments":"{}"})", "null"), chunk("", kStop)})},

      {"two ends", "openai_completions", true, texts(kStop), "", 2},
      {"a second text that is cut", "openai_completions", false, texts("\"length\""), "", 2},

      item("an end", true, kMessage),
      item("reasoning", true, R"({"type":"reasoning","id":"rs_1","summary":[]})"),
      item("a search of the provider's", true,
           R"({"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"x"}})"),
      item("a tool that the provider called", true,
           R"({"type":"mcp_call","id":"mcp_1","server_label":"s","name":"x","arguments":"{}","output":"y"})"),
      item("tools that the provider looked up", true,
           R"({"type":"tool_search_call","id":"ts_1","execution":"server","status":"completed","arguments":{}})"),
      item("a refusal", false, refused),
      item("a call", false, R"({"type":"function_call","id":"fc_1","call_id":"t1","name":"Bash","arguments":"{}","status":"completed"})"),
      item("a call of a custom tool", false, R"({"type":"custom_tool_call","id":"ctc_1","call_id":"t1","name":"Bash","input":"ls"})"),
      item("computer_call", false,
           R"({"type":"computer_call","id":"cu_1","call_id":"t1","status":"completed","action":{"type":"screenshot"},"pending_safety_checks":[]})"),
      item("local_shell_call", false,
           R"({"type":"local_shell_call","id":"ls_1","call_id":"t1","status":"completed","action":{"type":"exec","command":["ls"],"env":{}}})"),
      item("shell_call", false,
           R"({"type":"shell_call","id":"sh_1","call_id":"t1","status":"completed","action":{"commands":["ls"]}})"),
      item("apply_patch_call", false,
           R"({"type":"apply_patch_call","id":"ap_1","call_id":"t1","status":"completed","operation":{"type":"delete_file","path":"a"}})"),
      item("mcp_approval_request", false,
           R"({"type":"mcp_approval_request","id":"ar_1","server_label":"s","name":"x","arguments":"{}"})"),
      item("a search for tools that the client makes", false,
           R"({"type":"tool_search_call","id":"ts_1","call_id":"t1","execution":"client","status":"completed","arguments":{}})"),
      item("an item of a new kind", false, R"({"type":"errand_call","id":"ec_1","call_id":"t1"})"),
      job("queued"), job("in_progress"), job("failed"), job("cancelled"), job("put_off"), job(""),
      {"an answer that is cut", "openai_responses", false, response(kMessage, "incomplete", R"({"reason":"max_output_tokens"})"),
       response_stream(kMessage, "incomplete", R"({"reason":"max_output_tokens"})")},
      {"an answer that breaks off for a new reason", "openai_responses", false, response(kMessage, "incomplete", R"({"reason":"steered"})"),
       response_stream(kMessage, "incomplete", R"({"reason":"steered"})")},

      gemini("an end", true, candidate("\"STOP\"")),
      gemini("what the provider ran", true,
             candidate("\"STOP\"", R"({"executableCode":{"language":"PYTHON","code":"1"}},{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1"}},{"text":"hello"})")),
      gemini("two ends", true, two + candidate("\"STOP\"", R"({"text":"hi"})", 1), 2),
      gemini("a second candidate that is cut", false, two + candidate("\"MAX_TOKENS\"", R"({"text":"hi"})", 1), 2),
      gemini("a second candidate that calls", false, two + candidate("\"STOP\"", R"({"functionCall":{"name":"Bash","args":{}}})", 1), 2),
      gemini("a second candidate without an end", false, two + candidate("", R"({"text":"hi"})", 1), 2),
      gemini("a call", false, candidate("\"STOP\"", R"({"functionCall":{"name":"Bash","args":{}}})")),
      gemini("content of a new kind", false, candidate("\"STOP\"", R"({"clientCall":{"name":"Bash"}})")),
      gemini("SAFETY", false, candidate("\"SAFETY\"")),
      gemini("OTHER", false, candidate("\"OTHER\"")),
      gemini("an end of a new kind", false, candidate("\"TIRED\"")),
      gemini("no end", false, candidate("")),

      ollama("an end", true, R"("done":true,"done_reason":"stop")"),
      ollama("an answer that is cut", false, R"("done":true,"done_reason":"length")"),
      ollama("a call", false, R"("done":true,"done_reason":"stop")", R"(,"tool_calls":[{"function":{"name":"Bash","arguments":{}}}])"),
      ollama("no end", false, R"("done":true)"),
      ollama("an end of a new kind", false, R"("done":true,"done_reason":"unload")"),
  };
}

/// One question in a client's words.
std::pair<std::string, std::string> question(const std::string& dialect, bool stream, int choices) {
  const std::string flag = stream ? "true" : "false";
  const std::string count = choices > 1 ? ",\"n\":" + std::to_string(choices) : "";
  const std::string said = R"([{"role":"user","content":"what is new today, and where?"}])";
  if (dialect == "openai_chat") return {"/v1/chat/completions", R"({"model":"m","stream":)" + flag + count + ",\"messages\":" + said + "}"};
  if (dialect == "openai_completions") {
    return {"/v1/completions", R"({"model":"m","stream":)" + flag + R"(,"prompt":["what is new today?","and where?"]})"};
  }
  if (dialect == "openai_responses") return {"/v1/responses", R"({"model":"m","stream":)" + flag + ",\"input\":" + said + "}"};
  if (dialect == "ollama") return {"/api/chat", R"({"model":"m","stream":)" + flag + ",\"messages\":" + said + "}"};
  if (dialect == "gemini") {
    const std::string several = choices > 1 ? R"(,"generationConfig":{"candidateCount":)" + std::to_string(choices) + "}" : "";
    return {std::string("/v1beta/models/m") + (stream ? ":streamGenerateContent?alt=sse" : ":generateContent"),
            R"({"contents":[{"role":"user","parts":[{"text":"what is new today, and where?"}]}])" + several + "}"};
  }
  return {"/v1/messages", R"({"model":"m","max_tokens":9,"stream":)" + flag + ",\"messages\":" + said + "}"};
}

/// A proxy with a cache, and a provider that gives one answer to everything.
struct Scene {
  Scene(const Answer& answer, const std::string& more = {}, std::map<std::string, std::string> files = {})
      : proxy(world, config(answer, more), std::move(files)) {
    world.serve("v", 80, [this, &answer](http::Exchange& exchange) { return reply(exchange, answer, asked); });
  }
  static std::string config(const Answer& answer, const std::string& more) {
    const std::string dialect = answer.dialect == "openai_completions" ? "openai_chat" : answer.dialect;
    return R"({"providers":{"v":{"dialect":")" + dialect + R"(","base_url":"http://v:80","models":["m"]}},"retry":{"max_attempts":1},)"
           R"("circuit":{"failures":0},"cache":{"enabled":true,"ttl":"100h"})" + more + "}";
  }
  static Task<void> reply(http::Exchange& exchange, const Answer& answer, int& asked) {
    auto body = co_await exchange.read_body(1 << 20);
    if (!body.ok()) co_return;
    ++asked;
    const bool streams = body->find("\"stream\":true") != std::string::npos || exchange.head().target.find("alt=sse") != std::string::npos;
    http::Headers headers;
    const bool lines = streams && answer.dialect == "ollama";
    headers.add("content-type", lines ? "application/x-ndjson" : streams ? "text/event-stream" : "application/json");
    const std::string& answered = streams ? answer.stream : answer.whole;
    auto sent = co_await exchange.send(200, headers, answered);
    (void)sent;
  }

  SimWorld world;
  int asked = 0;
  ProxyWorld proxy;
};

}  // namespace

TEST_CASE("only an answer whose every choice ended by itself, without a refusal or a call, is given to the next one who asks") {
  for (const Answer& answer : answers()) {
    for (const bool stream : {false, true}) {
      if ((stream ? answer.stream : answer.whole).empty()) continue;
      // In the provider's own dialect, where bytes are passed on, and translated.
      for (const std::string& client : {answer.dialect, std::string(answer.dialect == "anthropic" ? "openai_chat" : "anthropic")}) {
        if (answer.choices > 1 && client != answer.dialect) continue;
        CAPTURE(answer.dialect, answer.what, stream, client);
        Scene scene(answer);
        const auto [path, body] = question(client, stream, answer.choices);
        const Message first = scene.proxy.answer(path, body);
        CHECK(first.field("x-ccrules-cache") == "miss");
        const Message second = scene.proxy.answer(path, body);
        CHECK(second.field("x-ccrules-cache") == (answer.kept ? "hit" : "miss"));
        CHECK(scene.asked == (answer.kept ? 1 : 2));
        if (answer.kept && client == answer.dialect) CHECK(second.body == first.body);
        if (!answer.kept) CHECK(scene.proxy.tallies().answers.stats().bytes == 0);
      }
    }
  }
}

TEST_CASE("a rule that keeps calls and refusals keeps them wherever they stand, and nothing whose end is not known") {
  const std::string rules = R"(
    rule "tools"    { when = { agent = "tools" }, cache = { keep = { "tool_use" } } }
    rule "refusals" { when = { agent = "refusals" }, cache = { keep = { "refusal" } } }
    rule "all"      { when = { agent = "all" }, cache = { keep = { "tool_use", "refusal", "max_tokens", "model_context_window_exceeded" } } })";
  const std::map<std::string, std::string> keepers = {{"a refusal", "refusals"},
                                                      {"computer_call", "tools"},
                                                      {"mcp_approval_request", "tools"},
                                                      {"a second choice that calls and says stop", "tools"},
                                                      {"a second candidate that calls", "tools"},
                                                      {"a call that says end_turn", "tools"},
                                                      {"an answer that is cut", "all"},
                                                      {"SAFETY", "refusals"}};
  const std::vector<std::string> nobodys = {"no end", "OTHER", "an end of a new kind", "content of a new kind", "an item of a new kind",
                                            "status queued", "an answer that breaks off for a new reason"};
  for (const Answer& answer : answers()) {
    const auto keeper = keepers.find(answer.what);
    const bool never = std::find(nobodys.begin(), nobodys.end(), answer.what) != nobodys.end();
    if (keeper == keepers.end() && !never) continue;
    for (const bool stream : {false, true}) {
      if ((stream ? answer.stream : answer.whole).empty()) continue;
      const auto [path, body] = question(answer.dialect, stream, answer.choices);
      for (const std::string agent : {"tools", "refusals", "all"}) {
        CAPTURE(answer.dialect, answer.what, stream, agent);
        Scene scene(answer, R"(,"rules":["/r.lua"])", {{"/r.lua", rules}});
        const bool kept = !never && (agent == "all" || agent == keeper->second);
        const std::string headers = "x-ccrules-agent: " + agent + "\r\n";
        CHECK(scene.proxy.answer(path, body, headers).field("x-ccrules-cache") == "miss");
        CHECK(scene.proxy.answer(path, body, headers).field("x-ccrules-cache") == (kept ? "hit" : "miss"));
      }
    }
  }
}

TEST_CASE("a job in the background is everybody's own, at once and later") {
  const Answer queued = job("queued");
  Scene scene(queued);
  const auto [path, plain] = question("openai_responses", false, 1);
  const std::string body = R"({"background":true,)" + plain.substr(1);
  auto first = scene.proxy.ask(path, body);
  auto second = scene.proxy.ask(path, body);
  scene.proxy.run();
  CHECK(scene.asked == 2);
  CHECK(read_message(first->received()).field("x-ccrules-cache") == "bypass");
  CHECK(read_message(second->received()).field("x-ccrules-cache") == "bypass");
  CHECK(scene.proxy.answer(path, body).field("x-ccrules-cache") == "bypass");
  CHECK(scene.proxy.answer(path, R"({"background":false,)" + plain.substr(1)).field("x-ccrules-cache") == "miss");
}

TEST_CASE("the ledger says how a whole answer ended, and not end_turn when nobody said so") {
  const std::map<std::string, std::string> expected = {
      {"no end", "other"}, {"an end of a new kind", "other"}, {"OTHER", "other"}, {"a refusal", "refusal"}, {"a refusal as a part", "refusal"},
      {"status queued", "other"}, {"status in_progress", "other"}, {"an end", "end_turn"}, {"a stop sequence", "stop_sequence"}};
  for (const Answer& answer : answers()) {
    const auto end = expected.find(answer.what);
    if (end == expected.end()) continue;
    CAPTURE(answer.dialect, answer.what);
    Scene scene(answer);
    const auto [path, body] = question(answer.dialect, false, answer.choices);
    (void)scene.proxy.answer(path, body);
    const auto rows = scene.proxy.rows();
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].at("stop_reason") == end->second);
  }
}
