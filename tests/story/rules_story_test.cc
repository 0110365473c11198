#include <catch2/catch.hpp>

#include "dialect/dialect.h"
#include "support/hostile.h"
#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "providers": {
    "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "models": ["claude-*"] },
    "oai": { "dialect": "openai_chat", "base_url": "http://oai:80/v1", "models": ["gpt-*"] },
    "home": { "dialect": "openai_chat", "base_url": "http://home:80/v1", "local": true }
  },
  "routes": { "default": "anth,claude-sonnet-4-5" },
  "rules": ["/rules/my.lua"]
})";

std::string messages(bool stream, std::string_view model = "claude-sonnet-4-5") {
  return "{\"model\":\"" + std::string(model) + "\",\"max_tokens\":100,\"stream\":" + (stream ? "true" : "false") +
         ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
}

std::string reply(std::string_view stop_reason, std::string_view content) {
  return R"({"id":"msg_9","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":)" + std::string(content) +
         R"(,"stop_reason":")" + std::string(stop_reason) +
         R"(","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7}})";
}

constexpr const char* kChatReply =
    R"({"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"from home"},)"
    R"("finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}})";

std::string joined(const std::vector<std::string>& events) {
  std::string text;
  for (const std::string& event : events) text += event;
  return text;
}

/// A stream that ends as a refusal before any content.
std::string refusal_stream() {
  return "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\","
         "\"model\":\"claude-sonnet-4-5\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":11,"
         "\"output_tokens\":1}}}\n\n"
         "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"refusal\",\"stop_sequence\":null},"
         "\"usage\":{\"output_tokens\":1}}\n\n"
         "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
}

}  // namespace

TEST_CASE("a response rule sends a refusal to the next fallback before the client sees any of it") {
  const char* const rules = R"(
rule "net"     { fallback = "home,qwen" }
rule "refused" { on = "response", when = { stop_reason = "refusal" }, next_fallback = true, tag = { refused = "by-anth" } })";
  SECTION("a whole reply") {
    SimWorld world;
    world.script("anth", 80, http_reply(200, "application/json", reply("refusal", "[]")));
    world.script("home", 80, http_reply(200, "application/json", kChatReply));
    ProxyWorld proxy(world, kConfig, {{"/rules/my.lua", rules}});
    const Message answer = proxy.answer("/v1/messages", messages(false));
    CHECK_THAT(answer.first_line, Contains("200"));
    CHECK_THAT(answer.body, Contains("from home"));
    CHECK_THAT(answer.body, !Contains("refusal"));
    CHECK(answer.field("x-ccrules-attempts") == "2");
    CHECK(answer.field("x-ccrules-target") == "home,qwen");
    const auto rows = proxy.rows();
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].at("tags") == R"({"refused":"by-anth"})");
  }
  SECTION("a stream") {
    SimWorld world;
    world.script("anth", 80, http_reply(200, "text/event-stream", refusal_stream()));
    world.script("home", 80, http_stream(openai_events("from home")));
    ProxyWorld proxy(world, kConfig, {{"/rules/my.lua", rules}});
    const Message answer = proxy.answer("/v1/messages", messages(true));
    CHECK_THAT(answer.body, Contains("from home"));
    CHECK_THAT(answer.body, !Contains("refusal"));
    CHECK(answer.field("x-ccrules-attempts") == "2");
  }
  SECTION("an answer is better than none when nothing is left to try") {
    SimWorld world;
    world.script("anth", 80, http_reply(200, "application/json", reply("refusal", "[]")));
    ProxyWorld proxy(world, kConfig, {{"/rules/my.lua", R"(
rule "refused" { on = "response", when = { stop_reason = "refusal" }, next_fallback = true })"}});
    CHECK_THAT(proxy.answer("/v1/messages", messages(false)).body, Contains("refusal"));
  }
  SECTION("other replies go through as they came") {
    SimWorld world;
    world.script("anth", 80, http_stream(anthropic_events("hello")));
    ProxyWorld proxy(world, kConfig, {{"/rules/my.lua", rules}});
    const Message answer = proxy.answer("/v1/messages", messages(true));
    CHECK(answer.body == joined(anthropic_events("hello")));
    CHECK(answer.field("x-ccrules-attempts") == "1");
  }
}

TEST_CASE("rules on an attempt may refuse the request, in the client's dialect") {
  SimWorld world;
  world.script("anth", 80, http_reply(529, "application/json", R"({"type":"error","error":{"type":"overloaded_error","message":"x"}})"));
  ProxyWorld proxy(world, kConfig, {{"/rules/my.lua", R"(
rule "enough" { on = "error", when = { status = 529 }, deny = { status = 503, message = "come back later" }, tag = { gave_up = 1 } })"}});
  const Message answer = proxy.answer("/v1/messages", messages(false));
  CHECK_THAT(answer.first_line, Contains("503"));
  CHECK_THAT(answer.body, Contains("come back later"));
  CHECK(proxy.rows()[0].at("tags") == R"({"gave_up":"1"})");
}

TEST_CASE("a privacy rule keeps a project's requests in the house, on the way out and after a failure") {
  SimWorld world;
  world.script("home", 80, http_reply(500, "application/json", R"({"error":{"message":"no"}})"));
  world.script("anth", 80, http_reply(200, "application/json", reply("end_turn", R"([{"type":"text","text":"leaked"}])")));
  ProxyWorld proxy(world, kConfig, {{"/rules/my.lua", R"(
rule "private" { when = { project = "/srv/secret*", provider_class = "external" }, deny = { status = 403, message = "local only" } }
rule "local"   { when = { project = "/srv/secret*", model = "local" }, to = "home,qwen" }
rule "net"     { fallback = "anth,claude-sonnet-4-5" }
rule "away"    { on = "error", to = "anth,claude-opus-4-5" })"}});
  const Message denied = proxy.answer("/v1/messages", messages(false), "x-ccrules-project: /srv/secret/a\r\n");
  CHECK_THAT(denied.first_line, Contains("403"));
  CHECK_THAT(denied.body, Contains("local only"));
  CHECK(denied.field("x-ccrules-rule") == "private");
  const Message failed = proxy.answer("/v1/messages", messages(false, "local"), "x-ccrules-project: /srv/secret/a\r\n");
  CHECK_THAT(failed.first_line, !Contains("200"));
  CHECK_THAT(failed.body, !Contains("leaked"));
  CHECK_THAT(world.scripted_requests, !Contains("/v1/messages HTTP"));
  const Message open = proxy.answer("/v1/messages", messages(false), "x-ccrules-project: /srv/open\r\n");
  CHECK_THAT(open.body, Contains("leaked"));
}

TEST_CASE("rules may read the messages and any member of the request") {
  SimWorld world;
  ProxyWorld proxy(world, kConfig, {{"/rules/my.lua", R"(
rule "gold"    { when = { body = { ["metadata.user_id"] = "gold-*" } }, deny = "gold" }
rule "history" { when = function(req) return req.messages[1].text == "hi" and #req.messages == 1 end, deny = "history" })"}});
  CHECK_THAT(proxy.answer("/v1/messages", messages(false)).body, Contains("history"));
  CHECK_THAT(proxy.answer("/v1/messages", R"({"model":"m","max_tokens":5,"metadata":{"user_id":"gold-1"},"messages":[{"role":"user","content":"x"}]})").body,
             Contains("gold"));
}

TEST_CASE("hostile rules hurt no other request: the worker answers all of them meanwhile") {
  std::string rules;
  for (const Attack& attack : kAttacks) {
    rules += "rule \"" + std::string(attack.name) + "\" { when = { headers = { [\"x-attack\"] = \"" + attack.name +
             "\" }, function(req) " + attack.code + " end }, tag = { survived = true } }\n";
  }
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", reply("end_turn", R"([{"type":"text","text":"hello"}])")));
  ProxyWorld proxy(world, kConfig, {{"/rules/my.lua", rules}});
  std::size_t asked = 0;
  for (const Attack& attack : kAttacks) {
    INFO(attack.name);
    const auto before = proxy.ask("/v1/messages", messages(false));
    const auto victim = proxy.ask("/v1/messages", messages(false), "x-attack: " + std::string(attack.name) + "\r\n");
    const auto after = proxy.ask("/v1/messages", messages(false));
    proxy.run();
    for (const auto* client : {&before, &victim, &after}) CHECK_THAT(read_message((*client)->received()).first_line, Contains("200"));
    asked += 3;
  }
  CHECK(proxy.rows().size() == asked);
}

TEST_CASE("a rate rule slows a session down, and no other") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", reply("end_turn", R"([{"type":"text","text":"hello"}])")));
  ProxyWorld proxy(world, kConfig, {{"/rules/my.lua", R"(
rule "rate" { when = { rate = { key = "session", per = "1m", gt = 3 } }, deny = { status = 429, message = "slow down" } })"}});
  for (int i = 1; i <= 5; ++i) {
    const Message answer = proxy.answer("/v1/messages", messages(false), "x-ccrules-session: s-1\r\n");
    CHECK_THAT(answer.first_line, Contains(i <= 3 ? "200" : "429"));
  }
  CHECK_THAT(proxy.answer("/v1/messages", messages(false), "x-ccrules-session: s-2\r\n").first_line, Contains("200"));
  CHECK_THAT(proxy.answer("/v1/messages", messages(false)).first_line, Contains("200"));
}

TEST_CASE("a rule that is stopped again and again is quarantined, and its denials stay") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", reply("end_turn", R"([{"type":"text","text":"hello"}])")));
  ProxyWorld proxy(world, kConfig, {{"/rules/my.lua", R"(
rule "guard" { when = { user = "mallory", function() while true do end end }, deny = "no" })"}});
  for (int i = 0; i < 5; ++i) {
    CHECK_THAT(proxy.answer("/v1/messages", messages(false), "x-ccrules-user: mallory\r\n").first_line, Contains("403"));
    CHECK_THAT(proxy.answer("/v1/messages", messages(false), "x-ccrules-user: alice\r\n").first_line, Contains("200"));
  }
  const rules::EngineStatus status = proxy.worker().policy->rules->status();
  REQUIRE(status.troubled.size() == 1);
  CHECK(status.troubled[0].quarantined);
  CHECK(status.troubled[0].stops == 3);
}

namespace {

/// Whoever adds an endpoint says here whether a model answers on it: without its case this does not compile (-Wswitch), and one
/// that says yes must be refused below.
bool asks_a_model(dialect::Endpoint endpoint) {
  switch (endpoint) {
    case dialect::Endpoint::kGenerate: return true;
    case dialect::Endpoint::kNone:
    case dialect::Endpoint::kCountTokens:  // counted here, nothing is sent
    case dialect::Endpoint::kModels:
    case dialect::Endpoint::kModel:
    case dialect::Endpoint::kBatches:  // each request in one is asked as if it came alone: batches_story_test.cc
    case dialect::Endpoint::kFiles:
    case dialect::Endpoint::kWebSocket:
    case dialect::Endpoint::kStored:
    case dialect::Endpoint::kVersion:
    case dialect::Endpoint::kShow:
    case dialect::Endpoint::kHello:
    case dialect::Endpoint::kHealth:
    case dialect::Endpoint::kReady:
    case dialect::Endpoint::kStatus: return false;
  }
  return true;
}

}  // namespace

TEST_CASE("rules run on every model endpoint of every dialect") {
  struct Row {
    const char* method;
    const char* path;
    bool model;        ///< a request for an answer of a model: rules decide on it
    const char* body;
  };
  constexpr const char* kBody = R"({"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]})";
  constexpr Row kRows[] = {
      {"POST", "/v1/messages", true, kBody},
      {"POST", "/v1/messages?beta=true", true, kBody},
      {"POST", "/messages", true, kBody},
      {"POST", "/v1/v1/messages", true, kBody},
      {"POST", "//v1//messages/", true, kBody},
      {"POST", "/v1/api/chat/", true, kBody},
      {"POST", "/api/show", false, R"({"model":"m"})"},
      {"GET", "/api/tags", false, ""},
      {"GET", "/api/version", false, ""},
      {"POST", "/v1/chat/completions", true, kBody},
      {"POST", "/chat/completions", true, kBody},
      {"POST", "/v1/responses", true, R"({"model":"m","input":"hi"})"},
      {"POST", "/v1/completions", true, R"({"model":"m","prompt":"hi"})"},
      {"POST", "/v1/embeddings", true, R"({"model":"m","input":"hi"})"},
      {"POST", "/v1beta/models/m:generateContent", true, R"({"contents":[{"role":"user","parts":[{"text":"hi"}]}]})"},
      {"POST", "/v1beta/models/m:streamGenerateContent?alt=sse", true, R"({"contents":[{"role":"user","parts":[{"text":"hi"}]}]})"},
      {"POST", "/v1/models/m:generateContent", true, R"({"contents":[{"role":"user","parts":[{"text":"hi"}]}]})"},
      {"POST", "/api/chat", true, kBody},
      {"POST", "/api/generate", true, R"({"model":"m","prompt":"hi"})"},
      {"POST", "/v1/messages/batches", false, R"({"requests":[{"custom_id":"a","params":{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}}]})"},
      {"POST", "/v1/messages/count_tokens", false, kBody},
      {"GET", "/v1/models", false, ""},
      {"GET", "/v1/models/m", false, ""},
  };
  SimWorld world;
  ProxyWorld proxy(world, kConfig, {{"/rules/my.lua", R"(rule "all" { deny = { status = 451, message = "denied by rule" } })"}});
  int denied = 0;
  for (const Row& row : kRows) {
    INFO(row.method << " " << row.path);
    const std::string_view path = std::string_view(row.path).substr(0, std::string_view(row.path).find('?'));
    const dialect::Route route = dialect::find(row.method, path);
    if (route.endpoint == dialect::Endpoint::kNone) continue;  // this build does not serve it
    CHECK(asks_a_model(route.endpoint) == row.model);
    if (!row.model) continue;
    const Message answer = proxy.answer(row.path, row.body);
    CHECK_THAT(answer.first_line, Contains("451"));
    CHECK_THAT(answer.body, Contains("denied by rule"));
    CHECK(answer.field("x-ccrules-rule") == "all");
    ++denied;
  }
  CHECK(denied >= 7);
  CHECK(proxy.rows().size() == static_cast<std::size_t>(denied));
  CHECK(world.scripted_requests.empty());
}

TEST_CASE("candidate rules decide beside the live ones, and only the ledger hears of it") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", reply("end_turn", R"([{"type":"text","text":"hello"}])")));
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(, "shadow": ["/rules/next.lua"])");
  ProxyWorld proxy(world, config, {{"/rules/my.lua", R"(rule "live" { to = "anth,claude-sonnet-4-5" })"},
                                   {"/rules/next.lua", R"(
rule "next"  { when = { tokens = { lt = 100 } }, to = "home,qwen", tag = { next = true } }
rule "stops" { when = { stream = true }, deny = "no streams" })"}});
  const Message answer = proxy.answer("/v1/messages", messages(false));
  CHECK(answer.field("x-ccrules-target") == "anth,claude-sonnet-4-5");
  CHECK(answer.field("x-ccrules-rule") == "live");
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("provider") == "anth");
  CHECK(rows[0].at("tags").empty());
  CHECK_THAT(rows[0].at("shadow"), Contains(R"("rule":"next","changes":[{"slot":"to","before":"anth,claude-sonnet-4-5","after":"home,qwen"})"));
}

TEST_CASE("candidate rules judge failed attempts and replies too, and change nothing about them") {
  SimWorld world;
  world.script("anth", 80, http_reply(500, "application/json", R"({"type":"error","error":{"type":"api_error","message":"x"}})"));
  world.script("home", 80, http_reply(200, "application/json", kChatReply));
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(, "shadow": ["/rules/next.lua"])");
  ProxyWorld proxy(world, config, {{"/rules/my.lua", R"(rule "net" { fallback = "home,qwen" })"},
                                   {"/rules/next.lua", R"(
rule "net"    { fallback = "home,qwen" }
rule "again"  { on = "error", when = { status = 500 }, retry = { after = "2s" } }
rule "picky"  { on = "response", when = { provider = "home" }, next_fallback = true, tag = { seen = "home" } })"}});
  const Message answer = proxy.answer("/v1/messages", messages(false));
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK(answer.field("x-ccrules-target") == "home,qwen");
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("attempts") == "2");
  CHECK(rows[0].at("tags").empty());
  CHECK_THAT(rows[0].at("shadow"),
             Contains(R"({"slot":"error.retry","after":"after 2000 ms; at most 10000 ms","rule":"again"})") &&
                 Contains(R"({"slot":"response.next_fallback","after":"yes","rule":"picky"})") &&
                 Contains(R"({"slot":"response.tag.seen","after":"home","rule":"picky"})"));
}

TEST_CASE("GET /status tells which rules are in force and which of them are in trouble") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", reply("end_turn", R"([{"type":"text","text":"hello"}])")));
  ProxyWorld proxy(world, kConfig, {{"/rules/my.lua", R"(
rule "throws" { when = function(req) error("oh no") end, to = "home,qwen" })"}});
  const auto status = [&] {
    MemoryClient client(world.loop, proxy.server());
    client.send("GET /status HTTP/1.1\r\nhost: localhost\r\n\r\n");
    proxy.run();
    return read_message(client.received());
  };
  CHECK_THAT(status().body, Contains(R"("troubled":[])") && Contains(R"("packs":[{"name":"default")"));
  (void)proxy.answer("/v1/messages", messages(false));
  CHECK_THAT(status().body, Contains(R"("rule":"throws","where":"/rules/my.lua:2","layer":"user","may_deny":false,"quarantined":false,"failures":1)"));
}

TEST_CASE("a rule on spending refuses once the money is used up, and only whom it is about") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", reply("end_turn", R"([{"type":"text","text":"hello"}])")));
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(, "prices": { "claude-sonnet-4-5": { "input": 100000, "output": 100000 } })");
  ProxyWorld proxy(world, config, {{"/rules/my.lua", R"(
rule "enough" { when = { spend = { by = "session", per = "day", gte = 3 } }, deny = { status = 429, message = "$3 used today" } })"}});
  // 18 tokens at 0.1 dollars each are 1.8 dollars.
  for (int i = 1; i <= 4; ++i) {
    const Message answer = proxy.answer("/v1/messages", messages(false), "x-ccrules-session: s-1\r\n");
    CHECK_THAT(answer.first_line, Contains(i <= 2 ? "200" : "429"));
  }
  CHECK_THAT(proxy.answer("/v1/messages", messages(false), "x-ccrules-session: s-2\r\n").first_line, Contains("200"));
}

TEST_CASE("a rule on a provider's health goes elsewhere while it is down") {
  SimWorld world;
  world.script("anth", 80, http_reply(500, "application/json", R"({"type":"error","error":{"type":"api_error","message":"x"}})"));
  world.script("home", 80, http_reply(200, "application/json", kChatReply));
  ProxyWorld proxy(world, kConfig, {{"/rules/my.lua", R"(
rule "down" { when = { health = { anth = { "down" } } }, to = "home,qwen" })"}});
  const auto ask = [&world, &proxy] {
    const auto client = proxy.ask("/v1/messages", messages(false));
    world.loop.run_for(std::chrono::milliseconds(1));  // not until idle connections close: the circuit would try again by then
    return read_message(client->received());
  };
  for (int i = 1; i <= 5; ++i) CHECK_THAT(ask().first_line, Contains("500"));
  const Message answer = ask();
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK(answer.field("x-ccrules-target") == "home,qwen");
}

TEST_CASE("many requests at once never spend more than a hard budget, and all money that was set aside comes back") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", reply("end_turn", R"([{"type":"text","text":"hello"}])")));
  std::string config = kConfig;
  // An answer of 18 tokens costs $0.18; the worst case of 100 tokens and the prompt is set aside.
  config.insert(config.rfind('}'), R"(, "prices": { "claude-sonnet-4-5": { "input": 10000, "output": 10000 } },
    "budgets": [ { "scope": "project", "usd": 5, "per": "day" } ])");
  ProxyWorld proxy(world, config, {{"/rules/my.lua", ""}});
  std::vector<std::unique_ptr<MemoryClient>> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(proxy.ask("/v1/messages", messages(false), "x-ccrules-project: web\r\n"));
  clients[3]->leave();
  proxy.run();
  int refused = 0;
  for (const auto& client : clients) {
    if (client == clients[3]) continue;
    const Message answer = read_message(client->received());
    if (answer.first_line.find("429") == std::string::npos) continue;
    ++refused;
    CHECK_THAT(answer.body, Contains("billing_error") && Contains("the daily budget of project 'web' ($5.00)"));
    CHECK(answer.field("anthropic-ratelimit-unified-status") == "rejected");
    CHECK(answer.field("x-should-retry") == "false");
    CHECK_FALSE(answer.field("retry-after").empty());
  }
  CHECK(refused > 0);
  CHECK(refused < 49);
  // One after the other there is room for a few more, until the worst case of one no longer fits.
  int answered = 0;
  while (proxy.answer("/v1/messages", messages(false), "x-ccrules-project: web\r\n").first_line.find("200") != std::string::npos) {
    REQUIRE(++answered < 50);
  }
  CHECK(answered > 0);
  double spent = 0;
  for (const Row& row : proxy.rows()) {
    if (!row.at("cost_nanousd").empty()) spent += std::stod(row.at("cost_nanousd")) / 1e9;
  }
  CHECK(spent <= 5);
  CHECK(spent > 2);
  CHECK_THAT(proxy.answer("/v1/messages", messages(false), "x-ccrules-project: other\r\n").first_line, Contains("200"));
}
