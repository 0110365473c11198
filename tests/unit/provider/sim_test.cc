#include "provider/sim.h"

#include <catch2/catch.hpp>

#include "async/sim_loop.h"
#include "async/task.h"
#include "core/json.h"
#include "core/limits.h"
#include "provider/sim_input.h"
#include "support/json_tree.h"
#include "support/validators.h"

using namespace ccrules;
using namespace ccrules::test;
using namespace std::chrono_literals;

namespace {

struct Answer {
  int status = 0;
  std::string body;
  std::string error;  ///< of the read that failed; empty when the body ended
  std::string retry_after;
  std::int64_t took_ms = 0;
  int quiet_reads = 0;
};

Task<void> read_to_end(Loop& loop, http::ReplyStream& reply, std::chrono::milliseconds patience, StopToken stop, Answer& answer) {
  const std::int64_t began = loop.now_ms();
  while (true) {
    auto chunk = co_await reply.read(patience, stop);
    if (!chunk) {
      answer.error = error_code_name(chunk.error().code);
      break;
    }
    if (chunk->quiet) {
      ++answer.quiet_reads;
      continue;
    }
    answer.body += chunk->bytes;
    if (chunk->end) break;
  }
  answer.took_ms = loop.now_ms() - began;
}

Answer ask(const std::string& body, std::chrono::milliseconds patience = 0ms) {
  SimLoop loop;
  Answer answer;
  const auto reply = provider::simulate(loop, body);
  answer.status = reply->status();
  answer.retry_after = reply->headers().get("retry-after");
  spawn(read_to_end(loop, *reply, patience, StopToken(), answer));
  loop.run();
  return answer;
}

std::string request(const std::string& text, bool stream, const std::string& more = "") {
  std::string body = R"({"model":"sim-model","max_tokens":10000)";
  body += more + R"(,"stream":)" + (stream ? "true" : "false") + R"(,"messages":[{"role":"user","content":)";
  json::append_string(body, text);
  return body + "}]}";
}

/// A request whose messages are given as JSON.
std::string conversation(const std::string& messages, const std::string& more = "") {
  return R"({"model":"m","max_tokens":100)" + more + R"(,"messages":[)" + messages + "]}";
}

const std::string kTools =
    R"(,"tools":[{"name":"get_weather","input_schema":{"type":"object",)"
    R"("properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":2}},"required":["city"]}},)"
    R"({"name":"get_time","input_schema":{"type":"object"}}])";

/// Asks both ways; both must be valid and say the same. The streamed one is returned.
Seen ask_both(const std::string& text, const std::string& more = "") {
  const Answer streamed = ask(request(text, true, more));
  const Answer whole = ask(request(text, false, more));
  CHECK(streamed.status == 200);
  CHECK(whole.status == 200);
  Seen a = check_anthropic_stream(streamed.body);
  const Seen b = check_anthropic_reply(whole.body);
  INFO(streamed.body << "\n" << whole.body);
  CHECK(a.report() == "");
  CHECK(b.report() == "");
  CHECK(a.text() == b.text());
  CHECK(a.thinking() == b.thinking());
  CHECK(a.stop == b.stop);
  CHECK(a.output_tokens == b.output_tokens);
  CHECK(a.tools().size() == b.tools().size());
  return a;
}

}  // namespace

TEST_CASE("the simulator greets and repeats the beginning of the text when nothing else was asked") {
  CHECK(ask_both("What is up?").text() == "Hello from the ccrules simulator. You said: What is up?");
}

TEST_CASE("the same request gives the same bytes") {
  CHECK(ask(request("[[sim:tools]]", true, kTools)).body == ask(request("[[sim:tools]]", true, kTools)).body);
}

TEST_CASE("a marked tool call names the tool, its input and ends with tool_use") {
  const Seen seen = ask_both(R"([[sim:tool name=get_weather input={"city":"Paris ]] \"x\""} say="Let me look."]])", kTools);
  CHECK(seen.text() == "Let me look.");
  REQUIRE(seen.tools().size() == 1);
  CHECK(seen.tools()[0].name == "get_weather");
  CHECK(seen.tools()[0].arguments == R"({"city":"Paris ]] \"x\""})");
  CHECK(seen.stop == "tool_use");
}

TEST_CASE("a tool call without input gets one that fits the tool's schema") {
  const Seen seen = ask_both("[[sim:tool]]", kTools);
  REQUIRE(seen.tools().size() == 1);
  CHECK(seen.tools()[0].arguments == R"({"city":"example city"})");
}

TEST_CASE("parallel and interleaved calls have different ids and contiguous blocks") {
  const Seen parallel = ask_both("[[sim:tools count=3]]", kTools);
  REQUIRE(parallel.tools().size() == 3);
  CHECK(parallel.tools()[1].name == "get_time");
  const Seen mixed = ask_both("[[sim:interleaved]]", kTools);
  REQUIRE(mixed.blocks.size() == 4);
  CHECK(mixed.blocks[2].type == "text");
  CHECK(mixed.blocks[3].type == "tool_use");
}

TEST_CASE("a forced tool choice is obeyed without a marker") {
  const Seen seen = ask_both("hi", kTools + R"(,"tool_choice":{"type":"tool","name":"get_time"})");
  REQUIRE(seen.tools().size() == 1);
  CHECK(seen.tools()[0].name == "get_time");
}

TEST_CASE("after the tool has answered the simulator quotes the result") {
  const std::string body = conversation(
      R"({"role":"user","content":"[[sim:tool name=f]]"},)"
      R"({"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"f","input":{}}]},)"
      R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"42 apples"},)"
      R"({"type":"text","text":"<system-reminder>x</system-reminder>"}]})");
  CHECK(check_anthropic_reply(ask(body).body).text() == "The tool answered: 42 apples");
}

TEST_CASE("a script advances with every tool round and quotes the last result") {
  const std::string script =
      R"({"role":"user","content":"[[sim:script thinking:hm + tool:Missing|f{\"a\":1} ; tool:g ; text:\"done; {result}\"]]"})";
  const auto round = [](const std::string& id, const std::string& name, const std::string& result) {
    return R"(,{"role":"assistant","content":[{"type":"tool_use","id":")" + id + R"(","name":")" + name +
           R"(","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":")" + id + R"(","content":")" + result +
           R"("}]})";
  };
  const auto send = [&](const std::string& history) {
    const Answer answer = ask(conversation(script + history, R"(,"tools":[{"name":"f","input_schema":{"type":"object"}}])"));
    INFO(answer.body);
    Seen seen = check_anthropic_reply(answer.body);
    CHECK(seen.report() == "");
    return seen;
  };
  const Seen first = send("");
  CHECK(first.thinking() == "hm");
  REQUIRE(first.tools().size() == 1);
  CHECK(first.tools()[0].name == "f");
  CHECK(first.tools()[0].arguments == R"({"a":1})");
  CHECK(send(round("toolu_1", "f", "one")).tools().at(0).name == "g");
  CHECK(send(round("toolu_1", "f", "one") + round("toolu_2", "g", "two")).text() == "done; two");
}

TEST_CASE("a marker of an earlier turn is over when the model has ended that turn") {
  const std::string body = conversation(
      R"({"role":"user","content":"[[sim:refusal]]"},{"role":"assistant","content":"No."},{"role":"user","content":"fine"})");
  CHECK(check_anthropic_reply(ask(body).body).stop == "end_turn");
}

TEST_CASE("thinking comes before the text and is signed once") {
  const Seen seen = ask_both(R"([[sim:thinking think="I think." say="I say."]])");
  CHECK(seen.thinking() == "I think.");
  CHECK(seen.text() == "I say.");
  CHECK_FALSE(seen.blocks.at(0).signature.empty());
}

TEST_CASE("max_tokens and stop sequences end the answer and are named") {
  const std::string body = R"({"model":"m","max_tokens":3,"messages":[{"role":"user","content":"[[sim:long tokens=50]]"}]})";
  const Seen cut = check_anthropic_reply(ask(body).body);
  CHECK(cut.stop == "max_tokens");
  CHECK(cut.output_tokens == 3);
  const Seen stopped = ask_both("[[sim:text say=\"one two three\"]]", R"(,"stop_sequences":["three","two"])");
  CHECK(stopped.text() == "one ");
  CHECK(stopped.stop == "stop_sequence");
  CHECK(stopped.stop_sequence == "two");
}

TEST_CASE("an error marker gives the status, type, message and retry-after it names") {
  const Answer answer = ask(request("[[sim:error status=429 retry_after=2 message=\"slow down\"]]", true));
  CHECK(answer.status == 429);
  CHECK(answer.retry_after == "2");
  const Seen seen = check_anthropic_error(answer.body);
  CHECK(seen.report() == "");
  CHECK(seen.error_type == "rate_limit_error");
  CHECK(seen.error_message == "slow down");
}

TEST_CASE("an error for one model leaves the others alone, so that fallbacks can be tried") {
  CHECK(ask(request("[[sim:error status=529 model=other-*]] hi", false)).status == 200);
  CHECK(ask(request("[[sim:error status=529 model=sim-*]] hi", false)).status == 529);
}

TEST_CASE("a cut stream ends with a lost connection and is no valid stream") {
  for (int after = 0; after < 8; ++after) {
    const Answer answer = ask(request("[[sim:cut after=" + std::to_string(after) + "]]", true));
    CHECK(answer.status == 200);
    CHECK(answer.error == "connection_lost");
    CHECK(check_anthropic_stream(answer.body).ending == Ending::kCut);
    CHECK(check_anthropic_stream(answer.body, true).report() == "");
  }
  CHECK(ask(request("[[sim:cut]]", false)).error == "connection_lost");
}

TEST_CASE("a mid-stream error is the last event") {
  const Answer answer = ask(request("[[sim:midstream-error after=4]]", true));
  CHECK(answer.error.empty());
  const Seen seen = check_anthropic_stream(answer.body);
  CHECK(seen.report() == "");
  CHECK(seen.ending == Ending::kError);
  CHECK(seen.error_type == "overloaded_error");
  CHECK(ask(request("[[sim:midstream-error]]", false)).status == 529);
}

TEST_CASE("slow and silent answers take their time on the loop's clock") {
  // message_start, block start, five words, block end, message end: nine or more events, the first at once.
  const Answer slow = ask(request("[[sim:slow tokens=5 pause_ms=200]]", true));
  CHECK(slow.took_ms == 8 * 200);
  CHECK(ask(request("[[sim:slow tokens=5 pause_ms=200]]", false)).took_ms == slow.took_ms);
  const Answer silent = ask(request("[[sim:silent wait_ms=20000]]", true), 15s);
  CHECK(silent.took_ms == 20000);
  CHECK(silent.quiet_reads == 1);
  CHECK(check_anthropic_stream(silent.body).ok());
}

TEST_CASE("a hanging answer ends when the reader gives up") {
  SimLoop loop;
  Answer answer;
  StopSource source;
  const auto reply = provider::simulate(loop, request("[[sim:hang]]", true));
  spawn(read_to_end(loop, *reply, 0ms, source.token(), answer));
  loop.run_for(5s);
  CHECK(answer.error.empty());
  source.request_stop(StopReason::kClientGone);
  loop.run();
  CHECK(answer.error == "cancelled");
  CHECK(g_frames_alive == 0);
}

TEST_CASE("images and documents are counted") {
  const std::string image = R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}})";
  const std::string body = conversation(R"({"role":"user","content":[)" + image + R"(,{"type":"text","text":"[[sim:images]]"}]})");
  CHECK(check_anthropic_reply(ask(body).body).text() == "I see 1 image (image/png) and 0 documents.");
}

TEST_CASE("a structured answer fits its schema") {
  const Seen seen = ask_both("a title",
                             R"(,"output_config":{"format":{"type":"json_schema","schema":)"
                             R"({"type":"object","properties":{"title":{"type":"string"}}}}})");
  CHECK(seen.text() == R"({"title":"example title"})");
}

TEST_CASE("a marker that makes no sense is a 400 that says so") {
  for (const char* text : {"[[sim:tol]]", "[[sim:text colour=red]]", "[[sim:error status=200]]", "[[sim:tool input={\"a\"}]]",
                           "[[sim:script dance]]", "[[sim:slow pause_ms=-1]]", "[[sim:text say]]"}) {
    INFO(text);
    const Answer answer = ask(request(text, true));
    CHECK(answer.status == 400);
    CHECK(check_anthropic_error(answer.body).error_message.find("docs/sim.md") != std::string::npos);
  }
  CHECK(ask("{").status == 400);
}

TEST_CASE("a long answer is counted to the token") { CHECK(ask_both("[[sim:long tokens=5000]]").output_tokens == 5000); }

TEST_CASE("usage options show in the usage") {
  const Seen seen = ask_both("[[sim:text input_tokens=7 cache_read_tokens=5]]");
  CHECK(seen.input_tokens == 7);
  CHECK(seen.cache_read_tokens == 5);
}

TEST_CASE("a made-up input takes const, enum, references and minima from the schema") {
  CHECK(provider::sim::plausible_input(
            R"({"type":"object","properties":{"a":{"const":3},"b":{"enum":["x","y"]},"c":{"$ref":"#/$defs/N"},)"
            R"("d":{"type":["null","array"],"items":{"type":"boolean"},"minItems":2}},)"
            R"("$defs":{"N":{"type":"integer","minimum":4}}})") == R"({"a":3,"b":"x","c":4,"d":[true,true]})");
  CHECK(provider::sim::plausible_input("true") == "{}");
  CHECK(provider::sim::plausible_input(R"({"$ref":"#"})") == R"("example")");
}
