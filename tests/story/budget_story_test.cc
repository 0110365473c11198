#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <catch2/catch.hpp>

#include "support/proxy_world.h"
#include "support/scripted_answer.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

/// $10 and $100 per million tokens; the second target is dearer. 20 output tokens cost 2 000 000 nano-USD at the first.
std::string config_with(const std::string& budgets, const std::string& more = {}) {
  return R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]},)"
         R"("b":{"dialect":"anthropic","base_url":"http://b:80","models":["n-*"]}},)"
         R"("prices":{"m-1":{"input":10,"output":100},"n-1":{"input":20,"output":200}},)"
         R"("fallbacks":{"m-*":["b,n-1"]},"circuit":{"failures":0},"budgets":)" +
         budgets + more + "}";
}

std::string asking(bool stream, std::string_view model = "m-1", int max_tokens = 20) {
  return "{\"model\":\"" + std::string(model) + "\",\"max_tokens\":" + std::to_string(max_tokens) +
         ",\"stream\":" + (stream ? "true" : "false") + ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
}

std::string whole(int output_tokens, int input_tokens = 8) { return anthropic_reply("hello", input_tokens, output_tokens); }

/// Whether a request to m-1 is served within a budget that nothing was spent of.
bool fits(const std::string& body, const std::string& prices, const std::string& usd, const std::string& rules = {}) {
  SimWorld world;
  world.script("a", 80, http_reply(200, "application/json", whole(5)));
  ProxyWorld proxy(world,
                   R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]}},"rules":["r.lua"],"prices":)" + prices +
                       R"(,"budgets":[{"usd":)" + usd + "}]}",
                   {{"/etc/ccrules/r.lua", rules}});
  const std::string status = proxy.answer("/v1/messages", body).first_line.substr(9, 3);
  CHECK((status == "200" || status == "429"));
  return status == "200";
}

/// An Anthropic provider that answers, streams, breaks off or refuses, as its dice fall; never with more than was asked for.
http::Handler moody(SimWorld& world, std::mt19937& dice, int& asked) {
  return [&world, &dice, &asked](http::Exchange& exchange) {
    ++asked;
    const auto mood = dice() % 6;
    ScriptedAnswer answer;
    answer.status = mood == 0 ? 529 : 200;
    answer.whole = whole(1 + static_cast<int>(dice() % 20));
    answer.events = anthropic_events("some words");
    if (mood == 1) answer.breaks_off_after = 4;
    return answer_with(world.loop, exchange, std::move(answer));
  };
}

}  // namespace

TEST_CASE("a budget of project:* is each project's own") {
  SimWorld world;
  for (int i = 0; i < 20; ++i) world.script("a", 80, http_reply(200, "application/json", whole(20)));
  ProxyWorld proxy(world, config_with(R"([{"scope":"project:*","usd":0.02}])"));
  const auto status = [&](const std::string& project) {
    return proxy.answer("/v1/messages", asking(false), "x-ccrules-project: " + project + "\r\n").first_line.substr(9, 3);
  };
  int served = 0;
  while (served < 20 && status("web") == "200") ++served;
  CHECK((served > 2 && served < 10));
  CHECK(status("web") == "429");
  CHECK(status("api") == "200");
}

TEST_CASE("however many requests come at once, and however they end, a hard budget is never overspent") {
  constexpr std::int64_t kCap = 50'000'000;  // $0.05: some 25 requests
  for (const unsigned seed : {1u, 2u, 3u}) {
    for (const int count : {50, 300}) {
      CAPTURE(seed, count);
      std::mt19937 dice(seed);
      int asked = 0;
      SimWorld world;
      world.serve("a", 80, moody(world, dice, asked));
      world.serve("b", 80, moody(world, dice, asked));
      ProxyWorld proxy(world, config_with(R"([{"scope":"all","usd":0.05,"per":"day"},{"scope":"session","usd":0.04}])"));
      std::vector<std::unique_ptr<MemoryClient>> clients;
      for (int i = 0; i < count; ++i) {
        clients.push_back(proxy.ask("/v1/messages", asking(dice() % 2 == 0), "x-ccrules-session: s" + std::to_string(i % 3) + "\r\n"));
        if (dice() % 4 == 0) world.loop.run_for(std::chrono::milliseconds(1));
        if (dice() % 8 == 0) clients[dice() % clients.size()]->leave();
      }
      proxy.run();
      const auto rows = proxy.rows();
      CHECK(rows.size() == static_cast<std::size_t>(count));
      CHECK(distinct_ids(rows) == rows.size());
      CHECK(settled(rows) <= kCap);
      CHECK(settled(rows) > 0);
      std::map<std::string, std::int64_t> by_session;
      for (const Row& row : rows) {
        by_session[row.at("session")] += cost_of(row);
      }
      for (const auto& [session, spent] : by_session) CHECK(spent <= 40'000'000);
      CHECK(proxy.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0) == settled(rows));
      const ledger::Cap cap{"", "", ledger::Span::kDay, kCap};
      CHECK(proxy.tallies().spend.left_nanousd(cap, 1'795'000'000'000'000) == kCap - settled(rows));  // nothing stays set aside
    }
  }
}

TEST_CASE("a proxy that is killed in the middle has spent, after its restart, what its requests under way may have cost") {
  constexpr std::int64_t kCap = 50'000'000;
  for (int steps = 0; steps < 12; ++steps) {
    CAPTURE(steps);
    std::mt19937 dice(7);
    int asked = 0;
    SimWorld world;
    world.serve("a", 80, moody(world, dice, asked));
    world.serve("b", 80, moody(world, dice, asked));
    const std::string config = config_with(R"([{"scope":"all","usd":0.05,"per":"day"}])");
    ProxyWorld first(world, config);
    std::vector<std::unique_ptr<MemoryClient>> clients;
    for (int i = 0; i < 40; ++i) clients.push_back(first.ask("/v1/messages", asking(i % 2 == 0)));
    for (int i = 0; i < steps; ++i) {
      world.loop.run_for(std::chrono::milliseconds(0));
      first.ledger().flush();
    }
    const int asked_before = asked;
    const std::string left = first.crash();
    ProxyWorld second(world, config, {}, left);
    for (int i = 0; i < 60; ++i) clients.push_back(second.ask("/v1/messages", asking(i % 2 == 0)));
    second.run();
    const auto rows = second.rows();
    CHECK(distinct_ids(rows) == rows.size());
    CHECK(settled(rows) <= kCap);
    const auto lost = std::count_if(rows.begin(), rows.end(), [](const Row& row) { return row.at("error").find("was killed") != std::string::npos; });
    const auto told = std::count_if(rows.begin(), rows.end(), [](const Row& row) { return row.at("status") == "200"; });
    CHECK((asked_before == 0 || lost + told > 0));
  }
}

TEST_CASE("what a request may cost at most is on the disk before the provider is asked") {
  SimWorld world;
  bool held = false;
  ProxyWorld* proxy = nullptr;
  std::string copy;
  world.serve("a", 80, [&](http::Exchange& exchange) -> Task<void> {
    copy = proxy->crash();
    held = true;
    const http::Headers none;
    const std::string reply = whole(5);
    auto sent = co_await exchange.send(200, none, reply);
    (void)sent;
  });
  ProxyWorld here(world, config_with(R"([{"usd":1}])"));
  proxy = &here;
  const Message answer = here.answer("/v1/messages", asking(false));
  CHECK_THAT(answer.first_line, Contains("200"));
  REQUIRE(held);
  ProxyWorld after(world, config_with(R"([{"usd":1}])"), {}, copy);
  const auto rows = after.rows();
  REQUIRE(rows.size() == 1);
  CHECK_THAT(rows[0].at("error"), Contains("killed while this request was under way"));
  CHECK(rows[0].at("usage_estimated") == "1");
  CHECK(after.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0) == std::stoll(rows[0].at("cost_nanousd")));
  CHECK(std::stoll(rows[0].at("cost_nanousd")) >= 20 * 200'000);  // at the dearest target's price
  const auto done = here.rows();
  REQUIRE(done.size() == 1);
  CHECK(done[0].at("cost_nanousd") == std::to_string(8 * 10'000 + 5 * 100'000));
}

TEST_CASE("a stream that sends more than was asked for is cut where its budget ends") {
  SimWorld world;
  world.serve("a", 80, [&world](http::Exchange& exchange) -> Task<void> {
    http::Headers headers;
    headers.add("content-type", "text/event-stream");
    exchange.start(200, headers);
    const std::vector<std::string> events = anthropic_events(std::string(400, 'w'));
    for (int i = 0; i < 400; ++i) {
      auto sent = co_await exchange.write(events[static_cast<std::size_t>(std::min(i, 2))]);
      if (!sent.ok()) co_return;
      auto slept = co_await sleep_for(world.loop, std::chrono::milliseconds(1), exchange.stop());
      if (!slept.ok()) co_return;
    }
    auto sent = co_await exchange.finish(events[5]);
    (void)sent;
  });
  ProxyWorld proxy(world, config_with(R"([{"usd":0.5}])"));
  const Message answer = proxy.answer("/v1/messages", asking(true));
  CHECK_THAT(answer.body, Contains("event: error") && Contains("billing_error") && Contains("was cut here") && !Contains("message_stop"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK_THAT(rows[0].at("error"), Contains("billing_error"));
  CHECK(answer.body.size() < 60'000);
  CHECK(rows[0].at("usage_estimated") == "1");  // what it had sent by then is billed, not the one token it spoke of at its start
  CHECK(std::stoll(rows[0].at("cost_nanousd")) > 400'000'000);
}

TEST_CASE("while the ledger cannot be written hard budgets refuse, and what has none is served") {
  SimWorld world;
  world.script("a", 80, http_reply(200, "application/json", whole(5)));
  ProxyWorld proxy(world, config_with(R"([{"scope":"project:web","usd":1}])"));
  proxy.ledger().flush();  // it says once that it has nothing to add up
  proxy.tallies().spend.known_since(ledger::Spend::kNever);
  const Message refused = proxy.answer("/v1/messages", asking(false), "x-ccrules-project: web\r\n");
  CHECK_THAT(refused.first_line, Contains("503"));
  CHECK_THAT(refused.body, Contains("still being added up"));
  CHECK(refused.field("retry-after") == "5");
  CHECK_THAT(proxy.answer("/v1/messages", asking(false), "x-ccrules-project: api\r\n").first_line, Contains("200"));
}

TEST_CASE("budgets of credentials, subagent trees and tags count what belongs to them") {
  SimWorld world;
  world.script("a", 80, http_reply(200, "application/json", whole(5)));
  ProxyWorld proxy(world, config_with(R"([{"scope":"subagent","usd":0.01},{"scope":"key","usd":0.012},{"scope":"tag:team=core","usd":0.011}])",
                                      R"(,"rules":["r.lua"])"),
                   {{"/etc/ccrules/r.lua", "rule \"tags\" { when = { project = \"web\" }, tag = { team = \"core\" } }\n"
                                           "rule \"pays\" { when = { project = \"lab\" }, budget = \"tag:team=core\" }\n"}});
  const auto ask = [&proxy](const std::string& headers) { return proxy.answer("/v1/messages", asking(false), headers); };
  // 8 input and 5 output tokens cost 580 000; the worst case of a request is 20 output tokens at the dearest target: some 4.2 million
  const auto served = [&ask](const std::string& headers) {
    int count = 0;
    while (count < 50 && ask(headers).first_line.find("200") != std::string::npos) ++count;
    return count;
  };
  const int of_agent = served("x-claude-code-agent-id: a1\r\n");
  CHECK(of_agent > 5);
  CHECK(of_agent < 18);
  const Message nested = ask("x-claude-code-agent-id: a2\r\nx-claude-code-parent-agent-id: a1\r\n");
  CHECK_THAT(nested.first_line, Contains("429"));
  CHECK_THAT(nested.body, Contains("subagent 'a1'"));
  CHECK(served("x-claude-code-agent-id: b1\r\n") == of_agent);
  CHECK(served("x-api-key: someone\r\n") > of_agent);
  CHECK(served("x-api-key: someone else\r\n") > of_agent);
  const int of_team = served("x-ccrules-project: web\r\n");
  CHECK(of_team > of_agent);
  CHECK_THAT(ask("x-ccrules-project: lab\r\n").body, Contains("tag 'team=core'"));
  CHECK_THAT(proxy.rows().at(0).at("key").empty() ? "none" : "some", Contains("none"));
}

TEST_CASE("an answer that a rule did not want counts all the same") {
  SimWorld world;
  world.script("a", 80, http_reply(200, "application/json",
                                   R"({"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[],"stop_reason":"refusal",)"
                                   R"("stop_sequence":null,"usage":{"input_tokens":8,"output_tokens":1}})"));
  world.script("b", 80, http_reply(200, "application/json", whole(5)));
  ProxyWorld proxy(world, config_with(R"([{"usd":1}])", R"(,"rules":["r.lua"])"),
                   {{"/etc/ccrules/r.lua", "rule \"refused\" { on = \"response\", when = { stop_reason = \"refusal\" }, next_fallback = true }\n"}});
  const Message answer = proxy.answer("/v1/messages", asking(false));
  CHECK_THAT(answer.body, Contains("hello"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("cost_nanousd") == std::to_string(8 * 10'000 + 100'000 + 8 * 20'000 + 5 * 200'000));
}

TEST_CASE("a rate limit refuses with the moment from which there is room again") {
  SimWorld world;
  world.script("a", 80, http_reply(200, "application/json", whole(5)));
  ProxyWorld proxy(world, config_with("[]", R"(,"rate_limits":[{"scope":"session","requests":3,"per":"30s"}])"));
  const auto ask = [&](const std::string& session) {
    const auto client = proxy.ask("/v1/messages", asking(false), "x-ccrules-session: " + session + "\r\n");
    world.loop.run_for(std::chrono::milliseconds(1));
    return read_message(client->received());
  };
  for (int i = 0; i < 3; ++i) CHECK_THAT(ask("s1").first_line, Contains("200"));
  const Message refused = ask("s1");
  CHECK_THAT(refused.first_line, Contains("429"));
  CHECK_THAT(refused.body, Contains("rate_limit_error") && Contains("session 's1'"));
  CHECK(refused.field("retry-after") == "10");
  CHECK(refused.field("anthropic-ratelimit-requests-limit") == "3");
  CHECK(refused.field("anthropic-ratelimit-requests-remaining") == "0");
  CHECK_THAT(ask("s2").first_line, Contains("200"));
  world.loop.run_for(std::chrono::seconds(10));
  CHECK_THAT(ask("s1").first_line, Contains("200"));
  CHECK_THAT(ask("s1").first_line, Contains("429"));
}

TEST_CASE("a rate limit of 0 says that nothing is allowed, at once, and names no time to come again") {
  for (const std::string zero : {"requests", "tokens", "concurrent"}) {
    CAPTURE(zero);
    SimWorld world;
    ProxyWorld proxy(world, config_with("[]", R"(,"rate_limits":[{"scope":"session","requests":1,"wait":"60s"},{"scope":"project:web",")" + zero +
                                                  R"(":0,"wait":"60s"}])"));
    const auto client = proxy.ask("/v1/messages", asking(false), "x-ccrules-project: web\r\nx-ccrules-session: s\r\n");
    world.loop.run_for(std::chrono::milliseconds(1));
    const Message refused = read_message(client->received());
    CHECK_THAT(refused.first_line, Contains("429"));
    CHECK_THAT(refused.body, Contains("the rate limit of project 'web' allows nothing (`" + zero + "` is 0); raise `rate_limits` in ccrules.json"));
    CHECK_THAT(refused.body, Contains("rate_limit_error"));
    CHECK(refused.field("retry-after").empty());
    CHECK(refused.field("x-should-retry") == "false");
    CHECK(refused.field("anthropic-ratelimit-" + zero + "-reset").empty());
  }
}

TEST_CASE("tokens of answers count when they are known") {
  SimWorld world;
  world.script("a", 80, http_reply(200, "application/json", whole(990, 10)));
  ProxyWorld proxy(world, config_with("[]", R"(,"rate_limits":[{"scope":"project:web","tokens":1000,"per":"100s"},{"concurrent":2}])"));
  const auto ask = [&](const std::string& project) {
    const auto client = proxy.ask("/v1/messages", asking(false), "x-ccrules-project: " + project + "\r\n");
    world.loop.run_for(std::chrono::milliseconds(1));
    return read_message(client->received());
  };
  CHECK_THAT(ask("web").first_line, Contains("200"));
  const Message refused = ask("web");
  CHECK_THAT(refused.first_line, Contains("429"));
  CHECK(std::stoi(refused.field("retry-after")) <= 3);  // room for this small prompt, not for all of it
  CHECK_THAT(ask("api").first_line, Contains("200"));
}

TEST_CASE("requests that may wait for their turn get it in the order they came") {
  SimWorld world;
  int asked = 0;
  world.serve("a", 80, [&asked](http::Exchange& exchange) -> Task<void> {
    const http::Headers none;
    const std::string reply = whole(++asked);
    auto sent = co_await exchange.send(200, none, reply);
    (void)sent;
  });
  ProxyWorld proxy(world, config_with("[]", R"(,"rate_limits":[{"requests":1,"per":"10s","wait":"25s"}])"));
  std::vector<std::unique_ptr<MemoryClient>> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(proxy.ask("/v1/messages", asking(false)));
  world.loop.run_for(std::chrono::seconds(1));
  CHECK(asked == 1);
  world.loop.run_for(std::chrono::seconds(10));
  CHECK(asked == 2);
  world.loop.run_for(std::chrono::seconds(10));
  CHECK(asked == 3);
  CHECK_THAT(clients[1]->received(), Contains("\"output_tokens\":2"));
  CHECK_THAT(clients[2]->received(), Contains("\"output_tokens\":3"));
  world.loop.run_for(std::chrono::seconds(10));
  CHECK_THAT(clients[3]->received(), Contains("429"));
}

TEST_CASE("several answers to one request are set aside, each of them") {
  SimWorld world;
  int asked = 0;
  world.serve("a", 80, [&asked](http::Exchange& exchange) -> Task<void> {
    ++asked;
    const http::Headers none;
    auto sent = co_await exchange.send(200, none, R"({"id":"c","object":"chat.completion","model":"m-1","choices":[]})");
    (void)sent;
  });
  // 100 tokens cost 10 000 000 nano-USD: two of them fit.
  ProxyWorld proxy(world, R"({"providers":{"a":{"dialect":"openai_chat","base_url":"http://a:80/v1","models":["m-*"]}},)"
                          R"("prices":{"m-1":{"input":10,"output":100}},"budgets":[{"usd":0.022}]})");
  const auto asking_for = [&](const std::string& n) {
    return proxy.answer("/v1/chat/completions", R"({"model":"m-1","max_tokens":100,)" + n + R"("messages":[{"role":"user","content":"hi"}]})");
  };
  CHECK_THAT(asking_for(R"("n":3,)").first_line, Contains("429"));
  CHECK(asked == 0);
  CHECK_THAT(asking_for(R"("n":2,)").first_line, !Contains("429"));
  CHECK(asked == 1);
}

TEST_CASE("a prompt that may be kept an hour is set aside at that price where there is one, however long and however written") {
  // $10 per million tokens, $20 where the prompt is kept an hour; some 6200 bytes are $0.062 or $0.124 and the output $0.002.
  const std::string marks[] = {"", R"("cache_control":{"type":"ephemeral","ttl":"1h"},)", R"("cache_control":{"type":"ephemeral","ttl":"1\u0068"},)",
                               R"("cache_control":{"type":"ephemeral","tt\u006c":"1h"},)"};
  for (const bool has_price : {false, true}) {
    for (const std::size_t size : {std::size_t{100}, std::size_t{6000}}) {
      for (const std::string& mark : marks) {
        CAPTURE(has_price, size, mark);
        const std::string price = has_price ? R"({"input":10,"output":100,"cache_write_5m":10,"cache_write_1h":20})"
                                            : R"({"input":10,"output":100})";
        const std::string body = R"({"model":"m-1","max_tokens":20,"messages":[{"role":"user","content":[{"type":"text",)" + mark +
                                 R"("text":")" + std::string(size, 'x') + R"("}]}]})";
        CHECK(fits(body, R"({"m-1":)" + price + "}", size == 100 ? "0.007" : "0.08") == (!has_price || mark.empty()));
      }
    }
  }
}

TEST_CASE("a rule that asks for a dearer service tier takes its price from the budget") {
  // 20 tokens of output are $0.002, at the tier $0.02; the prompt is less than $0.003, and $0.01 is there.
  const std::string prices = R"({"m-1":{"input":10,"output":100},"m-1@priority":{"output":1000}})";
  const std::string body = R"({"model":"m-1","max_tokens":20,"service_tier":"standard_only","messages":[{"role":"user","content":"hi"}]})";
  CHECK(fits(body, prices, "0.01"));
  CHECK_FALSE(fits(body, prices, "0.01", "rule \"soon\" { set = { service_tier = \"priority\" } }\n"));
}

TEST_CASE("with fair, requests that wait take turns by session") {
  SimWorld world;
  std::vector<std::string> served;
  world.serve("a", 80, [&served](http::Exchange& exchange) -> Task<void> {
    served.emplace_back(exchange.head().headers.get("x-from"));
    const http::Headers none;
    const std::string reply = whole(1);
    auto sent = co_await exchange.send(200, none, reply);
    (void)sent;
  });
  ProxyWorld proxy(world, config_with("[]", R"(,"rate_limits":[{"requests":1,"per":"10s","wait":"100s","fair":true}])"));
  std::vector<std::unique_ptr<MemoryClient>> clients;
  const auto ask = [&](const std::string& session, const std::string& name) {
    clients.push_back(proxy.ask("/v1/messages", asking(false), "x-session-id: " + session + "\r\nx-from: " + name + "\r\n"));
    world.loop.run_for(std::chrono::milliseconds(1));
  };
  for (const char* name : {"a1", "a2", "a3", "a4"}) ask("a", name);
  ask("b", "b1");
  ask("b", "b2");
  ask("c", "c1");
  world.loop.run_for(std::chrono::seconds(90));
  CHECK(served == std::vector<std::string>{"a1", "a2", "b1", "c1", "a3", "b2", "a4"});
}
