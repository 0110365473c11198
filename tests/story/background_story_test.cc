#include <catch2/catch.hpp>

#include "support/proxy_world.h"
#include "support/scripted_answer.h"

/// Answers that a provider writes when nobody waits for them (`background` of OpenAI's responses), under a hard budget.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig =
    R"({"providers":{"o":{"dialect":"openai_responses","base_url":"http://o:80/v1","models":["m-*"]}},)"
    R"("prices":{"m-1":{"input":10,"output":100}},"circuit":{"failures":0},"budgets":[{"usd":0.25}]})";

std::string asking(const std::string& more) { return R"({"model":"m-1","max_output_tokens":1000,"input":"hi")" + more + "}"; }

std::string response(const std::string& status, const std::string& usage) {
  return R"({"id":"resp_1","object":"response","created_at":1,"status":")" + status +
         R"(","background":true,"error":null,"model":"m-1","output":[],"usage":)" + usage + "}";
}

/// Serves so many of ten requests, each of which may cost $0.1 and a little.
int served_of_ten(const std::string& more, const std::string& answer, std::vector<Row>& rows, std::int64_t& spent) {
  SimWorld world;
  world.script("o", 80, http_reply(200, "application/json", answer));
  ProxyWorld proxy(world, kConfig);
  int served = 0;
  for (int i = 0; i < 10; ++i) served += proxy.answer("/v1/responses", asking(more)).first_line.find(" 200") != std::string::npos ? 1 : 0;
  rows = proxy.rows();
  spent = proxy.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0).value_or(-1);
  ProxyWorld again(world, kConfig, {}, proxy.crash());
  CHECK(again.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0) == spent);
  return served;
}

}  // namespace

TEST_CASE("an answer that is still to be written counts as what was set aside for it") {
  std::vector<Row> rows;
  std::int64_t spent = 0;
  for (const std::string member : {R"(,"background":true)", R"(,"back\u0067round":true)"}) {
    for (const std::string status : {"queued", "in_progress"}) {
      CAPTURE(member, status);
      CHECK(served_of_ten(member, response(status, "null"), rows, spent) == 2);
      CHECK(rows[0].at("cost_nanousd").empty());
      CHECK(rows[0].at("output_tokens").empty());
      CHECK(std::stoll(rows[0].at("budget_nanousd")) >= 1000 * 100'000);
      CHECK(spent == 2 * std::stoll(rows[0].at("budget_nanousd")));
    }
  }
}

TEST_CASE("an answer in the background that is there at once costs what its provider bills") {
  std::vector<Row> rows;
  std::int64_t spent = 0;
  CHECK(served_of_ten(R"(,"background":true)", response("completed", R"({"input_tokens":5,"output_tokens":7})"), rows, spent) == 10);
  CHECK(rows[0].at("cost_nanousd") == std::to_string(5 * 10'000 + 7 * 100'000));
  CHECK(rows[0].at("budget_nanousd").empty());
  CHECK(spent == 10 * (5 * 10'000 + 7 * 100'000));
}

TEST_CASE("a refused request costs nothing, in the background or not") {
  SimWorld world;
  world.script("o", 80, http_reply(400, "application/json", R"({"error":{"message":"no"}})"));
  ProxyWorld proxy(world, kConfig);
  CHECK_THAT(proxy.answer("/v1/responses", asking(R"(,"background":true)")).first_line, Contains("400"));
  CHECK(proxy.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0) == 0);
}

TEST_CASE("a stream of an answer in the background that breaks off counts as what was set aside for it") {
  for (const bool complete : {false, true}) {
    CAPTURE(complete);
    SimWorld world;
    const std::string done = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":" +
                             response("completed", R"({"input_tokens":5,"output_tokens":7})") + "}\n\n";
    std::vector<std::string> events = {
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":" + response("queued", "null") + "}\n\n",
        "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"id\":\"msg_1\","
        "\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_1\",\"output_index\":0,"
        "\"content_index\":0,\"delta\":\"hello\"}\n\n"};
    if (complete) events.push_back(done);
    world.script("o", 80, http_stream(events, !complete), !complete);
    ProxyWorld proxy(world, kConfig);
    CHECK_THAT(proxy.answer("/v1/responses", asking(R"(,"background":true,"stream":true)")).body, Contains("hello"));
    const auto rows = proxy.rows();
    REQUIRE(rows.size() == 1);
    const std::int64_t spent = proxy.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0).value_or(0);
    if (complete) {
      CHECK(spent == 5 * 10'000 + 7 * 100'000);
    } else {
      CHECK(rows[0].at("cost_nanousd").empty());
      CHECK(spent >= 1000 * 100'000);
    }
  }
}

TEST_CASE("where nothing is set aside, a stream in the background that breaks off counts with what came of it") {
  const std::string config =
      R"({"providers":{"o":{"dialect":"openai_responses","base_url":"http://o:80/v1","models":["m-*"]}},)"
      R"("prices":{"m-1":{"input":10,"output":100}},"circuit":{"failures":0},)"
      R"("budgets":[{"usd":9,"mode":"soft"},{"scope":"model","usd":9,"mode":"soft"}]})";
  SimWorld world;
  world.script("o", 80,
               http_stream({"event: response.created\ndata: {\"type\":\"response.created\",\"response\":" + response("queued", "null") + "}\n\n",
                            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_1\",\"output_index\":0,"
                            "\"content_index\":0,\"delta\":\"" + std::string(4000, 'w') + "\"}\n\n"}));
  ProxyWorld proxy(world, config);
  (void)proxy.answer("/v1/responses", asking(R"(,"background":true,"stream":true)"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(std::stoll(rows[0].at("output_tokens")) > 100);
  CHECK(proxy.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0) == std::stoll(rows[0].at("cost_nanousd")));
}
