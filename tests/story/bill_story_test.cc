#include <catch2/catch.hpp>

#include "support/proxy_world.h"
#include "support/scripted_answer.h"

/// What answers cost whose bill is more than the tokens of one model: the same for streams and whole answers, in every format.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

/// $10 and $100 a million tokens; the advisor's $1000 for both.
constexpr std::string_view kConfig =
    R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]}},"prices":{"m-1":{"input":10,"output":100},)"
    R"("wise":{"input":1000,"output":1000},"m-1@priority":{"input":20,"output":200}},"budgets":[{"usd":1,"per":"day"}]})";

std::string asking(const std::string& path, bool stream) {
  const std::string words = R"({"model":"m-1","stream":)" + std::string(stream ? "true" : "false");
  if (path == "/v1/responses") return words + R"(,"max_output_tokens":20,"input":"hi"})";
  return words + R"(,"max_tokens":20,"messages":[{"role":"user","content":"hi"}]})";
}

/// An answer of "hello" with these further members of its usage, whole and as a stream.
ScriptedAnswer answering(const std::string& usage, const std::string& model = "m-1") {
  ScriptedAnswer answer;
  answer.whole = R"({"id":"msg_1","type":"message","role":"assistant","model":")" + model +
                 R"(","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{)" + usage + "}}";
  answer.events = anthropic_events("hello");
  std::string& start = answer.events.front();
  start.replace(start.find("claude-sonnet-4-5"), std::string_view("claude-sonnet-4-5").size(), model);
  std::string& last = answer.events[answer.events.size() - 2];
  last.replace(last.find(R"("output_tokens":7)"), std::string_view(R"("output_tokens":7)").size(), usage);
  return answer;
}

Row row_of(const std::string& path, bool stream, const ScriptedAnswer& answer, std::string& received) {
  SimWorld world;
  world.serve("a", 80, [&world, &answer](http::Exchange& exchange) { return answer_with(world.loop, exchange, answer); });
  ProxyWorld proxy(world, std::string(kConfig));
  const auto client = proxy.ask(path, asking(path, stream));
  proxy.run();
  received = client->received();
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  const ledger::Cap cap{"", "", ledger::Span::kDay, 1'000'000'000};
  CHECK(proxy.tallies().spend.left_nanousd(cap, 1'795'000'000'000'000) == 1'000'000'000 - cost_of(rows.front()));
  return rows.front();
}

Row row_of(const std::string& path, bool stream, const ScriptedAnswer& answer) {
  std::string received;
  return row_of(path, stream, answer, received);
}

}  // namespace

TEST_CASE("a bill of several parts costs what they cost at their own models, in a stream as in a whole answer, for every client") {
  struct Case {
    std::string usage;
    std::int64_t nanousd;
    std::string input, output;
  };
  const std::string of_answer = R"("input_tokens":30,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":5)";
  const Case cases[] = {
      {of_answer, 30 * 10'000 + 5 * 100'000, "30", "5"},
      {of_answer + R"(,"iterations":[{"type":"message","input_tokens":30,"output_tokens":5}])", 30 * 10'000 + 5 * 100'000, "30", "5"},
      {of_answer + R"(,"iterations":[{"type":"compaction","input_tokens":70,"output_tokens":2},{"type":"message","input_tokens":30,"output_tokens":5}])",
       100 * 10'000 + 7 * 100'000, "100", "7"},
      {of_answer + R"(,"iterations":[{"type":"message","model":"m-1","input_tokens":30,"output_tokens":5},)"
                   R"({"type":"advisor_message","model":"wise","input_tokens":4,"output_tokens":6}])",
       30 * 10'000 + 5 * 100'000 + 10 * 1'000'000, "34", "11"},
      {of_answer + R"(,"iterations":[{"type":"message","model":"wise","input_tokens":40,"output_tokens":0},)"
                   R"({"type":"fallback_message","model":"m-1","input_tokens":30,"output_tokens":5}])",
       30 * 10'000 + 5 * 100'000, "30", "5"},
      {of_answer + R"(,"iterations":[{"type":"message","model":"wise","input_tokens":40,"output_tokens":1},)"
                   R"({"type":"fallback_message","model":"m-1","input_tokens":30,"output_tokens":5}])",
       30 * 10'000 + 5 * 100'000 + 41 * 1'000'000, "70", "6"},
      {of_answer + R"(,"iterations":[{"type":"message","input_tokens":-9,"output_tokens":"x"},{"type":["a"]},null,7])", 30 * 10'000 + 5 * 100'000, "30", "5"},
      {of_answer + R"(,"iterations":{"type":"compaction","input_tokens":70})", 30 * 10'000 + 5 * 100'000, "30", "5"},
  };
  for (const Case& each : cases) {
    for (const std::string path : {"/v1/messages", "/v1/chat/completions", "/v1/responses"}) {
      for (const bool stream : {false, true}) {
        CAPTURE(each.usage, path, stream);
        std::string received;
        const Row row = row_of(path, stream, answering(each.usage), received);
        CHECK(cost_of(row) == each.nanousd);
        CHECK(row.at("input_tokens") == each.input);
        CHECK(row.at("output_tokens") == each.output);
        CHECK(row.at("status") == "200");
        CHECK_THAT(received, Contains("hello"));
        if (path == "/v1/messages") CHECK_THAT(received, Contains(each.usage));
      }
    }
  }
}

TEST_CASE("a stream that changes its model in the middle is billed for both") {
  // The plain answer begins anew with the other model, which is named at its head.
  const std::string usage = R"("input_tokens":30,"output_tokens":5,"iterations":[{"type":"message","model":"m-1","input_tokens":40,"output_tokens":1},)"
                            R"({"type":"fallback_message","model":"wise","input_tokens":30,"output_tokens":5}])";
  CHECK(cost_of(row_of("/v1/messages", true, answering(usage, "m-1"))) == 40 * 10'000 + 100'000 + 35 * 1'000'000);
  CHECK(cost_of(row_of("/v1/messages", false, answering(usage, "wise"))) == 40 * 10'000 + 100'000 + 35 * 1'000'000);
}

TEST_CASE("an answer of another tier has that one's price, or its row says that it is not known") {
  for (const bool stream : {false, true}) {
    CAPTURE(stream);
    const std::string counts = R"("input_tokens":30,"output_tokens":5)";
    const Row standard = row_of("/v1/messages", stream, answering(counts + R"(,"service_tier":"standard")"));
    CHECK(cost_of(standard) == 30 * 10'000 + 5 * 100'000);
    CHECK(standard.at("unpriced_tier").empty());
    const Row priority = row_of("/v1/messages", stream, answering(counts + R"(,"service_tier":"priority")"));
    CHECK(cost_of(priority) == 2 * cost_of(standard));
    CHECK(priority.at("unpriced_tier").empty());
    const Row fast = row_of("/v1/messages", stream, answering(counts + R"(,"service_tier":"standard","speed":"fast")"));
    CHECK(cost_of(fast) == cost_of(standard));
    CHECK(fast.at("unpriced_tier") == "fast");
    const Row batch = row_of("/v1/messages", stream, answering(counts + R"(,"service_tier":"batch")"));
    CHECK(cost_of(batch) == cost_of(standard) / 2);
  }
}

TEST_CASE("a refusal before any output costs nothing and saves nothing, one behind some output costs what was said") {
  for (const bool stream : {false, true}) {
    for (const int output : {0, 1}) {
      CAPTURE(stream, output);
      ScriptedAnswer answer = answering(R"("input_tokens":30,"output_tokens":)" + std::to_string(output));
      for (std::string* text : {&answer.whole, &answer.events[answer.events.size() - 2]}) text->replace(text->find("end_turn"), 8, "refusal");
      if (output == 0) {
        answer.whole.replace(answer.whole.find(R"({"type":"text","text":"hello"})"), 30, "");
        answer.events.erase(answer.events.begin() + 1, answer.events.begin() + 4);
      }
      const Row row = row_of("/v1/messages", stream, answer);
      CHECK(row.at("cost_nanousd") == (output == 0 ? "0" : "400000"));
      CHECK(row.at("requested_cost_nanousd") == row.at("cost_nanousd"));
      CHECK(row.at("input_tokens") == "30");
      CHECK(row.at("stop_reason") == "refusal");
    }
  }
}

TEST_CASE("a refusal behind a summary costs the summary") {
  // 70 input and 2 output tokens of the summary; the 30 of the refusal are told, and not billed.
  for (const bool stream : {false, true}) {
    CAPTURE(stream);
    ScriptedAnswer answer = answering(R"("input_tokens":30,"output_tokens":0,"iterations":[{"type":"compaction","input_tokens":70,"output_tokens":2},)"
                                      R"({"type":"message","input_tokens":30,"output_tokens":0}])");
    for (std::string* text : {&answer.whole, &answer.events[answer.events.size() - 2]}) text->replace(text->find("end_turn"), 8, "refusal");
    answer.whole.replace(answer.whole.find(R"({"type":"text","text":"hello"})"), 30, "");
    answer.events.erase(answer.events.begin() + 1, answer.events.begin() + 4);
    const Row row = row_of("/v1/messages", stream, answer);
    CHECK(cost_of(row) == 70 * 10'000 + 2 * 100'000);
    CHECK(row.at("requested_cost_nanousd") == row.at("cost_nanousd"));
    CHECK(row.at("stop_reason") == "refusal");
  }
}

TEST_CASE("a row says which fees of an answer are not in its cost") {
  const std::string counts = R"("input_tokens":30,"output_tokens":5)";
  for (const std::string path : {"/v1/messages", "/v1/chat/completions"}) {
    for (const bool stream : {false, true}) {
      CAPTURE(path, stream);
      const auto fees_of = [&](const std::string& more) { return row_of(path, stream, answering(counts + more)).at("unpriced_fees"); };
      CHECK(fees_of(R"(,"server_tool_use":{"web_search_requests":3,"web_fetch_requests":2},"inference_geo":"us")") == "web_search 3, inference_geo 1");
      CHECK(fees_of(R"(,"server_tool_use":{"web_search_requests":0},"inference_geo":"global")").empty());
      CHECK(fees_of(R"(,"server_tool_use":null,"inference_geo":"not_available")").empty());
      CHECK(fees_of("").empty());
    }
  }
}
