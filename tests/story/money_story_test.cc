#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "core/limits.h"
#include "support/proxy_world.h"
#include "support/scripted_answer.h"

/// Hard budgets against providers whose bills are not what was estimated.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

/// Nano-USD a token at each of the providers, the dearest last.
constexpr std::int64_t kInput[] = {10'000, 20'000, 30'000};
constexpr std::int64_t kOutput[] = {100'000, 200'000, 300'000};

std::string config_with(const std::string& budgets, const std::string& more = {}) {
  return R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]},)"
         R"("b":{"dialect":"openai_chat","base_url":"http://b:80/v1","models":["n-*"]},)"
         R"("c":{"dialect":"anthropic","base_url":"http://c:80","models":["o-*"]}},)"
         R"("prices":{"m-1":{"input":10,"output":100},"n-1":{"input":20,"output":200},"o-1":{"input":30,"output":300}},)"
         R"("fallbacks":{"m-1":["b,n-1","c,o-1"]},"retry":{"base":"10ms"},"circuit":{"failures":0},"budgets":)" +
         budgets + more + "}";
}

std::string usd(std::int64_t nanousd) {
  std::string digits = std::to_string(nanousd);
  digits.insert(0, digits.size() < 10 ? 10 - digits.size() : 0, '0');
  digits.insert(digits.size() - 9, ".");
  return digits;
}

std::string asking(bool stream, int max_tokens, const std::string& words) {
  std::string quoted;
  json::Writer writer(quoted);
  writer.string(words);
  return R"({"model":"m-1","max_tokens":)" + std::to_string(max_tokens) + R"(,"stream":)" + (stream ? "true" : "false") +
         R"(,"messages":[{"role":"user","content":)" + quoted + "}]}";
}

/// Words that byte counts say little about.
std::string odd_words(std::mt19937& dice) {
  const std::string kinds[] = {"word ", "\n\n\t", "漢字", "😀", "0x9f3b", "{\"a\":[1,2]}", "zqxj", "     "};
  std::string words;
  const std::string& kind = kinds[dice() % std::size(kinds)];
  for (auto i = dice() % 150; i > 0; --i) words += dice() % 4 == 0 ? kinds[dice() % std::size(kinds)] : kind;
  return words;
}

std::string with_number(std::string text, const std::string& name, std::int64_t number) {
  const std::size_t at = text.find("\"" + name + "\":");
  if (at == std::string::npos) return text;
  const std::size_t from = at + name.size() + 3;
  return text.replace(from, text.find_first_not_of("0123456789", from) - from, std::to_string(number));
}

std::int64_t number_in(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("\"" + name + "\":");
  return at == std::string::npos ? 0 : std::stoll(text.substr(at + name.size() + 3));
}

/// A provider that bills a prompt as anything up to one token a byte and an answer as anything up to what was asked for: it
/// answers whole or streams, is busy, breaks off before or behind its first words, or is slow.
struct Biller {
  SimWorld* world = nullptr;
  std::mt19937* dice = nullptr;
  std::size_t who = 0;
  bool anthropic = true;
  std::int64_t billed_nanousd = 0;  ///< for answers that came to their end
  int asked = 0;

  unsigned roll(unsigned sides) { return static_cast<unsigned>((*dice)() % sides); }

  static Task<void> answer(http::Exchange& exchange, Biller& self) {
    const auto body = co_await exchange.read_body(1 << 20);
    if (!body.ok()) co_return;
    ++self.asked;
    const unsigned mood = self.roll(8);
    ScriptedAnswer answer;
    answer.status = mood == 0 ? 529 : 200;
    answer.hangs_up = mood == 1;
    if (mood == 2 || mood == 3) answer.breaks_off_after = mood;
    answer.silent = std::chrono::milliseconds(self.roll(20));
    answer.pause = std::chrono::milliseconds(self.roll(4));
    constexpr std::size_t kAround = 80;  // bytes of JSON that are no words, at the least
    const auto input = static_cast<std::int64_t>(1 + self.roll(static_cast<unsigned>(std::max(body->size(), kAround + 1) - kAround)));
    const std::int64_t asked_for = std::max<std::int64_t>(number_in(*body, "max_tokens"), number_in(*body, "max_completion_tokens"));
    const auto output = static_cast<std::int64_t>(1 + self.roll(static_cast<unsigned>(asked_for)));
    answer.whole =
        self.anthropic
            ? anthropic_reply("hello", input, output)
            : R"({"id":"c1","object":"chat.completion","created":1,"model":"n-1","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},)"
              R"("finish_reason":"stop"}],"usage":{"prompt_tokens":)" + std::to_string(input) + ",\"completion_tokens\":" + std::to_string(output) + "}}";
    for (const std::string& event : self.anthropic ? anthropic_events("w") : openai_events("w")) {
      std::string text = with_number(with_number(event, "input_tokens", input), "prompt_tokens", input);
      if (!answer.events.empty()) text = with_number(text, "output_tokens", output);
      answer.events.push_back(with_number(text, "completion_tokens", output));
    }
    const bool taken = co_await give(self.world->loop, exchange, *body, std::move(answer));
    if (taken && mood != 0) self.bill(input, output);
  }

  void bill(std::int64_t input, std::int64_t output) { billed_nanousd += input * kInput[who] + output * kOutput[who]; }
};

std::string refusal(int input_tokens) {
  return R"({"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[],"stop_reason":"refusal","stop_sequence":null,)"
         R"("usage":{"input_tokens":)" + std::to_string(input_tokens) + R"(,"output_tokens":1}})";
}

/// Lets time pass, but not until nothing is left to do.
Message answer_soon(SimWorld& world, ProxyWorld& proxy, const std::string& path, const std::string& body, const std::string& headers = {}) {
  const auto client = proxy.ask(path, body, headers);
  for (int i = 0; i < 20; ++i) {
    world.loop.run_for(std::chrono::milliseconds(50));
    proxy.ledger().flush();
  }
  return read_message(client->received());
}

}  // namespace

TEST_CASE("however far bills are from estimates, and however requests end, no hard budget is overspent and each request has one row") {
  constexpr std::int64_t kCap = 700'000'000;
  constexpr std::int64_t kOfSession = 300'000'000;
  for (const unsigned seed : {1u, 2u, 3u, 4u}) {
    for (const int count : {50, 200, 1000}) {
      if (count == 1000 && seed > 1) continue;
      CAPTURE(seed, count);
      std::mt19937 dice(seed);
      SimWorld world;
      Biller billers[3];
      for (std::size_t i = 0; i < 3; ++i) {
        billers[i] = {&world, &dice, i, i != 1};
        world.serve(std::string(1, static_cast<char>('a' + i)), 80, [&billers, i](http::Exchange& exchange) { return Biller::answer(exchange, billers[i]); });
      }
      ProxyWorld proxy(world, config_with(R"([{"usd":)" + usd(kCap) + R"(,"per":"day"},{"scope":"session","usd":)" + usd(kOfSession) + "}]"));
      std::vector<std::unique_ptr<MemoryClient>> clients;
      for (int i = 0; i < count; ++i) {
        clients.push_back(proxy.ask("/v1/messages", asking(dice() % 2 == 0, 1 + static_cast<int>(dice() % 100), odd_words(dice)),
                                    "x-ccrules-session: s" + std::to_string(i % 4) + "\r\n"));
        if (dice() % 3 == 0) world.loop.run_for(std::chrono::milliseconds(1 + dice() % 5));
        if (seed % 2 == 1 && dice() % 8 == 0) clients[dice() % clients.size()]->leave();
      }
      proxy.run();
      const auto rows = proxy.rows();
      CHECK(rows.size() == static_cast<std::size_t>(count));
      std::set<std::string> ids;
      std::map<std::string, std::int64_t> by_session;
      for (const Row& row : rows) {
        ids.insert(row.at("id"));
        by_session[row.at("session")] += cost_of(row);
      }
      CHECK(ids.size() == rows.size());
      CHECK(settled(rows) <= kCap);
      CHECK(settled(rows) > kCap / (count == 50 ? 20 : 4));  // it is of use
      for (const auto& [session, spent] : by_session) CHECK(spent <= kOfSession);
      // Where every client waits for its answer, what providers bill for those that came to an end is in the rows to the last cent.
      if (seed % 2 == 0) CHECK(billers[0].billed_nanousd + billers[1].billed_nanousd + billers[2].billed_nanousd <= settled(rows));
      CHECK(proxy.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0) == settled(rows));
      const ledger::Cap cap{"", "", ledger::Span::kDay, kCap};
      CHECK(proxy.tallies().spend.left_nanousd(cap, 1'795'000'000'000'000) == kCap - settled(rows));
    }
  }
}

TEST_CASE("what a rule threw away stays covered on the way to the second fallback") {
  const std::string body = asking(false, 20, "hi");
  const std::int64_t worst_at_c = (static_cast<std::int64_t>(body.size()) + 64) * kInput[2] + 20 * kOutput[2];
  const std::int64_t thrown_away = 8 * kInput[0] + kOutput[0];
  for (const bool enough : {false, true}) {
    CAPTURE(enough);
    SimWorld world;
    world.script("a", 80, http_reply(200, "application/json", refusal(8)));
    world.script("b", 80, http_reply(503, "application/json", R"({"error":{"message":"down"}})"));
    int asked_c = 0;
    world.serve("c", 80, [&asked_c](http::Exchange& exchange) -> Task<void> {
      ++asked_c;
      const http::Headers none;
      auto sent = co_await exchange.send(200, none, refusal(8));
      (void)sent;
    });
    ProxyWorld proxy(world, config_with(R"([{"usd":)" + usd(worst_at_c + thrown_away - (enough ? 0 : 1)) + "}]", R"(,"rules":["r.lua"])"),
                     {{"/etc/ccrules/r.lua", "rule \"refused\" { on = \"response\", when = { stop_reason = \"refusal\" }, next_fallback = true }\n"}});
    const Message answer = answer_soon(world, proxy, "/v1/messages", body);
    CHECK_THAT(answer.first_line, Contains(enough ? "200" : "429"));
    CHECK(asked_c == (enough ? 1 : 0));
    const auto rows = proxy.rows();
    REQUIRE(rows.size() == 1);
    CHECK(cost_of(rows[0]) == thrown_away + (enough ? 8 * kInput[2] + kOutput[2] : 0));
  }
}

TEST_CASE("a model whose answer a rule threw away has not thought in the conversation") {
  SimWorld world;
  world.script("a", 80, http_reply(200, "application/json", refusal(8)));
  const std::string thought = R"([{"type":"thinking","thinking":"of c","signature":"T2ZD"},{"type":"text","text":"yes"}])";
  std::string seen_by_c;
  world.serve("c", 80, [&](http::Exchange& exchange) -> Task<void> {
    auto body = co_await exchange.read_body(1 << 20);
    if (body.ok()) seen_by_c = *body;
    const http::Headers none;
    const std::string reply = R"({"id":"msg_2","type":"message","role":"assistant","model":"o-1","content":)" + thought +
                              R"(,"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":8,"output_tokens":5}})";
    auto sent = co_await exchange.send(200, none, reply);
    (void)sent;
  });
  ProxyWorld proxy(world, R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]},)"
                          R"("c":{"dialect":"anthropic","base_url":"http://c:80","models":["o-*"]}},"fallbacks":{"m-1":["c,o-1"]},"rules":["r.lua"]})",
                   {{"/etc/ccrules/r.lua", "rule \"refused\" { on = \"response\", when = { stop_reason = \"refusal\" }, next_fallback = true }\n"}});
  std::string messages = R"({"role":"user","content":"may I?"})";
  for (int turn = 0; turn < 4; ++turn) {
    CAPTURE(turn);
    const Message answer = answer_soon(world, proxy, "/v1/messages", R"({"model":"m-1","max_tokens":2000,"messages":[)" + messages + "]}",
                                       "x-claude-code-session-id: s1\r\n");
    CHECK_THAT(answer.body, Contains("T2ZD"));
    std::size_t kept = 0;
    for (std::size_t at = seen_by_c.find("T2ZD"); at != std::string::npos; at = seen_by_c.find("T2ZD", at + 1)) ++kept;
    CHECK(kept == static_cast<std::size_t>(turn));
    messages += R"(,{"role":"assistant","content":)" + thought + R"(},{"role":"user","content":"and now?"})";
  }
}

TEST_CASE("an answer costs the same whether it is streamed or whole, in any pair of dialects") {
  for (const std::string provider : {"a", "b"}) {
    std::set<std::string> costs;
    for (const std::string path : {"/v1/messages", "/v1/chat/completions"}) {
      for (const bool stream : {false, true}) {
        CAPTURE(provider, path, stream);
        SimWorld world;
        const std::string whole_a =
            R"({"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"hello"}],)"
            R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7}})";
        const std::string whole_b =
            R"({"id":"c1","object":"chat.completion","created":1,"model":"n-1","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},)"
            R"("finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}})";
        world.script("a", 80, stream ? http_stream(anthropic_events("hello")) : http_reply(200, "application/json", whole_a));
        world.script("b", 80, stream ? http_stream(openai_events("hello")) : http_reply(200, "application/json", whole_b));
        ProxyWorld proxy(world, config_with("[]"));
        const std::string model = provider == "a" ? "m-1" : "n-1";
        const Message answer = proxy.answer(path, R"({"model":")" + model + R"(","max_tokens":20,"stream":)" + (stream ? "true" : "false") +
                                                      R"(,"messages":[{"role":"user","content":"hi"}]})");
        CHECK_THAT(answer.body, Contains("hello"));
        const auto rows = proxy.rows();
        REQUIRE(rows.size() == 1);
        costs.insert(rows[0].at("cost_nanousd"));
        CHECK(rows[0].at("usage_estimated") == "0");
      }
    }
    const std::size_t who = provider == "a" ? 0 : 1;
    CHECK(costs == std::set<std::string>{std::to_string(11 * kInput[who] + 7 * kOutput[who])});
  }
}

TEST_CASE("a long conversation needs no more room than its beginning was billed as and what is new") {
  SimWorld world;
  world.serve("a", 80, [](http::Exchange& exchange) -> Task<void> {
    const auto body = co_await exchange.read_body(1 << 20);
    if (!body.ok()) co_return;
    const http::Headers none;
    const std::string reply = R"({"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"yes"}],)"
                              R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":)" +
                              std::to_string(body->size() / 4) + R"(,"output_tokens":1}})";
    auto sent = co_await exchange.send(200, none, reply);
    (void)sent;
  });
  // 40 000 bytes are $0.40 at most, and some $0.10 in truth.
  ProxyWorld proxy(world, R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]}},)"
                          R"("prices":{"m-1":{"input":10,"output":100}},"budgets":[{"usd":0.45}]})");
  std::string text;
  while (text.size() < 40'000) text += "some words that are said ";
  std::string messages = R"({"role":"user","content":")" + text + "\"}";
  const auto ask = [&] { return answer_soon(world, proxy, "/v1/messages", R"({"model":"m-1","max_tokens":20,"messages":[)" + messages + "]}").first_line; };
  CHECK_THAT(ask(), Contains("200"));
  messages += R"(,{"role":"assistant","content":"yes"},{"role":"user","content":"go on"})";
  CHECK_THAT(ask(), Contains("200"));  // by its bytes alone it would not fit any more
  CHECK_THAT(ask(), Contains("200"));
  messages = R"({"role":"user","content":"another )" + text + "\"}";
  CHECK_THAT(ask(), Contains("429"));  // nothing is known of this one
}

TEST_CASE("tokens without a known price use up a hard budget all the same, and their row says that the cost is not known") {
  // $1 of room, and what is asked for costs half of it at least: after two answers there is none, whatever rate is missing.
  struct Case {
    std::string prices, usage;
    std::int64_t counted_nanousd;
  };
  const Case cases[] = {
      {R"({"m-1":{"input":500,"output":2000}})", R"("input_tokens":20,"cache_read_input_tokens":1024,"output_tokens":5)", 1044 * 500'000 + 5 * 2'000'000},
      {R"({"m-1":{"input":500,"output":2000}})", R"("input_tokens":20,"cache_creation_input_tokens":1024,"output_tokens":5)",
       1044 * 500'000 + 5 * 2'000'000},
      {R"({"m-1":{"input":500,"output":2000,"cache_write_5m":625}})",
       R"("input_tokens":0,"cache_creation_input_tokens":1000,"cache_creation":{"ephemeral_1h_input_tokens":1000},"output_tokens":5)",
       1000 * 625'000 + 5 * 2'000'000}};
  for (const Case& each : cases) {
    for (const bool stream : {false, true}) {
      CAPTURE(each.prices, each.usage, stream);
      SimWorld world;
      world.serve("a", 80, [&world, &each](http::Exchange& exchange) {
        ScriptedAnswer answer;
        answer.whole = R"({"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"hello"}],)"
                       R"("stop_reason":"end_turn","stop_sequence":null,"usage":{)" + each.usage + "}}";
        answer.events = anthropic_events("hello");
        std::string& last = answer.events[answer.events.size() - 2];
        last.replace(last.find(R"("output_tokens":7)"), std::string_view(R"("output_tokens":7)").size(), each.usage);
        return answer_with(world.loop, exchange, std::move(answer));
      });
      const std::string config = R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]}},"prices":)" +
                                 each.prices + R"(,"budgets":[{"usd":1}]})";
      ProxyWorld proxy(world, config);
      int served = 0;
      for (int i = 0; i < 20; ++i) served += proxy.answer("/v1/messages", asking(stream, 5, "hi")).first_line.find(" 200") != std::string::npos ? 1 : 0;
      CHECK(served <= 2);
      const auto rows = proxy.rows();
      REQUIRE(rows.size() == 20);
      CHECK(rows[0].at("cost_nanousd").empty());
      CHECK(rows[0].at("budget_nanousd") == std::to_string(each.counted_nanousd));
      CHECK(rows[19].at("budget_nanousd").empty());
      const auto spent = proxy.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0);
      CHECK(spent == served * each.counted_nanousd);
      ProxyWorld again(world, config, {}, proxy.crash());
      CHECK(again.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0) == spent);
    }
  }
}

TEST_CASE("a model of the table that has no price for cached tokens uses up a hard budget") {
  // gpt-5.5-pro: $30 and $180 a million tokens.
  SimWorld world;
  world.script("o", 80, http_reply(200, "application/json",
                                   R"({"id":"c1","object":"chat.completion","created":1,"model":"gpt-5.5-pro","choices":[{"index":0,"message":)"
                                   R"({"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1030,)"
                                   R"("completion_tokens":10,"prompt_tokens_details":{"cached_tokens":1024}}})"));
  ProxyWorld proxy(world, R"({"providers":{"openai":{"dialect":"openai_chat","base_url":"http://o:80/v1","models":["gpt-*"]}},"budgets":[{"usd":0.035}]})");
  const std::string body = R"({"model":"gpt-5.5-pro","max_completion_tokens":10,"messages":[{"role":"user","content":"hi"}]})";
  CHECK_THAT(proxy.answer("/v1/chat/completions", body).first_line, Contains("200"));
  CHECK_THAT(proxy.answer("/v1/chat/completions", body).first_line, Contains("429"));
  const auto rows = proxy.rows();
  CHECK(rows.at(0).at("cost_nanousd").empty());
  CHECK(rows.at(0).at("budget_nanousd") == std::to_string(1030 * 30'000 + 10 * 180'000));
}

TEST_CASE("a stream whose prompt has no known price is cut where its budget ends") {
  SimWorld world;
  world.serve("a", 80, [&world](http::Exchange& exchange) {
    ScriptedAnswer answer;
    std::vector<std::string> events = anthropic_events(std::string(400, 'w'));
    events[0] = with_number(events[0], "cache_read_input_tokens", 100);
    answer.events = {events[0], events[1]};
    for (int i = 0; i < 400; ++i) answer.events.push_back(events[2]);
    answer.events.insert(answer.events.end(), events.begin() + 3, events.end());
    answer.pause = std::chrono::milliseconds(1);
    return answer_with(world.loop, exchange, std::move(answer));
  });
  ProxyWorld proxy(world, config_with(R"([{"usd":0.5}])"));
  const Message answer = proxy.answer("/v1/messages", asking(true, 20, "hi"));
  CHECK_THAT(answer.body, Contains("billing_error") && Contains("was cut here") && !Contains("message_stop"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("cost_nanousd").empty());
  CHECK(std::stoll(rows[0].at("budget_nanousd")) > 400'000'000);
  CHECK(std::stoll(rows[0].at("budget_nanousd")) <= 500'000'000);
}

TEST_CASE("an answer without a known price that a rule threw away counts, and the cost of both is not known") {
  SimWorld world;
  world.serve("a", 80, [&world](http::Exchange& exchange) {
    ScriptedAnswer answer;
    answer.whole = R"({"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[],"stop_reason":"refusal","stop_sequence":null,)"
                   R"("usage":{"input_tokens":20,"cache_read_input_tokens":30,"output_tokens":1}})";
    return answer_with(world.loop, exchange, std::move(answer));
  });
  world.serve("b", 80, [&world](http::Exchange& exchange) {
    ScriptedAnswer answer;
    answer.whole = anthropic_reply("hello", 8, 5);
    return answer_with(world.loop, exchange, std::move(answer));
  });
  ProxyWorld proxy(world,
                   R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]},)"
                   R"("b":{"dialect":"anthropic","base_url":"http://b:80","models":["n-*"]}},"rules":["r.lua"],)"
                   R"("prices":{"m-1":{"input":10,"output":100},"n-1":{"input":20,"output":200}},"fallbacks":{"m-1":["b,n-1"]},"budgets":[{"usd":1}]})",
                   {{"/etc/ccrules/r.lua", "rule \"refused\" { on = \"response\", when = { stop_reason = \"refusal\" }, next_fallback = true }\n"}});
  CHECK_THAT(proxy.answer("/v1/messages", asking(false, 20, "hi")).body, Contains("hello"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("cost_nanousd").empty());
  const std::int64_t counted = 50 * 10'000 + 100'000 + 8 * 20'000 + 5 * 200'000;
  CHECK(rows[0].at("budget_nanousd") == std::to_string(counted));
  CHECK(proxy.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0) == counted);
}

TEST_CASE("embeddings need no price for output under a hard budget") {
  SimWorld world;
  world.script("o", 80, http_reply(200, "application/json",
                                   R"({"object":"list","data":[],"model":"embed-1","usage":{"prompt_tokens":8,"total_tokens":8}})"));
  ProxyWorld proxy(world, R"({"providers":{"o":{"dialect":"openai_chat","base_url":"http://o:80/v1","models":["embed-*"]}},)"
                          R"("prices":{"embed-1":{"input":10}},"budgets":[{"usd":0.01}]})");
  CHECK_THAT(proxy.answer("/v1/embeddings", R"({"model":"embed-1","input":"some words"})").first_line, Contains("200"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(cost_of(rows[0]) == 80'000);
}

TEST_CASE("embeddings count against a budget whatever slash ends their path") {
  for (const std::string path : {"/v1/embeddings", "/v1/embeddings/"}) {
    CAPTURE(path);
    SimWorld world;
    world.script("o", 80, http_reply(200, "application/json",
                                     R"({"object":"list","data":[],"model":"embed-1","usage":{"prompt_tokens":800,"total_tokens":800}})"));
    // 800 tokens cost 8 000 000 nano-USD: one answer fits, and the next is refused before it is asked for.
    ProxyWorld proxy(world, R"({"providers":{"o":{"dialect":"openai_chat","base_url":"http://o:80/v1","models":["embed-*"]}},)"
                            R"("prices":{"embed-1":{"input":10}},"budgets":[{"usd":0.008}]})");
    CHECK_THAT(proxy.answer(path, R"({"model":"embed-1","input":"some words"})").first_line, Contains("200"));
    CHECK(cost_of(proxy.rows().at(0)) == 8'000'000);
    CHECK_THAT(proxy.answer(path, R"({"model":"embed-1","input":"some words"})").first_line, Contains("429"));
  }
}

TEST_CASE("embeddings whose provider reports no usage cost what their prompt is counted as, and nothing for output") {
  SimWorld world;
  world.script("o", 80, http_reply(200, "application/json", R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,0.2]}],"model":"embed-1"})"));
  ProxyWorld proxy(world, R"({"providers":{"o":{"dialect":"openai_chat","base_url":"http://o:80/v1","models":["embed-*"]}},)"
                          R"("prices":{"embed-1":{"input":10,"output":1000}},"budgets":[{"usd":0.1}]})");
  CHECK_THAT(proxy.answer("/v1/embeddings", R"({"model":"embed-1","input":"some words, not many"})").first_line, Contains("200"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("usage_estimated") == "1");
  CHECK(rows[0].at("output_tokens") == "0");
  CHECK(cost_of(rows[0]) == std::stoll(rows[0].at("input_tokens")) * 10'000);
}

TEST_CASE("an answer of another model than was asked for has that one's price, in every lane and form") {
  for (const std::string path : {"/v1/messages", "/v1/chat/completions"}) {
    for (const std::string provider : {"anth", "oai"}) {
      for (const bool stream : {false, true}) {
        CAPTURE(path, provider, stream);
        SimWorld world;
        const bool anthropic = provider == "anth";
        std::vector<std::string> pieces = anthropic ? anthropic_events("hello") : openai_events("hello");
        for (std::string& piece : pieces) {
          const std::size_t at = piece.find(R"("model":")");
          if (at == std::string::npos) continue;
          const std::size_t from = at + 9;
          piece.replace(from, piece.find('"', from) - from, "claude-sonnet-4-6");
        }
        const std::string whole =
            anthropic ? R"({"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[{"type":"text","text":"hello"}],)"
                        R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7}})"
                      : R"({"id":"c1","object":"chat.completion","created":1,"model":"claude-sonnet-4-6","choices":[{"index":0,"message":)"
                        R"({"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}})";
        world.script("up", 80, stream ? http_stream(pieces) : http_reply(200, "application/json", whole));
        ProxyWorld proxy(world, R"({"providers":{"anth":{"dialect":"anthropic","base_url":"http://up:80","models":["x-*"]},)"
                                R"("oai":{"dialect":"openai_chat","base_url":"http://up:80/v1","models":["x-*"]}}})");
        const Message answer = proxy.answer(path, R"({"model":")" + provider + R"(,claude-opus-4-1","max_tokens":20,"stream":)" + (stream ? "true" : "false") +
                                                      R"(,"messages":[{"role":"user","content":"hi"}]})");
        CHECK_THAT(answer.body, Contains("hello"));
        const auto rows = proxy.rows();
        REQUIRE(rows.size() == 1);
        CHECK(rows[0].at("model") == "claude-opus-4-1");
        // Sonnet at 3/15 USD per million, not Opus at 15/75.
        CHECK(cost_of(rows[0]) == std::stoll(rows[0].at("input_tokens")) * 3'000 + std::stoll(rows[0].at("output_tokens")) * 15'000);
      }
    }
  }
}

TEST_CASE("a list of prompts and best_of are set aside, each of them") {
  SimWorld world;
  int asked = 0;
  world.serve("o", 80, [&asked](http::Exchange& exchange) -> Task<void> {
    ++asked;
    http::Headers headers;
    headers.add("content-type", "application/json");
    auto sent = co_await exchange.send(200, headers, R"({"id":"c","object":"text_completion","created":1,"model":"m-1","choices":[{"index":0,"text":"x",)"
                                                     R"("finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}})");
    (void)sent;
  });
  // 100 tokens cost 10 000 000 nano-USD, a prompt of 200 bytes 2 000 000: two answers fit.
  ProxyWorld proxy(world, R"({"providers":{"o":{"dialect":"openai_chat","base_url":"http://o:80/v1","models":["m-*"]}},)"
                          R"("prices":{"m-1":{"input":10,"output":100}},"budgets":[{"usd":0.025}]})");
  const auto line = [&](const std::string& more) { return proxy.answer("/v1/completions", R"({"model":"m-1","max_tokens":100,)" + more + "}").first_line; };
  CHECK_THAT(line(R"("prompt":"say","best_of":3,"n":1)"), Contains("429"));
  CHECK_THAT(line(R"("prompt":["a","b","c"])"), Contains("429"));
  CHECK(asked == 0);
  CHECK_THAT(line(R"("prompt":[1,2,3,4,5],"n":2)"), Contains("200"));
  CHECK(asked == 1);
}

TEST_CASE("what a key has spent is not forgotten when thousands of others come") {
  SimWorld world;
  world.script("a", 80, http_reply(200, "application/json", refusal(8)));
  const std::string config = R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]}},)"
                             R"("prices":{"m-1":{"input":10,"output":100}},"budgets":[{"scope":"user","usd":0.004,"per":"total"},)"
                             R"({"scope":"user:boss","usd":0.004,"per":"total"}]})";
  ProxyWorld proxy(world, config);
  const std::string body = asking(false, 20, "hi");
  const auto ask = [&](const std::string& user) { return answer_soon(world, proxy, "/v1/messages", body, "x-ccrules-user: " + user + "\r\n").first_line; };
  const auto spend_all = [&](const std::string& user) {
    int served = 0;
    while (served < 50 && ask(user).find("200") != std::string::npos) ++served;
    return served;
  };
  const int served = spend_all("ann");
  CHECK(served > 0);
  CHECK(served < 50);
  CHECK(spend_all("boss") == served);
  auto& spend = proxy.tallies().spend;
  ledger::Record other;
  other.at_us = 1'796'000'000'000'000;  // later, and each has spent more this month
  other.cost_nanousd = 1'000'000'000;
  for (int i = 0; i < 25'000; ++i) {
    other.user = "u" + std::to_string(i);
    spend.add(other);
  }
  CHECK(spend.nanousd("user", "ann", ledger::Span::kTotal, 0) == 0);
  CHECK(spend.nanousd("user", "boss", ledger::Span::kTotal, 0) > 0);
  CHECK_THAT(ask("ann"), Contains("429"));
  CHECK_THAT(ask("boss"), Contains("429"));
  CHECK_THAT(ask("carl"), Contains("200"));
}

TEST_CASE("whenever a key is forgotten while its request is on the way, its hard budget holds") {
  bool counted_on_pool = false;
  for (std::size_t steps = 0;; ++steps) {
    CAPTURE(steps);
    SimWorld world;
    int asked = 0;
    world.serve("a", 80, [&asked](http::Exchange& exchange) -> Task<void> {
      ++asked;
      const http::Headers none;
      const std::string reply = refusal(8);
      auto sent = co_await exchange.send(200, none, reply);
      (void)sent;
    });
    ledger::Record ann;  // before the proxy, whose end may be what is disturbed
    ann.id = "req_before";
    ann.at_us = 1'795'000'000'000'000;
    ann.user = "ann";
    ann.cost_nanousd = 4'999'000'000;
    ProxyWorld proxy(world, R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]}},)"
                            R"("prices":{"m-1":{"input":10,"output":100}},"budgets":[{"scope":"user","usd":5,"per":"total"}]})");
    auto& spend = proxy.tallies().spend;
    spend.add(ann);
    proxy.ledger().record(ann);
    proxy.ledger().flush();
    // Another worker's requests: later, and each has spent more this month.
    world.loop.disturb_after(steps, [&spend, &ann] {
      ledger::Record other;
      other.at_us = ann.at_us + 1'000'000'000'000;
      other.cost_nanousd = 2 * *ann.cost_nanousd;
      for (std::size_t i = 0; i <= limits::kSpendKeys; ++i) {
        other.user = "u" + std::to_string(i);
        spend.add(other);
      }
    });
    const std::string words(limits::kCountInlineBytes, 'w');  // counted on the pool, between the look and the reservation
    const Message answer = answer_soon(world, proxy, "/v1/messages", asking(false, 20, words), "x-ccrules-user: ann\r\n");
    CHECK_THAT(answer.first_line, Contains("429"));
    CHECK(asked == 0);
    if (!world.loop.disturbed()) break;
    counted_on_pool = counted_on_pool || spend.nanousd("user", "ann", ledger::Span::kTotal, 0) == *ann.cost_nanousd;
  }
  CHECK(counted_on_pool);  // it was forgotten, and recalled
}

TEST_CASE("an attempt that takes longer than its provider may is given up for the fallback") {
  SimWorld world;
  world.serve("a", 80, [&world](http::Exchange& exchange) -> Task<void> {
    http::Headers headers;
    headers.add("content-type", "text/event-stream");
    exchange.start(200, headers);
    while (!exchange.stop().stopped()) {  // never silent, and says nothing
      auto sent = co_await exchange.write(": wait\n\n");
      if (!sent.ok()) co_return;
      auto slept = co_await sleep_for(world.loop, std::chrono::seconds(1), exchange.stop());
      if (!slept.ok()) co_return;
    }
  });
  world.script("c", 80, http_stream(anthropic_events("from the fallback")));
  ProxyWorld proxy(world, R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"],"timeouts":{"total":"5s"}},)"
                          R"("c":{"dialect":"anthropic","base_url":"http://c:80","models":["o-*"]}},"fallbacks":{"m-1":["c,o-1"]}})");
  const auto client = proxy.ask("/v1/messages", asking(true, 20, "hi"));
  world.loop.run_for(std::chrono::seconds(7));
  CHECK_THAT(client->received(), Contains("from the fallback"));
  world.stop_upstreams();
}

TEST_CASE("a request that is out of time is told which limit that was") {
  SimWorld world;
  world.serve("a", 80, [&world](http::Exchange& exchange) -> Task<void> {
    auto slept = co_await sleep_for(world.loop, std::chrono::seconds(100), exchange.stop());
    (void)slept;
  });
  for (const bool of_provider : {true, false}) {
    ProxyWorld proxy(world, std::string(R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"])") +
                                (of_provider ? R"(,"timeouts":{"total":"3s"}}}})" : R"(}},"timeouts":{"total":"3s"}})"));
    const auto client = proxy.ask("/v1/messages", asking(false, 20, "hi"));
    world.loop.run_for(std::chrono::seconds(5));
    const Message answer = read_message(client->received());
    CHECK_THAT(answer.first_line, Contains("504"));
    CHECK_THAT(answer.body, Contains(of_provider ? "providers.a.timeouts.total" : "`timeouts.total` of ccrules.json"));
  }
  world.stop_upstreams();
}

TEST_CASE("a provider whose streams all break off is left alone like one that gives no answers") {
  SimWorld world;
  std::vector<std::string> cut = anthropic_events("half of it");
  cut.resize(3);
  world.script("a", 80, http_stream(cut, true), true);
  world.script("c", 80, http_stream(anthropic_events("from the fallback")));
  ProxyWorld proxy(world, R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]},)"
                          R"("c":{"dialect":"anthropic","base_url":"http://c:80","models":["o-*"]}},"fallbacks":{"m-1":["c,o-1"]},)"
                          R"("circuit":{"failures":3,"open_for":"1h"}})");
  for (int i = 0; i < 3; ++i) CHECK_THAT(answer_soon(world, proxy, "/v1/messages", asking(true, 20, "hi")).body, Contains("half of it"));
  CHECK(proxy.tallies().circuits.state("a", world.loop.now_ms()) == "down");
  CHECK_THAT(answer_soon(world, proxy, "/v1/messages", asking(true, 20, "hi")).body, Contains("from the fallback"));
}

TEST_CASE("who finds a queue full is told when there is room, not to come back each second") {
  SimWorld world;
  world.script("a", 80, http_reply(200, "application/json", refusal(8)));
  ProxyWorld proxy(world, config_with("[]", R"(,"rate_limits":[{"requests":1,"per":"50s","wait":"60s"}])"));
  std::vector<std::unique_ptr<MemoryClient>> clients;
  for (int i = 0; i < 1002; ++i) clients.push_back(proxy.ask("/v1/messages", asking(false, 20, "hi")));
  world.loop.run_for(std::chrono::milliseconds(100));
  const Message refused = read_message(clients.back()->received());
  CHECK_THAT(refused.first_line, Contains("429"));
  CHECK(std::stoi("0" + refused.field("retry-after")) >= 49);
  CHECK(clients[1]->received().empty());
  clients.clear();
}
