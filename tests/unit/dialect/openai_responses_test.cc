#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"
#include "dialect/signature.h"
#include "support/json_tree.h"
#include "support/responses_validator.h"
#include "support/stream_cuts.h"

using namespace ccrules;

namespace {

const dialect::Dialect& responses() {
  return dialect::openai_responses();
}

std::string event(const std::string& type, const std::string& members) {
  return "event: " + type + "\ndata: {\"type\":\"" + type + "\"," + members + "}\n\n";
}
const std::string kCreated =
    event("response.created", R"("response":{"id":"resp_1","model":"m","status":"in_progress","output":[]})");
std::string completed(const std::string& more = "") {
  return event(
      "response.completed",
      R"("response":{"id":"resp_1","model":"m","status":"completed","usage":{"input_tokens":10,"output_tokens":2})" +
          more + "}");
}
std::string added(int place, const std::string& item) {
  return event("response.output_item.added",
               "\"output_index\":" + std::to_string(place) + ",\"item\":" + item);
}
std::string done(int place, const std::string& item) {
  return event("response.output_item.done",
               "\"output_index\":" + std::to_string(place) + ",\"item\":" + item);
}
std::string text_delta(int place, const std::string& text) {
  return event("response.output_text.delta",
               "\"output_index\":" + std::to_string(place) + R"(,"content_index":0,"delta":")" + text + "\"");
}
const std::string kMessage = R"({"id":"msg_1","type":"message","role":"assistant","content":[]})";

/// One event a line; the same for every cut of the bytes.
std::string read(const std::string& bytes) {
  return test::to_text(test::read_every_cut(responses(), bytes));
}

std::string written(const std::string& body, dialect::Capabilities target, chat::LossNotes& losses) {
  const auto request = dialect::anthropic().read_request(body);
  REQUIRE(request.ok());
  const auto out = responses().write_request(*request, target, losses);
  return out ? *out : out.error().message;
}

}  // namespace

TEST_CASE("a plain stream of responses becomes one text block") {
  CHECK(read(kCreated + added(0, kMessage) + text_delta(0, "Hel") + text_delta(0, "lo") +
             done(0, R"({"id":"msg_1","type":"message","content":[{"type":"output_text","text":"Hello"}]})") +
             completed()) ==
        "start resp_1 m\nopen 0 text\ntext 0 \"Hel\"\ntext 0 \"lo\"\nclose 0\nend end_turn in=10 out=2\n");
}

TEST_CASE("G-7: arguments that come with the end of the call only are told whole") {
  const std::string call =
      R"({"id":"fc_1","type":"function_call","call_id":"call_1","name":"f","arguments":""})";
  CHECK(
      read(kCreated + added(0, call) +
           event("response.function_call_arguments.done", R"("output_index":0,"arguments":"{\"x\":1}")") +
           completed()) ==
      "start resp_1 m\nopen 0 tool call_1 f\narguments 0 \"{\"x\":1}\"\nclose 0\nend tool_use in=10 out=2\n");
}

TEST_CASE("G-19: a stream without event lines is read by the types in its data") {
  std::string bytes = kCreated + text_delta(0, "Hi") + completed();
  for (auto at = bytes.find("event: "); at != std::string::npos; at = bytes.find("event: ", at))
    bytes.erase(at, bytes.find('\n', at) + 1 - at);
  CHECK(read(bytes) == "start resp_1 m\nopen 0 text\ntext 0 \"Hi\"\nclose 0\nend end_turn in=10 out=2\n");
}

TEST_CASE("G-20: a stream of responses that ends without its last event was cut") {
  CHECK(read(kCreated + text_delta(0, "Hi")).find("error api_error") != std::string::npos);
  CHECK(read(kCreated).find("error api_error") != std::string::npos);
}

TEST_CASE("G-20: an error event in either form, and a failed response, are errors with their words") {
  for (
      const std::string& failed :
      {event("error", R"("code":"server_error","message":"It broke","param":null)"),
       event("error", R"("error":{"type":"server_error","message":"It broke"})"),
       event(
           "response.failed",
           R"("response":{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"It broke"}})"),
       event(
           "response.completed",
           R"("response":{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"It broke"}})")}) {
    const std::string told = read(kCreated + text_delta(0, "Hi") + failed);
    CHECK(told.find("It broke") != std::string::npos);
    CHECK(told.find("end ") == std::string::npos);
  }
}

TEST_CASE("G-36: reasoning goes back only to the provider and the model that made it") {
  const std::string item = R"({"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"gAAA"})";
  const std::string body =
      R"({"model":"m","max_tokens":100,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":")" +
      dialect::signature::encode({"openai", "gpt", item}) +
      R"("},{"type":"text","text":"b"}]},{"role":"user","content":"c"}]})";
  dialect::Capabilities target;
  target.provider = "openai";
  target.model = "gpt";
  chat::LossNotes losses;
  CHECK(written(body, target, losses).find(item) != std::string::npos);
  CHECK(losses.empty());
  target.model = "gpt-other";
  CHECK(written(body, target, losses).find("gAAA") == std::string::npos);
  CHECK(losses.header_value() == "thinking");
}

TEST_CASE("thinking of any provider survives a responses client byte by byte") {
  for (const bool redacted : {false, true}) {
    chat::Reply reply;
    reply.blocks.push_back({chat::Thinking{"a thought", redacted ? "" : "EqQB+/=\n", redacted}});
    reply.blocks.push_back({chat::Text{"answer", {}, {}}});
    chat::LossNotes losses;
    const std::string told = responses().write_reply(reply, dialect::StreamWriterOptions{}, losses);
    const auto tree = test::parse_tree(told);
    REQUIRE(tree);
    const std::string body = R"({"model":"m","input":)" + test::compact(*tree->get("output")) + "}";
    const auto request = responses().read_request(body);
    REQUIRE(request.ok());
    const auto* thinking = std::get_if<chat::Thinking>(&request->messages.at(0).blocks.at(0).value);
    REQUIRE(thinking != nullptr);
    CHECK(thinking->text == "a thought");
    CHECK(thinking->redacted == redacted);
    CHECK(thinking->signature == (redacted ? "" : "EqQB+/=\n"));
  }
}

TEST_CASE("what a responses provider keeps is refused in words by the writers of other dialects") {
  for (const std::string& member :
       {std::string(R"("previous_response_id":"resp_1")"), std::string(R"("conversation":"c")"),
        std::string(R"("background":true)")}) {
    const auto request = responses().read_request(R"({"model":"m","input":"hi",)" + member + "}");
    REQUIRE(request.ok());
    for (const char* to : {"anthropic", "openai_chat", "ollama"}) {
      dialect::Capabilities target;
      target.provider = "p";
      chat::LossNotes losses;
      const auto out = dialect::by_name(to)->write_request(*request, target, losses);
      INFO(to << " " << member);
      REQUIRE_FALSE(out.ok());
      CHECK(out.error().http_status == 400);
    }
  }
}

TEST_CASE("arguments of calls are sent without white space between their tokens, and with all that is inside their texts") {
  for (const char* arguments : {R"({})", R"({ })", R"({"a":"b c"})", R"({"a": "b c"})", R"({"a":"b\" c"})", R"({"a":"b\\", "c":1})", R"({"a":"b\\\" c"})",
                                R"({"a":[1,2]})", R"({"a":[1, 2]})", "{\"a\":\n1}", "{\"a\":\t1}", "{\"a\":1\r}", R"({"a":"\\\\ "})", R"({"":" ","\\":[" "]})"}) {
    CAPTURE(arguments);
    std::string call = R"({"type":"tool_use","id":"c1","name":"f","input":)" + std::string(arguments) + "}";
    chat::LossNotes losses;
    dialect::Capabilities target;
    const std::string out = written(
        R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"u"},{"role":"assistant","content":[)" + call +
            R"(]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"r"}]}]})",
        target, losses);
    std::string wanted;
    json::append_string(wanted, json::compact(arguments));
    CHECK(out.find("\"arguments\":" + wanted) != std::string::npos);
  }
}

TEST_CASE("the outline of a responses request has the facts that rules decide on") {
  const std::string body = R"({"model":"gpt","stream":true,"instructions":"Be brief.","max_output_tokens":50,
    "reasoning":{"effort":"high"},"prompt_cache_key":"session","safety_identifier":"me",
    "tools":[{"type":"function","name":"f"},{"type":"custom","name":"patch"}],
    "input":[{"role":"developer","content":"Now."},{"role":"user","content":[{"type":"input_text","text":"Hi"},
      {"type":"input_image","image_url":"data:image/png;base64,AAAA"}]},{"type":"reasoning","summary":[]},
      {"type":"function_call","call_id":"c","name":"f","arguments":"{}"},
      {"type":"function_call_output","call_id":"c","output":"done"}]})";
  const auto outline = responses().outline(body);
  REQUIRE(outline.ok());
  CHECK(outline->model == "gpt");
  CHECK(outline->stream);
  CHECK(outline->max_tokens == 50);
  CHECK(outline->effort == "high");
  CHECK(outline->session_id == "session");
  CHECK(outline->user_id == "me");
  CHECK(outline->messages == 4);
  CHECK(outline->tools == 2);
  CHECK(outline->custom_tools == std::vector<std::string>{"patch"});
  CHECK(outline->tool_results == 1);
  CHECK(outline->images == 1);
  CHECK(outline->last_role == "tool");
  CHECK(outline->last_user_json == "\"Hi\"");
  CHECK(outline->system_json == std::vector<std::string_view>{"\"Be brief.\"", "\"Now.\""});
}

TEST_CASE("the paths of responses lead to their dialect") {
  using dialect::Endpoint;
  CHECK(dialect::find("POST", "/v1/responses").spoken == &responses());
  CHECK(dialect::find("POST", "/v1/responses").endpoint == Endpoint::kGenerate);
  CHECK(dialect::find("POST", "/responses/").endpoint == Endpoint::kGenerate);
  CHECK(dialect::find("POST", "/v1/responses/input_tokens").endpoint == Endpoint::kCountTokens);
  CHECK(dialect::find("GET", "/v1/responses").endpoint == Endpoint::kWebSocket);
  CHECK(dialect::find("GET", "/v1/responses/resp_1").endpoint == Endpoint::kStored);
  CHECK(dialect::find("DELETE", "/v1/responses/resp_1").endpoint == Endpoint::kStored);
  CHECK(dialect::find("POST", "/v1/responses/compact").endpoint == Endpoint::kStored);
}

TEST_CASE("an error before the first event is one event that every client of responses reads") {
  const auto writer = responses().stream_writer(dialect::StreamWriterOptions{});
  std::string out;
  writer->write(chat::StreamError{"overloaded_error", "Overloaded", false}, out);
  CHECK(test::check_responses_stream(out).error_message == "Overloaded");
  CHECK(out ==
        "event: error\ndata: "
        "{\"type\":\"error\",\"sequence_number\":0,\"code\":\"overloaded\",\"message\":\"Overloaded\","
        "\"param\":null}\n\n");
}
