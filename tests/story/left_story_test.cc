#include <catch2/catch.hpp>

#include "support/proxy_world.h"

/// Answers that a client does not get, or not to their end: what a provider did for them is paid for.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "providers": {
    "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "models": ["m-*"] },
    "oai": { "dialect": "openai_chat", "base_url": "http://oai:80/v1", "models": ["n-*"] }
  },
  "prices": { "m-1": { "input": 10, "output": 100 }, "n-1": { "input": 10, "output": 100 } },
  "circuit": { "failures": 0 }
})";

std::string asking(const std::string& model, bool stream) {
  return R"({"model":")" + model + R"(","max_tokens":2000,"stream":)" + (stream ? "true" : "false") +
         R"(,"messages":[{"role":"user","content":"please count the words of this sentence"}]})";
}

/// Sends these events a millisecond apart and then says no more.
http::Handler sending(SimWorld& world, std::vector<std::string> events) {
  struct Slow {
    static Task<void> answer(SimWorld& world, std::vector<std::string> events, http::Exchange& exchange) {
      http::Headers headers;
      headers.add("content-type", "text/event-stream");
      exchange.start(200, headers);
      for (const std::string& event : events) {
        auto sent = co_await exchange.write(event);
        if (!sent.ok()) co_return;
        auto slept = co_await sleep_for(world.loop, std::chrono::milliseconds(1), exchange.stop());
        if (!slept.ok()) co_return;
      }
      auto slept = co_await sleep_for(world.loop, std::chrono::seconds(100), exchange.stop());
      (void)slept;
    }
  };
  return [&world, events = std::move(events)](http::Exchange& exchange) { return Slow::answer(world, events, exchange); };
}

/// The row of a client that asks and leaves after so long.
Row row_of_leaving(SimWorld& world, ProxyWorld& proxy, const std::string& path, const std::string& body, std::chrono::milliseconds after) {
  const auto client = proxy.ask(path, body);
  world.loop.run_for(after);
  client->leave();
  world.loop.run_for(std::chrono::seconds(1));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("status") == "499");
  CHECK(proxy.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0) ==
        (rows[0].at("cost_nanousd").empty() ? 0 : std::stoll(rows[0].at("cost_nanousd"))));
  return rows[0];
}

}  // namespace

TEST_CASE("a client that leaves while the provider thinks pays for its prompt") {
  for (const bool stream : {true, false}) {
    CAPTURE(stream);
    SimWorld world;
    world.serve("anth", 80, [&world](http::Exchange& exchange) -> Task<void> {
      auto slept = co_await sleep_for(world.loop, std::chrono::seconds(100), exchange.stop());
      (void)slept;
    });
    ProxyWorld proxy(world, kConfig);
    const Row row = row_of_leaving(world, proxy, "/v1/messages", asking("m-1", stream), std::chrono::seconds(2));
    CHECK(row.at("usage_estimated") == "1");
    CHECK(row.at("input_tokens") == row.at("counted_tokens"));
    CHECK(row.at("cost_nanousd") == std::to_string(10'000 * std::stoll(row.at("counted_tokens"))));
  }
}

TEST_CASE("a client that leaves before the provider could be reached pays nothing") {
  SimWorld world;
  SimDialer::Site far;
  far.connect_time = std::chrono::seconds(4);
  world.serve("anth", 80, [](http::Exchange&) -> Task<void> { co_return; }, far);
  ProxyWorld proxy(world, kConfig);
  CHECK(row_of_leaving(world, proxy, "/v1/messages", asking("m-1", true), std::chrono::seconds(1)).at("cost_nanousd").empty());
}

TEST_CASE("a client that leaves between the start of a message and its first word pays what the provider has counted") {
  SimWorld world;
  world.serve("anth", 80, sending(world, {anthropic_events("x")[0]}));
  ProxyWorld proxy(world, kConfig);
  const Row row = row_of_leaving(world, proxy, "/v1/messages", asking("m-1", true), std::chrono::seconds(2));
  CHECK(row.at("cost_nanousd") == std::to_string(11 * 10'000 + 100'000));
}

TEST_CASE("what was sent of a stream that the client left is paid for, in either dialect and lane") {
  for (const char* model : {"m-1", "n-1"}) {
    for (const char* path : {"/v1/messages", "/v1/chat/completions"}) {
      CAPTURE(model, path);
      SimWorld world;
      const std::string words(400, 'w');
      std::vector<std::string> anthropic = anthropic_events(words);
      anthropic.resize(3);
      std::vector<std::string> openai = openai_events(words);
      openai.resize(2);
      for (int i = 0; i < 10; ++i) {
        anthropic.push_back(anthropic[2]);
        openai.push_back(openai[1]);
      }
      world.serve("anth", 80, sending(world, anthropic));
      world.serve("oai", 80, sending(world, openai));
      ProxyWorld proxy(world, kConfig);
      const Row row = row_of_leaving(world, proxy, path, asking(model, true), std::chrono::seconds(2));
      CHECK(row.at("usage_estimated") == "1");
      CHECK(std::stoi(row.at("output_tokens")) > 500);   // 4400 bytes
      CHECK(std::stoi(row.at("output_tokens")) < 2500);
    }
  }
}

TEST_CASE("deltas that are written with blanks are counted like others") {
  SimWorld world;
  std::vector<std::string> events = anthropic_events("x");
  events.resize(2);
  for (int i = 0; i < 10; ++i) {
    events.push_back("event: content_block_delta\ndata: {\"type\": \"content_block_delta\", \"index\": 0, \"delta\": {\"type\": \"text_delta\", \"text\": \"" +
                     std::string(400, 'w') + "\"}}\n\n");
  }
  world.serve("anth", 80, sending(world, events));
  ProxyWorld proxy(world, kConfig);
  const Row row = row_of_leaving(world, proxy, "/v1/messages", asking("m-1", true), std::chrono::seconds(2));
  CHECK(std::stoi(row.at("output_tokens")) > 500);
}

TEST_CASE("the end of a stream reaches a client as it was sent, however long its row takes to be written") {
  // The bytes of a read belong to their reader until it waits; writing the row is such a wait.
  SimWorld world;
  world.serve("anth", 80, sending(world, anthropic_events("hello")));
  const std::string config = kConfig;
  ProxyWorld proxy(world, config.substr(0, config.rfind('}')) + R"(,"ledger":{"durable":true}})");
  const auto client = proxy.ask("/v1/messages", asking("m-1", true));
  world.loop.run_for(std::chrono::seconds(5));
  proxy.run();
  std::string all;
  for (const std::string& event : anthropic_events("hello")) all += event;
  CHECK(read_message(client->received()).body == all);
}

TEST_CASE("an answer without its counts costs what is estimated, in its header and in its row") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json",
                                      R"({"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":")" +
                                          std::string(400, 'w') + R"("}],"stop_reason":"end_turn","usage":{"input_tokens":8}})"));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer("/v1/messages", asking("m-1", false));
  const Row row = proxy.rows().at(0);
  CHECK(std::stoll(row.at("output_tokens")) > 50);
  CHECK(row.at("cost_nanousd") == std::to_string(8 * 10'000 + std::stoll(row.at("output_tokens")) * 100'000));
  CHECK(std::stod(answer.field("x-ccrules-cost-usd")) * 1e9 == Approx(std::stod(row.at("cost_nanousd"))));
}

TEST_CASE("a credential's budget is the same wherever its key stands and whatever stands beside it") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json",
                                      R"({"id":"m","type":"message","role":"assistant","model":"m-1","content":[],"stop_reason":"end_turn","usage":{"input_tokens":8,"output_tokens":1}})"));
  const std::string config = kConfig;
  ProxyWorld proxy(world, config.substr(0, config.rfind('}')) + R"(,"listen":{"api_key":"gate-key"}})");
  const auto key_of = [&](const std::string& path, const std::string& headers) {
    CHECK_THAT(proxy.answer(path, asking("m-1", false), headers).first_line, Contains("200"));
    return proxy.rows().back().at("key");
  };
  const std::string plain = key_of("/v1/messages", "x-api-key: gate-key\r\n");
  CHECK_FALSE(plain.empty());
  CHECK(key_of("/v1/messages", "authorization: bearer gate-key\r\n") == plain);
  CHECK(key_of("/v1/messages", "x-api-key: junk-1\r\nauthorization: Bearer gate-key\r\n") == plain);
  CHECK(key_of("/v1/messages?key=gate-key", "") == plain);
}
