#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "async/loop.h"
#include "support/proxy_world.h"
#include "support/scripted_answer.h"

/// A slow attempt gets another one beside it: docs/configuration.md, "What hedging means".
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;
using std::chrono::milliseconds;

namespace {

constexpr const char* kHi = R"({"model":"m-1","max_tokens":20,"messages":[{"role":"user","content":"please count these words"}]})";

std::string asking(bool stream) {
  std::string body = kHi;
  return stream ? body.replace(body.find("\"messages\""), 0, "\"stream\":true,") : body;
}

std::string config_with(const std::string& more = {}, const std::string& of_a = {}) {
  return R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"],"hedge":{"after":"2s"})" + of_a +
         R"(},"b":{"dialect":"anthropic","base_url":"http://b:80","models":["n-*"]},)"
         R"("c":{"dialect":"openai_chat","base_url":"http://c:80/v1","models":["o-*"]}},)"
         R"("prices":{"m-1":{"input":10,"output":100},"n-1":{"input":20,"output":200},"o-1":{"input":30,"output":300}},)"
         R"("fallbacks":{"m-1":["b,n-1","c,o-1"]},"circuit":{"failures":0})" + more + "}";
}

/// A provider that takes its time: until its answer's head, and until the answer has come.
struct Provider {
  SimWorld* world = nullptr;
  std::string says = "hello";
  milliseconds silent{0};
  milliseconds pause{0};      ///< before each event of a stream but the first
  int status = 200;
  int asked = 0;
  int called_off = 0;
  std::vector<std::string> keys;

  void serve(SimWorld& on, const std::string& host) {
    world = &on;
    on.serve(host, 80, [this](http::Exchange& exchange) { return answer(exchange, *this); });
  }
  static Task<void> answer(http::Exchange& exchange, Provider& self) {
    const auto body = co_await exchange.read_body(1 << 20);
    if (!body.ok()) co_return;
    ++self.asked;
    self.keys.emplace_back(exchange.head().headers.get("x-api-key"));
    ScriptedAnswer answer;
    answer.silent = self.silent;
    answer.pause = self.pause;
    answer.status = self.status;
    answer.whole = anthropic_reply(self.says, 11, 7);
    answer.events = anthropic_events(self.says);
    const bool taken = co_await give(self.world->loop, exchange, *body, std::move(answer));
    if (!taken) ++self.called_off;
  }
};

/// Two or three of them in a world, and the proxy before them.
struct Scene {
  explicit Scene(const std::string& config, std::map<std::string, std::string> files = {}) : proxy(world, config, std::move(files)) {
    a.serve(world, "a");
    b.serve(world, "b");
  }
  /// Time does not run on until nothing is left to do.
  Message answer(const std::string& body, milliseconds within, const std::string& headers = {}) {
    client = proxy.ask("/v1/messages", body, headers);
    for (milliseconds passed{0}; passed < within; passed += milliseconds(50)) {
      world.loop.run_for(milliseconds(50));
      proxy.ledger().flush();
    }
    return read_message(client->received());
  }
  Row row() {
    const auto rows = proxy.rows();
    REQUIRE(rows.size() == 1);
    return rows[0];
  }
  SimWorld world;
  ProxyWorld proxy;
  Provider a, b;
  std::unique_ptr<MemoryClient> client;
};

std::int64_t prompt_of(const Row& row) { return std::stoll(row.at("counted_tokens")); }

}  // namespace

TEST_CASE("a slow attempt gets another one beside it, the first that answers wins, and both are paid for in one row") {
  for (const bool stream : {false, true}) {
    CAPTURE(stream);
    Scene scene(config_with());
    scene.a.silent = std::chrono::seconds(30);
    scene.b.says = "from the other";
    const Message answer = scene.answer(asking(stream), milliseconds(2100));
    CHECK_THAT(answer.first_line, Contains("200"));
    CHECK(answer.complete);
    CHECK_THAT(answer.body, Contains("from the other"));
    CHECK(answer.field("x-ccrules-target") == "b,n-1");
    CHECK(answer.field("x-ccrules-attempts") == "2");
    CHECK(scene.a.asked == 1);
    CHECK(scene.a.called_off == 1);  // it need not work for nobody
    const Row row = scene.row();
    CHECK(row.at("provider") == "b");
    CHECK(row.at("attempts") == "2");
    CHECK(row.at("input_tokens") == "11");
    // The first was at work on the prompt when it was called off.
    CHECK(row.at("cost_nanousd") == std::to_string(11 * 20'000 + 7 * 200'000 + prompt_of(row) * 10'000));
    CHECK(scene.proxy.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0) == std::stoll(row.at("cost_nanousd")));
  }
}

TEST_CASE("an attempt that answers in time stays alone, and without hedging all do") {
  Scene quick(config_with());
  quick.a.silent = milliseconds(1900);
  CHECK(quick.answer(asking(false), milliseconds(2100)).field("x-ccrules-attempts") == "1");
  CHECK(quick.b.asked == 0);

  std::string config = config_with();
  config.replace(config.find("2s"), 2, "0s");
  Scene off(config);
  off.a.silent = std::chrono::seconds(30);
  CHECK(off.answer(asking(false), std::chrono::seconds(31)).field("x-ccrules-target") == "a,m-1");
  CHECK(off.b.asked == 0);
}

TEST_CASE("the first may still win: then the other is called off, and what it said of its bill is paid") {
  Scene scene(config_with());
  scene.a.silent = std::chrono::seconds(3);
  scene.b.pause = std::chrono::seconds(5);  // a good head, the start of a message, no content
  const Message answer = scene.answer(asking(true), milliseconds(3200));
  CHECK(answer.field("x-ccrules-target") == "a,m-1");
  CHECK(answer.complete);
  CHECK(scene.b.asked == 1);
  scene.world.loop.run_for(std::chrono::seconds(10));
  CHECK(scene.b.called_off == 1);
  CHECK(scene.row().at("cost_nanousd") == std::to_string(11 * 10'000 + 7 * 100'000 + 11 * 20'000 + 200'000));
}

TEST_CASE("a provider with several keys is asked with the next one, and one without any other target once more") {
  Scene keys(config_with({}, R"(,"api_keys":["one","two"])"));
  keys.a.silent = std::chrono::seconds(5);
  CHECK(keys.answer(asking(false), milliseconds(7200)).field("x-ccrules-target") == "a,m-1");
  CHECK(keys.a.keys == std::vector<std::string>{"one", "two"});
  CHECK(keys.b.asked == 0);

  std::string config = config_with();
  config.replace(config.find("\"m-1\":[\"b,n-1\",\"c,o-1\"]"), 23, "");
  Scene alone(config);
  alone.a.silent = std::chrono::seconds(5);
  CHECK_THAT(alone.answer(asking(false), milliseconds(5200)).body, Contains("hello"));
  CHECK(alone.a.asked == 2);
}

TEST_CASE("what a provider runs itself, keeps, or nobody waits for is not asked twice") {
  const std::string bodies[] = {
      R"({"model":"m-1","max_tokens":20,"tools":[{"type":"web_search_20250305","name":"web_search"}],"messages":[{"role":"user","content":"hi"}]})",
      R"({"model":"m-1","max_tokens":20,"mcp_servers":[{"type":"url","url":"https://x","name":"x"}],"messages":[{"role":"user","content":"hi"}]})",
      R"({"model":"m-1","max_tokens":20,"container":"c_1","messages":[{"role":"user","content":"hi"}]})"};
  for (const std::string& body : bodies) {
    Scene scene(config_with());
    scene.a.silent = std::chrono::seconds(5);
    CHECK(scene.answer(body, milliseconds(5100)).field("x-ccrules-target") == "a,m-1");
    CHECK(scene.b.asked == 0);
  }
}

TEST_CASE("no attempt is made beside another where attempts are used up, limits or budgets have no room, or a circuit is open") {
  const std::string only_one = R"(,"retry":{"max_attempts":1})";
  const std::string limited = R"(,"rate_limits":[{"scope":"all","requests":1,"per":"1m"}])";
  const std::string poor = R"(,"budgets":[{"usd":0.01}])";  // room for one at a time
  for (const std::string& more : {only_one, limited, poor}) {
    CAPTURE(more);
    std::string config = config_with(more);
    config.replace(config.find(",\"c,o-1\""), 8, "");
    Scene scene(config);
    scene.a.silent = std::chrono::seconds(5);
    const Message answer = scene.answer(asking(false), milliseconds(5200));
    CHECK_THAT(answer.first_line, Contains("200"));
    CHECK(answer.field("x-ccrules-target") == "a,m-1");
    CHECK(scene.b.asked == 0);
    CHECK(scene.row().at("cost_nanousd") == std::to_string(11 * 10'000 + 7 * 100'000));
  }

  std::string config = config_with();
  config.replace(config.find("\"failures\":0"), 12, "\"failures\":1");
  config.replace(config.find(",\"c,o-1\""), 8, "");
  Scene scene(config);
  scene.b.status = 529;
  (void)scene.answer(R"({"model":"b,n-1","max_tokens":20,"messages":[{"role":"user","content":"hi"}]})", milliseconds(100));
  CHECK(scene.proxy.tallies().circuits.state("b", scene.world.loop.now_ms()) == "down");
  scene.a.silent = std::chrono::seconds(5);
  (void)scene.answer(asking(false), milliseconds(5200));
  CHECK(scene.b.asked == 1);
  CHECK(scene.a.asked == 2);  // the only one that can be asked
}

TEST_CASE("a hard budget has room for both before the second goes out") {
  Scene scene(config_with(R"(,"budgets":[{"usd":0.03}])"));
  scene.a.silent = std::chrono::seconds(30);
  CHECK(scene.answer(asking(false), milliseconds(2500)).field("x-ccrules-target") == "b,n-1");
  const Row row = scene.row();
  const ledger::Cap cap{"", "", ledger::Span::kDay, 30'000'000};
  CHECK(scene.proxy.tallies().spend.left_nanousd(cap, 1'795'000'000'000'000) == 30'000'000 - std::stoll(row.at("cost_nanousd")));
}

TEST_CASE("when both fail the next target is asked, as far as attempts go, and one answer reaches the client") {
  Scene scene(config_with());
  scene.a.silent = std::chrono::seconds(3);
  scene.a.status = 529;
  scene.b.silent = std::chrono::seconds(2);
  scene.b.status = 529;
  scene.world.script("c", 80, http_stream(openai_events("from the third")));
  const Message answer = scene.answer(asking(true), milliseconds(6000));
  CHECK_THAT(answer.body, Contains("from the third"));
  CHECK(answer.field("x-ccrules-attempts") == "3");
  CHECK(scene.row().at("provider") == "c");
}

TEST_CASE("what the client must mend is told at once, whatever another target might say") {
  Scene scene(config_with());
  scene.a.silent = std::chrono::seconds(3);
  scene.a.status = 400;
  scene.b.silent = std::chrono::seconds(30);
  const Message answer = scene.answer(asking(false), milliseconds(3200));
  CHECK_THAT(answer.first_line, Contains("400"));
  CHECK(scene.row().at("status") == "400");
  CHECK(scene.b.called_off == 1);
}

TEST_CASE("rules judge the answer that won") {
  Scene scene(config_with(R"(,"rules":["r.lua"])"),
              {{"/etc/ccrules/r.lua", "rule \"seen\" { on = \"response\", when = { provider = \"b\", attempt = 2 }, tag = { won = \"b\" } }\n"}});
  scene.a.silent = std::chrono::seconds(30);
  (void)scene.answer(asking(false), milliseconds(2500));
  CHECK(scene.row().at("tags") == R"({"won":"b"})");
}

TEST_CASE("the cache keeps the answer that won and no byte of the other") {
  for (const bool stream : {false, true}) {
    CAPTURE(stream);
    Scene scene(config_with(R"(,"cache":{"enabled":true})", R"(,"api_keys":["one","two"])"));
    scene.a.says = "a few words";
    scene.a.silent = milliseconds(2500);
    scene.a.pause = milliseconds(400);
    const auto late = [&] {
      scene.world.loop.run_for(milliseconds(2200));
      return scene.proxy.ask("/v1/messages", asking(stream));
    };
    const auto first = scene.proxy.ask("/v1/messages", asking(stream));
    const auto second = late();
    scene.world.loop.run_for(std::chrono::seconds(12));
    CHECK(scene.a.asked == 2);
    const Message one = read_message(first->received());
    const Message two = read_message(second->received());
    CHECK(one.complete);
    CHECK(two.complete);
    CHECK_THAT(one.body, Contains("a few words"));
    CHECK(two.field("x-ccrules-cache") == "hit");
    CHECK(one.body == two.body);
    CHECK(scene.answer(asking(stream), milliseconds(100)).field("x-ccrules-cache") == "hit");
    CHECK(scene.a.asked == 2);
  }
}

TEST_CASE("an attempt that timed out is paid for by its prompt, which its provider has read") {
  std::string config = config_with();
  config.replace(config.find("\"hedge\":{\"after\":\"2s\"}"), 22, "\"timeouts\":{\"first_byte\":\"1s\"}");
  Scene scene(config);
  scene.a.silent = std::chrono::seconds(30);
  CHECK(scene.answer(asking(true), milliseconds(1500)).field("x-ccrules-target") == "b,n-1");
  const Row row = scene.row();
  CHECK(row.at("cost_nanousd") == std::to_string(11 * 20'000 + 7 * 200'000 + prompt_of(row) * 10'000));
}

namespace {

/// Answers late or at once, streams, breaks off, is busy: as its dice fall. Never bills more than was asked for.
http::Handler moody(SimWorld& world, std::mt19937& dice, int& asked) {
  return [&world, &dice, &asked](http::Exchange& exchange) {
    ++asked;
    const auto roll = [&dice](unsigned sides) { return static_cast<unsigned>(dice() % sides); };
    const unsigned mood = roll(8);
    ScriptedAnswer answer;
    answer.silent = milliseconds(roll(20));
    answer.pause = milliseconds(roll(4));
    answer.status = mood == 0 ? 529 : 200;
    answer.hangs_up = mood == 1;
    answer.whole = anthropic_reply("hi", 11, 7);
    answer.events = anthropic_events("w");
    if (mood == 2) answer.breaks_off_after = 3;
    return answer_with(world.loop, exchange, std::move(answer));
  };
}

}  // namespace

TEST_CASE("requests that are asked twice overspend no hard budget, killed in the middle or not, and each has one row") {
  constexpr std::int64_t kCap = 100'000'000;
  for (const bool killed : {false, true}) {
    for (const int count : {50, 200, 1000}) {
      CAPTURE(killed, count);
      std::mt19937 dice(static_cast<unsigned>(count));
      int asked_a = 0;
      int asked_b = 0;
      SimWorld world;
      world.serve("a", 80, moody(world, dice, asked_a));
      world.serve("b", 80, moody(world, dice, asked_b));
      std::string config = config_with(R"(,"budgets":[{"usd":0.1}])");
      config.replace(config.find("2s"), 2, "5ms");
      config.replace(config.find(",\"c,o-1\""), 8, "");
      ProxyWorld first(world, config);
      std::unique_ptr<ProxyWorld> second;
      std::vector<std::unique_ptr<MemoryClient>> clients;
      for (int i = 0; i < count; ++i) {
        if (killed && i == count / 2) {
          first.ledger().flush();
          second = std::make_unique<ProxyWorld>(world, config, std::map<std::string, std::string>(), first.crash());
        }
        clients.push_back((second ? *second : first).ask("/v1/messages", asking(dice() % 2 == 0)));
        if (dice() % 3 == 0) world.loop.run_for(milliseconds(1 + dice() % 5));
        if (dice() % 8 == 0) clients[dice() % clients.size()]->leave();
      }
      ProxyWorld& proxy = second ? *second : first;
      if (second) first.run();
      proxy.run();
      const auto rows = proxy.rows();
      if (!killed) CHECK(rows.size() == static_cast<std::size_t>(count));
      std::set<std::string> ids;
      for (const Row& row : rows) ids.insert(row.at("id"));
      CHECK(ids.size() == rows.size());
      CHECK(settled(rows) <= kCap);
      CHECK(settled(rows) > kCap / 10);
      CHECK(proxy.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0) == settled(rows));
      const ledger::Cap cap{"", "", ledger::Span::kDay, kCap};
      CHECK(proxy.tallies().spend.left_nanousd(cap, 1'795'000'000'000'000) == kCap - settled(rows));  // nothing stays set aside
      CHECK(asked_b > 0);
    }
  }
}
