#include <catch2/catch.hpp>

#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;

namespace {

/// Two providers of Anthropic's dialect; the first one counts.
std::string settings(const std::string& more = {}) {
  return R"({"providers":{
      "anth":{"dialect":"anthropic","base_url":"http://anth:80","models":["claude-*"],"switches":{"count_tokens":true}},
      "mute":{"dialect":"anthropic","base_url":"http://mute:80","models":["other-*"]}})" +
         more + "}";
}

std::string ask_body(const std::string& model, const std::string& messages) {
  return R"({"model":")" + model + R"(","max_tokens":9,"messages":[)" + messages + "]}";
}

std::string said(const std::string& role, const std::string& text) {
  return R"({"role":")" + role + R"(","content":")" + text + "\"}";
}

std::string words(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "the value of line " + std::to_string(i) + " is kept; ";
  return text;
}

/// Bills every prompt with `billed`; answers counting questions with `count_body`.
http::Handler upstream(std::int64_t& billed, std::string& paths, int count_status, std::string count_body) {
  return [&billed, &paths, count_status, count_body](http::Exchange& exchange) -> Task<void> {
    auto body = co_await exchange.read_body(1 << 22);
    if (!body.ok()) co_return;
    const std::string path(exchange.head().path());
    paths += path + " ";
    http::Headers headers;
    headers.add("content-type", "application/json");
    if (path.ends_with("/count_tokens")) {
      (void)co_await exchange.send(count_status, headers, count_body);
      co_return;
    }
    const std::string reply =
        R"({"id":"m1","type":"message","role":"assistant","model":"claude-opus-5-5","content":[{"type":"text","text":"done"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":)" +
        std::to_string(billed) + R"(,"output_tokens":4}})";
    (void)co_await exchange.send(200, headers, reply);
  };
}

struct Counting {
  explicit Counting(const std::string& with, int count_status = 200,
                    const std::string& count_body = R"({"input_tokens":1234})")
      : proxy(world, with) {
    world.serve("anth", 80, upstream(billed, paths, count_status, count_body));
    world.serve("mute", 80, upstream(billed, paths, count_status, count_body));
  }
  SimWorld world;
  std::int64_t billed = 500;
  std::string paths;  ///< what the providers were asked for
  ProxyWorld proxy;
};

}  // namespace

TEST_CASE("a provider that counts is asked, and its answer is passed on") {
  Counting counting(settings());
  const Message answer =
      counting.proxy.answer("/v1/messages/count_tokens", ask_body("claude-opus-5-5", said("user", "hi")));
  CHECK(answer.body == R"({"input_tokens":1234})");
  CHECK(answer.field("x-ccrules-tokens") == "provider");
  CHECK(counting.paths == "/v1/messages/count_tokens ");
}

TEST_CASE("where the provider cannot count or refuses to, we count") {
  const std::string question = said("user", "hello world");
  SECTION("its dialect has a count, but nobody said that this provider answers") {
    Counting counting(settings());
    const Message answer = counting.proxy.answer("/v1/messages/count_tokens", ask_body("other-1", question));
    CHECK(answer.field("x-ccrules-tokens") == "estimated");
    CHECK(counting.paths.empty());
  }
  for (const auto& [status, body] : std::vector<std::pair<int, std::string>>{
           {400, R"({"type":"error","error":{"type":"invalid_request_error","message":"server tools"}})"},
           {429, "{}"},
           {200, "no JSON"},
           {200, R"({"input_tokens":-4})"},
           {200, R"({"input_tokens":"many"})"}}) {
    CAPTURE(status, body);
    Counting counting(settings(), status, body);
    const Message answer =
        counting.proxy.answer("/v1/messages/count_tokens", ask_body("claude-opus-5-5", question));
    CHECK(answer.first_line == "HTTP/1.1 200 OK");
    CHECK(answer.field("x-ccrules-tokens") == "estimated");
    CHECK(answer.body.starts_with(R"({"input_tokens":)"));
  }
}

TEST_CASE("the Responses API's question for input tokens is answered exactly where the tokenizer is published") {
  Counting counting(settings());
  const Message answer = counting.proxy.answer("/v1/responses/input_tokens", R"({"model":"gpt-5.5","input":"hello world"})");
  CHECK(answer.first_line == "HTTP/1.1 200 OK");
  CHECK(answer.field("x-ccrules-tokens") == "exact");
  CHECK(answer.body.find("\"input_tokens\":9") != std::string::npos);
}

TEST_CASE("a request far from every threshold is counted by its bytes, one near it block by block") {
  Counting counting(
      settings(R"(,"thresholds":{"longContext":8000},"routes":{"longContext":"mute,other-1"})"));
  counting.proxy.answer("/v1/messages", ask_body("claude-opus-5-5", said("user", "hi")));
  counting.proxy.answer("/v1/messages", ask_body("claude-opus-5-5", said("user", words(600))));
  counting.proxy.answer("/v1/messages", ask_body("claude-opus-5-5", said("user", words(20'000))));
  const std::vector<Row> rows = counting.proxy.rows();
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].at("estimate_key") == "anth,claude-opus-5-5");
  CHECK(rows[0].at("provider") == "anth");
  CHECK(rows[1].at("estimate_key") == "anth,claude-opus-5-5 #text");
  CHECK(rows[2].at("estimate_key").empty());  // another model answered: its usage says nothing about this one
  CHECK(rows[2].at("provider") == "mute");
}

TEST_CASE("the next request of a session is anchored on what its last one was billed as") {
  Counting counting(
      settings(R"(,"thresholds":{"longContext":8000},"routes":{"longContext":"mute,other-1"})"));
  const std::string first = said("user", words(600));
  counting.billed = 7700;
  counting.proxy.answer("/v1/messages", ask_body("claude-opus-5-5", first));
  const std::string second = first + "," + said("assistant", "done") + "," + said("user", "and now?");
  counting.proxy.answer("/v1/messages", ask_body("claude-opus-5-5", second));
  const std::vector<Row> rows = counting.proxy.rows();
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].at("counted_grade") == "estimated");
  CHECK(rows[1].at("counted_grade") == "anchored");
  const std::int64_t counted = std::stoll(rows[1].at("counted_tokens"));
  CHECK(counted > 7700);
  CHECK(counted < 7740);
}

TEST_CASE("rules that compute with the number of tokens are tried at both ends of its error") {
  const std::string rules =
      R"(rule "half" { when = function(req) return req.tokens / 2 > 4000 end, to = "mute,other-1" })";
  SimWorld world;
  std::int64_t billed = 7000;
  std::string paths;
  ProxyWorld proxy(world, settings(R"(,"rules":["half.lua"])"), {{"/etc/ccrules/half.lua", rules}});
  world.serve("anth", 80, upstream(billed, paths, 200, "{}"));
  world.serve("mute", 80, upstream(billed, paths, 200, "{}"));
  proxy.answer("/v1/messages", ask_body("claude-opus-5-5", said("user", words(10))));
  proxy.answer("/v1/messages", ask_body("claude-opus-5-5", said("user", words(600))));
  const std::vector<Row> rows = proxy.rows();
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].at("estimate_key") == "anth,claude-opus-5-5");
  CHECK(rows[1].at("estimate_key") == "anth,claude-opus-5-5 #text");
}
