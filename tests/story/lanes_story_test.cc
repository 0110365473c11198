#include <algorithm>
#include <map>

#include <catch2/catch.hpp>

#include "async/loop.h"
#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kTwoKeys = R"({
  "providers": {
    "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "api_keys": ["key-one", "key-two"], "models": ["claude-*"] },
    "spare": { "dialect": "anthropic", "base_url": "http://spare:80", "models": ["spare-*"] }
  },
  "routes": { "default": "anth,claude-x" },
  "fallbacks": { "claude-*": ["spare,spare-1"] }
})";
constexpr const char* kReply =
    R"({"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"hello"}],)"
    R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7}})";

std::string ask_as(const std::string& session) {
  return R"({"model":"claude-x","max_tokens":100,"metadata":{"user_id":"user_a_account__session_)" + session +
         R"("},"messages":[{"role":"user","content":"hi"}]})";
}

/// A provider that answers each key as it is told, and notes who asked.
struct Provider {
  std::map<std::string, int> status;  ///< by key; 200 where it is silent
  std::string retry_after = "20";
  std::vector<std::string> keys;
  int in_hand = 0;

  void serve(SimWorld& world, const std::string& host = "anth") {
    world.serve(host, 80, [this](http::Exchange& exchange) -> Task<void> {
      const std::string key(exchange.head().headers.get("x-api-key"));
      keys.push_back(key);
      const auto found = status.find(key);
      const int answer = found == status.end() ? 200 : found->second;
      http::Headers headers;
      headers.add("content-type", "application/json");
      if (answer == 429) headers.add("retry-after", retry_after);
      const std::string refusal = std::string(R"({"type":"error","error":{"type":")") +
                                  (answer == 429 ? "rate_limit_error" : "authentication_error") + R"(","message":"not with )" + key + "\"}}";
      const std::string reply = answer == 200 ? std::string(kReply) : refusal;
      auto sent = co_await exchange.send(answer, headers, reply);
      (void)sent;  // the test looks at what arrives
    });
  }
};

/// Like ProxyWorld::answer(), but time does not run on until nothing is left to do: rests and circuits are not over then.
Message answer_soon(SimWorld& world, ProxyWorld& proxy, const std::string& body) {
  const auto client = proxy.ask("/v1/messages", body);
  world.loop.run_for(std::chrono::milliseconds(1));
  return read_message(client->received());
}

}  // namespace

TEST_CASE("a session stays with its key, and new sessions go where the fewest are under way") {
  SimWorld world;
  Provider provider;
  provider.serve(world);
  ProxyWorld proxy(world, kTwoKeys);
  for (const char* session : {"a", "b", "a", "a", "b", "b"}) CHECK_THAT(answer_soon(world, proxy, ask_as(session)).body, Contains("hello"));
  CHECK(provider.keys == std::vector<std::string>{"key-one", "key-two", "key-one", "key-one", "key-two", "key-two"});
}

TEST_CASE("a key that has reached its limit rests as long as it was told, and the other serves meanwhile") {
  SimWorld world;
  Provider provider;
  provider.serve(world);
  provider.status["key-one"] = 429;
  ProxyWorld proxy(world, kTwoKeys);
  const Message first = answer_soon(world, proxy, ask_as("a"));
  CHECK_THAT(first.body, Contains("hello"));
  CHECK(first.field("x-ccrules-target") == "anth,claude-x");
  CHECK(first.field("x-ccrules-attempts") == "2");
  (void)answer_soon(world, proxy, ask_as("c"));
  CHECK(provider.keys == std::vector<std::string>{"key-one", "key-two", "key-two"});
  CHECK(proxy.tallies().circuits.state("anth", world.loop.now_ms()) == "ok");
  const auto asking = std::make_unique<MemoryClient>(world.loop, proxy.server());
  asking->send("GET /status HTTP/1.1\r\nhost: localhost\r\n\r\n");
  world.loop.run_for(std::chrono::milliseconds(1));
  CHECK_THAT(asking->received(), Contains(R"("key":1,"status":"resting")") && Contains(R"("key":2,"status":"enabled","rests_ms":0,"under_way":0)") &&
                                     !Contains("key-one") && !Contains("key-two"));

  provider.status.clear();
  world.loop.run_for(std::chrono::seconds(20));
  (void)answer_soon(world, proxy, ask_as("d"));
  CHECK(provider.keys.back() == "key-one");
  (void)answer_soon(world, proxy, ask_as("a"));
  CHECK(provider.keys.back() == "key-two");  // where the session's prompt cache is now
}

TEST_CASE("a key that is refused rests, and what the client gets holds neither key") {
  SimWorld world;
  Provider provider;
  provider.serve(world);
  provider.status["key-one"] = 401;
  ProxyWorld proxy(world, kTwoKeys);
  CHECK_THAT(answer_soon(world, proxy, ask_as("a")).body, Contains("hello"));
  (void)answer_soon(world, proxy, ask_as("b"));
  CHECK(provider.keys == std::vector<std::string>{"key-one", "key-two", "key-two"});

  provider.status["key-two"] = 401;
  std::string config = kTwoKeys;
  config.replace(config.find("fallbacks"), 9, "agents");  // nowhere else to go
  config.replace(config.find("\"claude-*\": [\"spare,spare-1\"]"), 29, "\"x\": \"spare,spare-1\"");
  ProxyWorld alone(world, config);
  const Message refused = answer_soon(world, alone, ask_as("a"));
  CHECK_THAT(refused.body, !Contains("key-one") && !Contains("key-two"));
  for (const auto& row : alone.rows()) CHECK_THAT(row.at("error"), !Contains("key-one") && !Contains("key-two"));
}

TEST_CASE("a header of the provider that repeats one of its keys does not reach the client, whichever key was used") {
  for (const int status : {200, 400}) {
    SimWorld world;
    const std::string body = status == 200 ? std::string(kReply) : R"({"type":"error","error":{"type":"invalid_request_error","message":"no"}})";
    world.script("anth", 80, http_reply(status, "application/json", body, "x-seen-key: key-two\r\nx-other: as it is\r\n"));
    ProxyWorld proxy(world, kTwoKeys);
    const auto client = proxy.ask("/v1/messages", ask_as("a"));  // goes out with key-one
    world.loop.run_for(std::chrono::milliseconds(1));
    CAPTURE(status, client->received());
    CHECK_THAT(client->received(), !Contains("key-two") && !Contains("key-one"));
    CHECK_THAT(client->received(), Contains(" " + std::to_string(status) + " "));
  }
}

TEST_CASE("of keys that begin alike the longest is taken out first, so that no end of it stays") {
  SimWorld world;
  world.script("anth", 80, http_reply(401, "application/json",
                                      R"({"type":"error","error":{"type":"authentication_error","message":"bad key sk-abc-team and sk-abc"}})"));
  ProxyWorld proxy(world, R"({"providers": {"anth": {"dialect": "anthropic", "base_url": "http://anth:80", "api_keys": ["sk-abc", "sk-abc-team"]}},
                              "routes": {"default": "anth,claude-x"}})");
  const Message refused = answer_soon(world, proxy, ask_as("a"));
  CHECK_THAT(refused.body, !Contains("sk-abc") && !Contains("-team"));
  for (const auto& row : proxy.rows()) CHECK_THAT(row.at("error"), !Contains("sk-abc") && !Contains("-team"));
}

TEST_CASE("when every key rests the fallback serves, and without one the client is told when to come back") {
  SimWorld world;
  Provider provider;
  provider.serve(world);
  provider.status = {{"key-one", 429}, {"key-two", 429}};
  world.script("spare", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kTwoKeys);
  CHECK(answer_soon(world, proxy, ask_as("a")).field("x-ccrules-target") == "spare,spare-1");
  const Message next = answer_soon(world, proxy, ask_as("a"));
  CHECK(next.field("x-ccrules-target") == "spare,spare-1");
  CHECK(next.field("x-ccrules-attempts") == "1");  // nobody asks keys that rest
  CHECK(provider.keys.size() == 2);

  ProxyWorld alone(world, R"({"providers": {"anth": {"dialect": "anthropic", "base_url": "http://anth:80", "api_keys": ["key-one", "key-two"]}},
                              "routes": {"default": "anth,claude-x"}})");
  (void)answer_soon(world, alone, ask_as("a"));
  const Message refused = answer_soon(world, alone, ask_as("a"));
  CHECK_THAT(refused.first_line, Contains("429"));
  CHECK(refused.field("retry-after") == "20");
  CHECK_THAT(refused.body, Contains("every key and address of provider 'anth'"));
}

TEST_CASE("keys tried count as attempts: one budget for all of a request") {
  SimWorld world;
  Provider provider;
  provider.serve(world);
  for (const char* key : {"k1", "k2", "k3", "k4", "k5"}) provider.status[key] = 429;
  ProxyWorld proxy(world, R"({"providers": {"anth": {"dialect": "anthropic", "base_url": "http://anth:80",
                               "api_keys": ["k1", "k2", "k3", "k4", "k5"]}},
                              "routes": {"default": "anth,claude-x"}, "retry": {"max_attempts": 3}})");
  CHECK_THAT(answer_soon(world, proxy, ask_as("a")).first_line, Contains("429"));
  CHECK(provider.keys.size() == 3);
  CHECK(proxy.rows().at(0).at("attempts") == "3");
}

TEST_CASE("an address that fails is tried no more for a while, the others of the provider serve") {
  SimWorld world;
  Provider provider;
  provider.serve(world, "two");
  world.script("one", 80, http_reply(503, "application/json", R"({"error":{"message":"down"}})"));
  ProxyWorld proxy(world, R"({"providers": {"anth": {"dialect": "anthropic", "base_urls": ["http://one:80/", "http://two:80"],
                               "api_key": "key"}},
                              "routes": {"default": "anth,claude-x"}, "circuit": {"failures": 2, "open_for": "30s"}})");
  std::vector<std::string> attempts;
  for (const char* session : {"a", "b", "c", "d", "e", "f"}) {
    const Message answer = answer_soon(world, proxy, ask_as(session));
    CHECK_THAT(answer.body, Contains("hello"));
    attempts.push_back(answer.field("x-ccrules-attempts"));
  }
  CHECK(std::count(attempts.begin(), attempts.end(), "2") == 2);
  CHECK(attempts.back() == "1");
}

TEST_CASE("requests under way are spread evenly, and every lane is given back") {
  SimWorld world;
  std::map<std::string, int> busy;
  std::map<std::string, int> most;
  world.serve("anth", 80, [&busy, &most, &world](http::Exchange& exchange) -> Task<void> {
    const std::string key(exchange.head().headers.get("x-api-key"));
    most[key] = std::max(most[key], ++busy[key]);
    const StopToken never;
    auto slept = co_await sleep_for(world.loop, std::chrono::milliseconds(50), never);
    (void)slept;
    --busy[key];
    http::Headers headers;
    headers.add("content-type", "application/json");
    auto sent = co_await exchange.send(200, headers, kReply);
    (void)sent;
  });
  ProxyWorld proxy(world, kTwoKeys);
  std::vector<std::unique_ptr<MemoryClient>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(proxy.ask("/v1/messages", ask_as(std::to_string(i))));
  world.loop.run_for(std::chrono::milliseconds(10));
  clients[3].reset();  // leaves before its answer
  proxy.run();
  CHECK(most["key-one"] == 10);
  CHECK(most["key-two"] == 10);
  for (const config::Lane& lane : proxy.worker().policy->config->provider("anth")->lanes) CHECK(proxy.tallies().lanes.under_way(lane) == 0);
}
