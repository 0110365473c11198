#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;
using std::chrono::milliseconds;

namespace {

const std::string kProviders =
    R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["claude-*"]},)"
    R"("b":{"dialect":"anthropic","base_url":"http://b:80","models":["spare"]},)"
    R"("o":{"dialect":"openai_chat","base_url":"http://o:80/v1","models":["gpt-*"]}},)"
    R"("prices":{"claude-x":{"input":10,"output":100},"gpt-x":{"input":10,"output":100}},"circuit":{"failures":0},)";

/// Each answer lets some minutes pass: its connection waits for another request until it is closed.
std::string with_cache(const std::string& ttl = "100h") {
  return kProviders + R"("retry":{"max_attempts":1},"cache":{"enabled":true,"ttl":")" + ttl + "\"}}";
}

/// A provider that answers in its dialect, streamed or whole, a moment for each event.
struct Provider {
  SimWorld* world = nullptr;
  bool anthropic = true;
  std::string stop = "end_turn";
  std::string text = "hello";
  int status = 200;
  bool breaks = false;
  int asked = 0;
  int finished = 0;

  static Task<void> answer(http::Exchange& exchange, Provider& self) {
    auto body = co_await exchange.read_body(1 << 20);
    if (!body.ok()) co_return;
    ++self.asked;
    http::Headers headers;
    headers.add("content-type", "application/json");
    const std::string text = self.text;
    if (self.status != 200) {
      const std::string refusal = R"({"type":"error","error":{"type":"invalid_request_error","message":"no such thing"}})";
      auto sent = co_await exchange.send(self.status, headers, refusal);
      (void)sent;
      co_return;
    }
    if (body->find("\"stream\":true") == std::string::npos) {
      const std::string reply =
          self.anthropic
              ? R"({"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":")" + text +
                    R"("}],"stop_reason":")" + self.stop + R"(","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}})"
              : R"({"id":"c1","object":"chat.completion","created":1,"model":"gpt-x","choices":[{"index":0,"message":{"role":"assistant","content":")" +
                    text +
                    R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}})";
      auto sent = co_await exchange.send(200, headers, reply);
      (void)sent;
      ++self.finished;
      co_return;
    }
    headers.set("content-type", "text/event-stream");
    exchange.start(200, headers);
    std::vector<std::string> events = self.anthropic ? anthropic_events(text) : openai_events(text);
    if (self.breaks) events.resize(events.size() - 2);
    for (std::string& event : events) {
      const auto at = event.find("end_turn");
      if (at != std::string::npos) event.replace(at, 8, self.stop);
      auto slept = co_await sleep_for(self.world->loop, milliseconds(20), exchange.stop());
      if (!slept.ok()) co_return;
      auto sent = co_await exchange.write(event);
      if (!sent.ok()) co_return;
    }
    if (self.breaks) {
      exchange.abort();
      co_return;
    }
    auto sent = co_await exchange.finish();
    (void)sent;
    ++self.finished;
  }
  void serve(SimWorld& where, const std::string& host) {
    world = &where;
    where.serve(host, 80, [this](http::Exchange& exchange) { return answer(exchange, *this); });
  }
};

/// One proxy with a cache, its providers, and a client's few words.
struct Scene {
  explicit Scene(const std::string& config = with_cache(), std::map<std::string, std::string> files = {}) : proxy(world, config, std::move(files)) {
    a.serve(world, "a");
    b.serve(world, "b");
    o.anthropic = false;
    o.serve(world, "o");
  }
  SimWorld world;
  Provider a, b, o;
  ProxyWorld proxy;
};

std::string messages(bool stream, const std::string& more = {}, const std::string& text = "what is new?") {
  return "{\"model\":\"claude-x\",\"max_tokens\":9,\"stream\":" + std::string(stream ? "true" : "false") + more +
         ",\"messages\":[{\"role\":\"user\",\"content\":\"" + text + "\"}]}";
}

std::string media_type(const Message& message) {
  const std::string whole = message.field("content-type");
  return whole.substr(0, whole.find(';'));
}

/// The same question in each dialect, for the model of a provider.
std::pair<std::string, std::string> question(const std::string& dialect, bool stream, const std::string& model) {
  const std::string flag = stream ? "true" : "false";
  if (dialect == "openai_chat") {
    return {"/v1/chat/completions", "{\"model\":\"" + model + "\",\"max_tokens\":9,\"stream\":" + flag +
                                        ",\"messages\":[{\"role\":\"user\",\"content\":\"what is new today?\"}]}"};
  }
  if (dialect == "openai_responses") {
    return {"/v1/responses", "{\"model\":\"" + model + "\",\"max_output_tokens\":9,\"stream\":" + flag +
                                 ",\"input\":[{\"role\":\"user\",\"content\":\"what is new today?\"}]}"};
  }
  if (dialect == "ollama") {
    return {"/api/chat", "{\"model\":\"" + model + "\",\"options\":{\"num_predict\":9},\"stream\":" + flag +
                             ",\"messages\":[{\"role\":\"user\",\"content\":\"what is new today?\"}]}"};
  }
  if (dialect == "gemini") {
    return {"/v1beta/models/" + model + (stream ? ":streamGenerateContent?alt=sse" : ":generateContent"),
            R"({"contents":[{"role":"user","parts":[{"text":"what is new today?"}]}],"generationConfig":{"maxOutputTokens":9}})"};
  }
  return {"/v1/messages", "{\"model\":\"" + model + "\",\"max_tokens\":9,\"stream\":" + flag +
                              ",\"messages\":[{\"role\":\"user\",\"content\":\"what is new today?\"}]}"};
}

}  // namespace

TEST_CASE("a question that comes again is answered from the cache, and the ledger says what that saved") {
  Scene scene;
  const Message first = scene.proxy.answer("/v1/messages", messages(false));
  CHECK(first.field("x-ccrules-cache") == "miss");
  const Message again = scene.proxy.answer("/v1/messages", messages(false));
  CHECK(again.field("x-ccrules-cache") == "hit");
  CHECK(again.field("x-ccrules-attempts") == "0");
  CHECK(again.field("x-ccrules-target") == "a,claude-x");
  CHECK(again.field("x-ccrules-cost-usd") == "0.000000000");
  CHECK(again.body == first.body);
  CHECK(scene.a.asked == 1);
  const auto rows = scene.proxy.rows();
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].at("cache") == "miss");
  CHECK(rows[0].at("cost_nanousd") == "230000");
  CHECK(rows[1].at("cache") == "hit");
  CHECK(rows[1].at("cost_nanousd") == "0");
  CHECK(rows[1].at("requested_cost_nanousd") == "230000");
  CHECK(rows[1].at("output_tokens") == "2");
  CHECK(rows[1].at("status") == "200");
  const cache::Store::Stats stats = scene.proxy.tallies().answers.stats();
  CHECK(stats.hits == 1);
  CHECK(stats.misses == 1);
  CHECK(stats.entries == 1);
  CHECK(stats.saved_nanousd == 230000);
}

TEST_CASE("without a cache nothing is kept and answers say bypass") {
  Scene scene(kProviders + R"("retry":{"max_attempts":1}})");
  for (int i = 0; i < 2; ++i) CHECK(scene.proxy.answer("/v1/messages", messages(false)).field("x-ccrules-cache") == "bypass");
  CHECK(scene.a.asked == 2);
  CHECK(scene.proxy.tallies().answers.stats().entries == 0);
}

TEST_CASE("whatever dialect and form an answer came in, it is replayed in those of the next client") {
  const std::vector<std::string> dialects = {"anthropic", "openai_chat", "openai_responses", "ollama", "gemini"};
  for (const std::string model : {"claude-x", "gpt-x"}) {
    for (const std::string& first : dialects) {
      for (const bool first_streams : {true, false}) {
        Scene scene;
        const auto [path, body] = question(first, first_streams, model);
        const Message kept = scene.proxy.answer(path, body);
        REQUIRE(kept.field("x-ccrules-cache") == "miss");
        REQUIRE_THAT(kept.body, Contains("hello"));
        for (const std::string& then : dialects) {
          for (const bool then_streams : {true, false}) {
            CAPTURE(model, first, first_streams, then, then_streams);
            const auto [next_path, next_body] = question(then, then_streams, model);
            // What a client of this dialect gets without a cache.
            Scene fresh(kProviders + R"("retry":{"max_attempts":1}})");
            const Message expected = fresh.proxy.answer(next_path, next_body);
            const Message replayed = scene.proxy.answer(next_path, next_body);
            CHECK(replayed.field("x-ccrules-cache") == "hit");
            CHECK(replayed.complete);
            CHECK(media_type(replayed) == media_type(expected));
            CHECK_THAT(replayed.body, Contains("hello"));
            const std::string end = then == "anthropic"          ? (then_streams ? "message_stop" : "end_turn")
                                    : then == "openai_chat"      ? (then_streams ? "[DONE]" : "\"stop\"")
                                    : then == "openai_responses" ? "completed"
                                    : then == "ollama"           ? "\"done\":true"
                                                                 : "STOP";
            CHECK_THAT(replayed.body, Contains(end));
          }
        }
        CHECK(scene.a.asked + scene.o.asked == 1);
      }
    }
  }
}

TEST_CASE("a hundred identical streams at once reach the provider once, and each client gets every byte") {
  for (const int later : {0, 30}) {
    CAPTURE(later);
    Scene scene;
    std::vector<std::unique_ptr<MemoryClient>> clients;
    for (int i = 0; i < 100; ++i) {
      clients.push_back(scene.proxy.ask("/v1/messages", messages(true)));
      if (later > 0 && i % 20 == 19) scene.world.loop.run_for(milliseconds(later));
    }
    scene.proxy.run();
    CHECK(scene.a.asked == 1);
    const Message first = read_message(clients.front()->received());
    REQUIRE_THAT(first.body, Contains("message_stop"));
    for (const auto& client : clients) {
      const Message got = read_message(client->received());
      CHECK(got.complete);
      CHECK(got.body == first.body);
    }
    std::map<std::string, int> how;
    for (const Row& row : scene.proxy.rows()) ++how[row.at("cache") + " " + row.at("status")];
    CHECK(how == std::map<std::string, int>{{"hit 200", 99}, {"miss 200", 1}});
  }
}

TEST_CASE("who asked first may leave: the others get every byte, and the answer is paid for and kept") {
  for (const int after_ms : {0, 10, 50, 90}) {
    CAPTURE(after_ms);
    Scene scene;
    auto first = scene.proxy.ask("/v1/messages", messages(true));
    auto second = scene.proxy.ask("/v1/messages", messages(true));
    auto third = scene.proxy.ask("/v1/chat/completions", question("openai_chat", true, "claude-x").second);
    scene.world.loop.run_for(milliseconds(after_ms));
    first->leave();
    scene.proxy.run();
    CHECK(read_message(second->received()).complete);
    CHECK_THAT(second->received(), Contains("message_stop"));
    CHECK_THAT(third->received(), Contains("[DONE]"));
    const Message later = scene.proxy.answer("/v1/messages", messages(true));
    CHECK(later.field("x-ccrules-cache") == "hit");
    int paid = 0;
    for (const Row& row : scene.proxy.rows()) paid += !row.at("cost_nanousd").empty() && row.at("cost_nanousd") != "0" ? 1 : 0;
    CHECK(paid == scene.a.asked);
  }
}

TEST_CASE("when everybody has left, the provider is not kept at work") {
  Scene scene;
  auto first = scene.proxy.ask("/v1/messages", messages(true));
  auto second = scene.proxy.ask("/v1/messages", messages(true));
  scene.world.loop.run_for(milliseconds(50));
  first->leave();
  scene.world.loop.run_for(milliseconds(5));
  second->leave();
  scene.proxy.run();
  CHECK(scene.a.asked == 1);
  CHECK(scene.a.finished == 0);
  CHECK(scene.proxy.tallies().answers.stats().bytes == 0);
  CHECK(scene.proxy.answer("/v1/messages", messages(true)).field("x-ccrules-cache") == "miss");
}

TEST_CASE("errors, refusals, cut answers and tool calls are not kept") {
  for (const std::string stop : {"max_tokens", "tool_use", "refusal", "pause_turn"}) {
    for (const bool stream : {true, false}) {
      CAPTURE(stop, stream);
      Scene scene;
      scene.a.stop = stop;
      for (int i = 0; i < 2; ++i) CHECK(scene.proxy.answer("/v1/messages", messages(stream)).field("x-ccrules-cache") == "miss");
      CHECK(scene.a.asked == 2);
      CHECK(scene.proxy.tallies().answers.stats().bytes == 0);
    }
  }
  for (const int status : {400, 429, 529, 500}) {
    CAPTURE(status);
    Scene scene;
    scene.a.status = status;
    CHECK(scene.proxy.answer("/v1/messages", messages(true)).field("x-ccrules-cache") == "miss");
    scene.a.status = 200;
    const Message then = scene.proxy.answer("/v1/messages", messages(true));
    CHECK(then.field("x-ccrules-cache") == "miss");
    CHECK_THAT(then.body, Contains("hello"));
  }
  Scene scene;
  scene.a.breaks = true;
  auto first = scene.proxy.ask("/v1/messages", messages(true));
  auto second = scene.proxy.ask("/v1/messages", messages(true));
  scene.proxy.run();
  CHECK_THAT(first->received(), Contains("event: error"));
  CHECK_THAT(second->received(), Contains("event: error"));
  CHECK(scene.a.asked == 1);
  CHECK(scene.proxy.tallies().answers.stats().bytes == 0);
}

TEST_CASE("an error is shared by those who wait for the same answer") {
  Scene scene;
  scene.a.status = 400;
  auto first = scene.proxy.ask("/v1/messages", messages(true));
  auto second = scene.proxy.ask("/v1/messages", messages(true));
  scene.proxy.run();
  CHECK(scene.a.asked == 1);
  CHECK_THAT(first->received(), Contains("no such thing"));
  CHECK_THAT(second->received(), Contains("no such thing") && Contains(" 400 "));
}

TEST_CASE("any difference in what is asked, by whom or of whom is a miss") {
  const std::string base = R"("model":"claude-x","max_tokens":9,"temperature":0.5,"system":"be brief",)"
                           R"("tools":[{"name":"Bash","description":"runs","input_schema":{"type":"object"}}],)"
                           R"("messages":[{"role":"user","content":[{"type":"text","text":"look"},{"type":"image","source":)"
                           R"({"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]},)"
                           R"({"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"ls"}}]},)"
                           R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"a.txt"},{"type":"text","text":"go on"}]}])";
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"claude-x", "claude-y"},          {"\"max_tokens\":9", "\"max_tokens\":8"},
      {"0.5", "0.6"},                    {"\"temperature\":0.5,", ""},
      {"be brief", "be  brief"},         {"\"system\":\"be brief\",", ""},
      {"\"Bash\",\"desc", "\"bash\",\"desc"}, {"runs", "ruins"},
      {"{\"type\":\"object\"}", "{\"type\":\"object\",\"properties\":{}}"},
      {"look", "book"},                  {"iVBORw0KGgo=", "iVBORw0KGgp="},
      {"image/png", "image/gif"},        {"\"ls\"", "\"rm\""},
      {"\"a.txt\"", "\"b.txt\""},        {"go on", "go on."},
      {"\"text\":\"go on\"", "\"text\":\"go\\u0000on\""},
      {"\"role\":\"assistant\",\"content\":[", "\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"well\"},"},
      {"\"max_tokens\":9", "\"max_tokens\":9,\"top_p\":0.9"},
      {"\"max_tokens\":9", "\"max_tokens\":9,\"top_k\":3"},
      {"\"max_tokens\":9", "\"max_tokens\":9,\"stop_sequences\":[\"x\"]"},
      {"\"max_tokens\":9", "\"max_tokens\":9,\"tool_choice\":{\"type\":\"any\"}"},
      {"\"max_tokens\":9", "\"max_tokens\":9,\"something_new\":1"},
      {"\"tool_use_id\":\"t1\",", "\"tool_use_id\":\"t1\",\"is_error\":true,"}};
  for (const std::string shape : {"same", "otherwise"}) {
    Scene scene;
    const std::string key = "x-api-key: one\r\n";
    // Otherwise: the base has other white space and streams, so that bytes alone never match and meanings are compared.
    const std::string first = shape == "same" ? "{" + base + "}" : "{ " + base + ", \"stream\":true }";
    REQUIRE(scene.proxy.answer("/v1/messages", first, key).field("x-ccrules-cache") == "miss");
    const std::string body = "{" + base + "}";
    CHECK(scene.proxy.answer("/v1/messages", body, key).field("x-ccrules-cache") == "hit");
    CHECK(scene.proxy.answer("/v1/messages", "{\"metadata\":{\"user_id\":\"{\\\"session_id\\\":\\\"s9\\\"}\"}," + base + "}", key)
              .field("x-ccrules-cache") == "hit");
    for (const auto& [from, to] : changes) {
      CAPTURE(shape, from, to);
      std::string changed = base;
      const auto at = changed.find(from);
      REQUIRE(at != std::string::npos);
      changed.replace(at, from.size(), to);
      CHECK(scene.proxy.answer("/v1/messages", "{" + changed + "}", key).field("x-ccrules-cache") == "miss");
    }
    CHECK(scene.proxy.answer("/v1/messages", body, "x-api-key: two\r\n").field("x-ccrules-cache") == "miss");
    CHECK(scene.proxy.answer("/v1/messages", body, key + "x-ccrules-user: eve\r\n").field("x-ccrules-cache") == "miss");
    CHECK(scene.proxy.answer("/v1/messages", body, key + "anthropic-beta: context-1m\r\n").field("x-ccrules-cache") == "miss");
    CHECK(scene.proxy.answer("/v1/messages", first, key).field("x-ccrules-cache") == "hit");
  }
}

TEST_CASE("headers that reach the provider and say how to answer make another question, those that tell of the client do not") {
  Scene scene;
  const auto how = [&scene](const std::string& headers) {
    const Message got = scene.proxy.answer("/v1/messages", messages(false), headers);
    return got.field("x-ccrules-cache");
  };
  REQUIRE(how("") == "miss");
  const std::vector<std::string> others = {"anthropic-beta: a\r\n",
                                           "anthropic-beta: a\r\nanthropic-beta: b\r\n",
                                           "anthropic-version: 2027-01-01\r\n",
                                           "Anthropic-Workspace-Id: w\r\n",
                                           "openai-beta: a\r\n",
                                           "x-goog-user-project: p\r\n",
                                           "x-amzn-bedrock-guardrailidentifier: g\r\n",
                                           "x-amzn-bedrock-guardrailidentifier: g\r\nx-amzn-bedrock-guardrailversion: 2\r\n",
                                           "azureml-model-deployment: d\r\n",
                                           "extra-parameters: drop\r\n"};
  for (const std::string& headers : others) {
    CAPTURE(headers);
    CHECK(how(headers) == "miss");
    CHECK(how(headers) == "hit");
  }
  CHECK(how("anthropic-beta: b\r\nanthropic-beta: a\r\n") == "miss");
  for (const std::string headers : {"user-agent: x\r\n", "x-stainless-lang: js\r\n", "anthropic-version: 2023-06-01\r\n",
                                    "x-goog-api-client: gl-node/22\r\n", "anthropic-dangerous-direct-browser-access: true\r\n",
                                    "x-claude-code-session-id: s\r\n", "traceparent: 00-1-2-01\r\n"}) {
    CAPTURE(headers);
    CHECK(how(headers) == "hit");
  }
}

namespace {

/// A request made of a few parts, so that many differ in one of them only; `caller` and `asks` say which request it is, however it
/// is written.
struct Invented {
  std::string caller, asks, query, headers, body;
};

/// Who sends it: one of two keys, at one of the places where a key may stand.
void sign(Invented& request, std::mt19937& random) {
  const std::vector<std::string> places = {"x-api-key: ", "x-api-key: ", "authorization: Bearer ", "x-goog-api-key: ", "api-key: ", "?key="};
  const std::string& place = places[random() % places.size()];
  request.caller = place + (random() % 2 == 0 ? "one" : "two");
  const bool in_query = place == "?key=";
  request.query = in_query ? request.caller : "";
  request.headers = (in_query ? "" : request.caller + "\r\n") + "x-ccrules-session: s" + (random() % 2 == 0 ? "1" : "2") + "\r\n";
}

Invented invent(std::mt19937& random) {
  const auto below = [&random](unsigned n) { return static_cast<unsigned>(random() % n); };
  const auto pick = [&below](std::initializer_list<const char*> from) { return std::string(from.begin()[below(static_cast<unsigned>(from.size()))]); };
  Invented made;
  const auto part = [&made](const std::string& value) {
    made.asks += value + "|";
    return value;
  };
  // What says nothing of the meaning.
  const std::string space = pick({"", " ", "\n  "});
  const std::string stream = pick({"true", "false"});
  const std::string mark = pick({"", R"(,"cache_control":{"type":"ephemeral"})"});
  std::vector<std::string> members = {"\"stream\":" + stream, "\"model\":\"" + part(pick({"claude-x", "claude-y"})) + "\"",
                                      "\"max_tokens\":" + part(pick({"8", "9"}))};
  const std::string system = part(pick({"", "s", "t", "st"}));
  if (!system.empty()) members.push_back(R"("system":[{"type":"text","text":")" + system + "\"" + mark + "}]");
  const std::string temperature = part(pick({"", "0", "0.5"}));
  if (!temperature.empty()) members.push_back("\"temperature\":" + temperature);
  const std::string tools = part(pick({"", "a", "b", "ab", "ba"}));
  std::string list;
  for (const char tool : tools) {
    list += std::string(list.empty() ? "" : ",") + R"({"name":")" + tool + R"(","input_schema":{"type":"object"}})";
  }
  if (!list.empty()) members.push_back("\"tools\":[" + list + "]");
  std::string messages;
  const unsigned turns = 1 + 2 * below(2);
  for (unsigned turn = 0; turn < turns; ++turn) {
    const std::string text = part(pick({"x", "y", "xy", "x y"}));
    const std::string image = turn % 2 == 0 ? part(pick({"", "", "iVBORw0KGgo=", "iVBORw0KGgp="})) : "";
    messages += std::string(messages.empty() ? "" : ",") + R"({"role":")" + (turn % 2 == 0 ? "user" : "assistant") + R"(","content":[)";
    if (!image.empty()) {
      messages += R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":")" + image + "\"}},";
    }
    messages += space + R"({"type":"text","text":")" + text + "\"" + (turn + 1 == turns ? mark : "") + "}" + space + "]}";
    part("");
  }
  members.push_back("\"messages\":[" + messages + "]");
  std::shuffle(members.begin(), members.end(), random);
  for (const std::string& member : members) made.body += (made.body.empty() ? "{" : ",") + space + member;
  made.body += "}";
  sign(made, random);
  return made;
}

}  // namespace

TEST_CASE("whatever requests come, in whatever words, nobody gets the answer to another question or of another caller") {
  std::mt19937 random(20261121);
  std::vector<Invented> asked;
  Scene scene;
  std::map<std::string, std::set<std::string>> answers;
  int hits = 0;
  for (int i = 0; i < 1500; ++i) {
    // Now and then one of the last ones, changed in nothing, or sent by somebody else.
    Invented next = invent(random);
    if (!asked.empty() && random() % 3 == 0) next = asked[random() % asked.size()];
    if (random() % 3 == 0) sign(next, random);
    const std::string key = next.caller + "|" + next.asks;
    asked.push_back(next);
    scene.a.text = "answer-" + std::to_string(i) + "-";
    const Message got = scene.proxy.answer("/v1/messages" + next.query, next.body, next.headers);
    CAPTURE(key, next.body);
    REQUIRE(got.complete);
    const auto at = got.body.find("answer-");
    REQUIRE(at != std::string::npos);
    const std::string text = got.body.substr(at, got.body.find('-', at + 7) + 1 - at);
    if (got.field("x-ccrules-cache") == "hit") {
      ++hits;
      REQUIRE(answers[key].count(text) == 1);
    } else {
      REQUIRE(text == scene.a.text);
      answers[key].insert(text);
    }
  }
  CHECK(hits > 300);
  CHECK(hits + scene.a.asked == 1500);
}

TEST_CASE("a Gemini client's key counts wherever it stands, in its query too") {
  for (const bool stream : {false, true}) {
    CAPTURE(stream);
    Scene scene;
    const auto [path, body] = question("gemini", stream, "claude-x");
    const auto how = [&scene, &body = body, to = path + (stream ? "&" : "?")](const std::string& query, const std::string& headers = {}) {
      return scene.proxy.answer(to + query, body, headers).field("x-ccrules-cache");
    };
    CHECK(how("key=AAAAAAAA") == "miss");
    CHECK(how("key=BBBBBBBB") == "miss");
    CHECK(how("") == "miss");
    CHECK(how("", "x-goog-api-key: AAAAAAAA\r\n") == "miss");
    CHECK(how("prettyPrint=false&key=AAAAAAAA") == "hit");
    CHECK(how("key=BBBBBBBB") == "hit");
    CHECK(how("", "x-goog-api-key: AAAAAAAA\r\n") == "hit");
    CHECK(how("") == "hit");
    CHECK(scene.a.asked == 4);
  }
}

TEST_CASE("long questions that differ by one letter in the middle are asked once each, and each has its own answer") {
  constexpr int kQuestions = 12;  // more than are compared by what they mean
  const auto asked = [](int number) {
    std::string text(100'000, 'w');
    text[50'000] = static_cast<char>('a' + number);
    return messages(true, {}, text);
  };
  Scene scene;
  std::vector<std::string> answers;
  for (int i = 0; i < kQuestions; ++i) {
    scene.a.text = "answer-" + std::to_string(i) + "-";
    const auto first = scene.proxy.ask("/v1/messages", asked(i));
    const auto second = scene.proxy.ask("/v1/messages", asked(i));
    scene.proxy.run();
    CHECK(scene.a.asked == i + 1);
    const Message got = read_message(first->received());
    CHECK_THAT(got.body, Contains(scene.a.text));
    CHECK(read_message(second->received()).body == got.body);
    answers.push_back(got.body);
  }
  for (int i = kQuestions - 1; i >= 0; --i) {
    const Message again = scene.proxy.answer("/v1/messages", asked(i));
    CHECK(again.field("x-ccrules-cache") == "hit");
    CHECK(again.body == answers.at(static_cast<std::size_t>(i)));
  }
  CHECK(scene.a.asked == kQuestions);
}

TEST_CASE("an answer grows too old") {
  Scene scene(with_cache("10h"));
  CHECK(scene.proxy.answer("/v1/messages", messages(true)).field("x-ccrules-cache") == "miss");
  scene.world.loop.run_for(std::chrono::hours(9));
  CHECK(scene.proxy.answer("/v1/messages", messages(true)).field("x-ccrules-cache") == "hit");
  scene.world.loop.run_for(std::chrono::hours(1));
  CHECK(scene.proxy.answer("/v1/messages", messages(true)).field("x-ccrules-cache") == "miss");
  CHECK(scene.proxy.answer("/v1/messages", messages(true)).field("x-ccrules-cache") == "hit");
}

TEST_CASE("rules say what is cached, how long and for whom; clients may ask for a fresh answer") {
  const std::string rules = R"(
    rule "never"   { when = { agent = "secret" }, cache = false }
    rule "briefly" { when = { agent = "brief" }, cache = { ttl = "1h" } }
    rule "shared"  { when = { agent = "shared" }, cache = { scope = "project" } })";
  Scene scene(with_cache().substr(0, with_cache().size() - 1) + R"(,"rules":["/r.lua"]})", {{"/r.lua", rules}});
  const auto how = [&scene](const std::string& headers) {
    return scene.proxy.answer("/v1/messages", messages(true), headers).field("x-ccrules-cache");
  };
  CHECK(how("x-ccrules-agent: secret\r\n") == "bypass");
  CHECK(how("x-ccrules-agent: brief\r\n") == "miss");
  CHECK(how("x-ccrules-agent: brief\r\n") == "hit");
  scene.world.loop.run_for(std::chrono::hours(1));
  CHECK(how("x-ccrules-agent: brief\r\n") == "miss");
  CHECK(how("x-ccrules-agent: shared\r\nx-api-key: one\r\nx-ccrules-project: /p\r\n") == "miss");
  CHECK(how("x-ccrules-agent: shared\r\nx-api-key: two\r\nx-ccrules-project: /p\r\n") == "hit");
  CHECK(how("x-ccrules-agent: shared\r\nx-api-key: two\r\nx-ccrules-project: /q\r\n") == "miss");
  CHECK(how("x-ccrules-agent: shared\r\n") == "bypass");  // no project: nobody shares it
  CHECK(how("") == "hit");                                 // as `briefly` keeps it, by the same caller
  CHECK(how("cache-control: no-store\r\n") == "bypass");
  CHECK(how("cache-control: no-cache\r\n") == "miss");
  CHECK(how("") == "hit");
}

TEST_CASE("a rule may keep tool calls, cut answers and refusals; who did not ask for them gets none") {
  const std::string rules = R"(
    rule "tools" { when = { agent = "tools" }, cache = { keep = { "tool_use" } } }
    rule "most"  { when = { agent = "most" }, cache = { keep = { "max_tokens", "refusal", "tool_use" } } }
    rule "asked" { when = { agent = "asked" }, cache = function(req) return { keep = { "tool_use" } } end })";
  const std::string config = with_cache().substr(0, with_cache().size() - 1) + R"(,"rules":["/r.lua"]})";
  const auto how = [](Scene& scene, const std::string& agent, bool stream) {
    const Message got = scene.proxy.answer("/v1/messages", messages(stream), agent.empty() ? "" : "x-ccrules-agent: " + agent + "\r\n");
    CHECK(got.complete);
    CHECK_THAT(got.body, Contains(scene.a.stop));
    return got.field("x-ccrules-cache");
  };
  for (const bool stream : {true, false}) {
    for (const std::string stop : {"tool_use", "max_tokens", "refusal"}) {
      CAPTURE(stop, stream);
      Scene scene(config, {{"/r.lua", rules}});
      scene.a.stop = stop;
      CHECK(how(scene, "most", stream) == "miss");
      CHECK(how(scene, "most", stream) == "hit");
      CHECK(how(scene, "tools", stream) == "miss");
      CHECK(how(scene, "tools", !stream) == (stop == "tool_use" ? "hit" : "miss"));
      CHECK(how(scene, "asked", stream) == (stop == "tool_use" ? "hit" : "miss"));
      for (int i = 0; i < 2; ++i) CHECK(how(scene, "", stream) == "miss");
    }
    Scene scene(config, {{"/r.lua", rules}});
    scene.a.stop = "pause_turn";  // to be gone on with at its provider
    for (int i = 0; i < 2; ++i) CHECK(how(scene, "most", stream) == "miss");
  }
}

TEST_CASE("the operator sees what the cache does, and empties it") {
  Scene scene;
  const auto get = [&scene](const std::string& path) {
    MemoryClient client(scene.world.loop, scene.proxy.server());
    client.send("GET " + path + " HTTP/1.1\r\nhost: localhost\r\n\r\n");
    scene.proxy.run();
    return read_message(client.received());
  };
  CHECK(get("/api/cache/stats").body ==
        R"({"hits":0,"misses":0,"hitRate":0,"size":0,"maxSize":500,"entries":0,"savedCost":0,"evicted":0,"rejected":0})");
  CHECK(get("/api/cache/top-prompts").body == "[]");
  for (int i = 0; i < 4; ++i) scene.proxy.answer("/v1/messages", messages(true));
  CHECK_THAT(get("/api/cache/stats").body, Contains(R"("hits":3,"misses":1,"hitRate":0.75,)") && Contains(R"("entries":1,)"));
  CHECK_THAT(get("/health").body, Contains(R"("cache_stats":{"hits":3,"misses":1,"entries":1})"));
  CHECK_THAT(get("/api/cache/top-prompts?limit=1").body, Contains(R"("hits":3,"savedCost":)") && Contains(R"("preview":"")"));
  CHECK_THAT(get("/api/cache/top-prompts?limit=none").first_line, Contains("400"));
  CHECK_THAT(get("/api/cache/top-prompts?limit=0").first_line, Contains("400"));
  CHECK_THAT(scene.proxy.answer("/api/cache/clear", "{}").body, Contains(R"({"status":"ok","cleared":1,"freedMemory":"0.0MB"})"));
  CHECK(scene.proxy.answer("/v1/messages", messages(true)).field("x-ccrules-cache") == "miss");
}

TEST_CASE("with an admin key only the operator empties the cache, and with a key nobody else sees it") {
  Scene scene(with_cache().substr(0, with_cache().size() - 1) + R"(,"listen":{"api_key":"k","admin_key":"boss"}})");
  CHECK_THAT(scene.proxy.answer("/api/cache/clear", "{}").first_line, Contains("401"));
  CHECK_THAT(scene.proxy.answer("/api/cache/clear", "{}", "x-api-key: k\r\n").first_line, Contains("40"));
  CHECK_THAT(scene.proxy.answer("/api/cache/clear", "{}", "x-api-key: boss\r\n").first_line, Contains("200"));
}

TEST_CASE("the answer of a fallback is not what the next one gets") {
  Scene scene(kProviders + R"("fallbacks":{"claude-*":["b,spare"]},"cache":{"enabled":true}})");
  scene.a.status = 529;
  CHECK(scene.proxy.answer("/v1/messages", messages(true)).field("x-ccrules-target") == "b,spare");
  scene.a.status = 200;
  const Message then = scene.proxy.answer("/v1/messages", messages(true));
  CHECK(then.field("x-ccrules-cache") == "miss");
  CHECK(then.field("x-ccrules-target") == "a,claude-x");
}
