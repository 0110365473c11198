#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"
#include "support/stream_cuts.h"

using namespace ccrules;
using namespace ccrules::dialect;
using ccrules::test::to_text;

namespace {

chat::Outline outline_of(const std::string& body) {
  auto outline = ollama_chat().outline(body);
  INFO(body);
  REQUIRE(outline.ok());
  return *outline;
}

std::string refusal(const std::string& body) {
  const auto outline = ollama_chat().outline(body);
  const auto request = ollama_chat().read_request(body);
  REQUIRE_FALSE(outline.ok());
  CHECK_FALSE(request.ok());
  return outline.error().message;
}

std::string line(const std::string& message, bool done = false) {
  return R"({"model":"m","created_at":"t","message":)" + message + R"(,"done":)" + (done ? "true" : "false") +
         (done ? R"(,"done_reason":"stop","eval_count":3})" : "}") + "\n";
}

}  // namespace

TEST_CASE("ollama: a request streams unless it says otherwise") {
  const std::string rest = R"("model":"m","messages":[{"role":"user","content":"hi"}]})";
  CHECK(outline_of("{" + rest).stream);
  CHECK_FALSE(outline_of(R"({"stream":false,)" + rest).stream);
  CHECK(ollama_chat().read_request("{" + rest)->stream);
}

TEST_CASE("ollama: the outline finds what rules decide on") {
  const std::string body =
      R"({"model":"m","think":"high","options":{"num_predict":77},"format":{"type":"object"},)"
      R"("tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"description":"x","name":"g"}}],)"
      R"("messages":[{"role":"system","content":"s"},{"role":"user","content":"one","images":["AAAA","BBBB"]},)"
      R"({"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{}}}]},)"
      R"({"role":"tool","tool_name":"f","content":"r"},{"role":"user","content":"two"},{"role":"tool","content":"q"}]})";
  const chat::Outline outline = outline_of(body);
  CHECK(outline.max_tokens == 77);
  CHECK(outline.effort == "high");
  CHECK(outline.thinking.kind == chat::ThinkingKind::kAdaptive);
  CHECK(outline.json_schema_answer);
  CHECK(outline.tools == 2);
  CHECK(outline.tool_names == std::vector<std::string_view>{"f", "g"});
  CHECK(outline.messages == 6);
  CHECK(outline.images == 2);
  CHECK(outline.media_bytes == 8);
  CHECK(outline.tool_results == 2);
  CHECK(outline.last_role == "tool");
  CHECK(outline.first_user_json == "\"one\"");
  CHECK(outline.last_user_json == "\"two\"");
  CHECK(outline.system_json == std::vector<std::string_view>{"\"s\""});
  CHECK(outline.model_json == "\"m\"");
}

TEST_CASE("ollama: bad requests are refused in one sentence") {
  CHECK(refusal(R"({"messages":[{"role":"user","content":"x"}]})") == "model is missing: send the name of a model");
  CHECK(refusal(R"({"model":"m","messages":[]})") == "messages is missing or empty: send at least one message");
  CHECK(refusal(R"({"model":"m"})") == "messages is missing or empty: send at least one message");
  CHECK(refusal(R"({"model":"m","messages":[{"role":"user","content":["x"]}]})") ==
        "messages[0].content must be a string");
  const auto role = ollama_chat().read_request(R"({"model":"m","messages":[{"role":"wizard","content":"x"}]})");
  REQUIRE_FALSE(role.ok());
  CHECK(role.error().message == "messages[0].role must be system, user, assistant or tool");
  CHECK_FALSE(ollama_chat().outline(R"({"model":"a","model":"b","messages":[{"role":"user","content":"x"}]})").ok());
}

TEST_CASE("ollama: paths of its clients lead to it") {
  CHECK(find("POST", "/api/chat").spoken == &ollama_chat());
  CHECK(find("POST", "/api/chat").endpoint == Endpoint::kGenerate);
  CHECK(find("GET", "/api/tags").endpoint == Endpoint::kModels);
  CHECK(find("GET", "/api/version").endpoint == Endpoint::kVersion);
  CHECK(find("POST", "/api/show").endpoint == Endpoint::kShow);
  CHECK(find("GET", "/api/chat").endpoint == Endpoint::kNone);
}

TEST_CASE("ollama: a stream gives the same events in every cut") {
  const std::string stream = line(R"({"role":"assistant","content":"","thinking":"hm"})") +
                             line(R"({"role":"assistant","content":"\n"})") +
                             line(R"({"role":"assistant","content":"a\u00e9"})") + "\r\n" +
                             line(R"({"role":"assistant","content":"","tool_calls":[{"function":{"name":"f"}}]})") +
                             line(R"({"role":"assistant","content":""})", true);
  const auto run = test::read_every_cut(ollama_chat(), stream);
  CHECK(!run.error);
  CHECK_THAT(to_text(run), Catch::Contains("end tool_use"));
}

TEST_CASE("ollama: white space before a call opens no block, before a text it belongs to it") {
  const auto events = [](const std::string& after) {
    return to_text(test::read_every_cut(ollama_chat(), line(R"({"role":"assistant","content":"\n\n"})") + line(after, true)));
  };
  CHECK_THAT(events(R"({"role":"assistant","content":"","tool_calls":[{"function":{"name":"f"}}]})"),
             !Catch::Contains("text 0"));
  CHECK_THAT(events(R"({"role":"assistant","content":"x"})"), Catch::Contains("text 0 \"\n\nx\""));
}

TEST_CASE("ollama: a stream without done was cut, whatever stood in it") {
  const std::string call = line(R"({"role":"assistant","content":"","tool_calls":[{"function":{"name":"f"}}]})");
  for (const std::string& bytes : {std::string(), line(R"({"role":"assistant","content":"x"})"), call}) {
    const auto run = test::read_every_cut(ollama_chat(), bytes);
    REQUIRE_FALSE(run.events.empty());
    const auto* error = std::get_if<chat::StreamError>(&run.events.back());
    REQUIRE(error != nullptr);
    CHECK(error->cut);
  }
}

TEST_CASE("ollama: a line that is no JSON object is a broken upstream, not an answer") {
  for (const char* bytes : {"<html>\n", "[1]\n", "{\"a\":\n", "data: {}\n"}) {
    const auto run = test::read_pieces(ollama_chat(), {bytes});
    INFO(bytes);
    REQUIRE(run.error.has_value());
    CHECK(run.error->http_status == 502);
    CHECK_THAT(run.error->message, Catch::Contains("where a JSON object belongs; check that its base_url is an Ollama server"));
  }
}

TEST_CASE("ollama: a line without an end is refused before it fills the memory") {
  const auto reader = ollama_chat().stream_reader({});
  std::vector<chat::Event> events;
  const std::string piece(1 << 20, 'x');
  bool refused = false;
  for (int i = 0; i < 64 && !refused; ++i) refused = !reader->feed(piece, events).ok();
  CHECK(refused);
}

TEST_CASE("ollama: call ids of a hostile provider become ids that clients take, and differ") {
  const auto run = test::read_pieces(
      ollama_chat(),
      {line(R"({"role":"assistant","content":"","tool_calls":[{"id":"a b","function":{"name":"f"}},)"
            R"({"id":"x","function":{"name":"f"}},{"id":"x","function":{"name":"f"}},{"function":{"name":"f"}}]})",
            true)});
  std::vector<std::string> ids;
  for (const chat::Event& event : run.events) {
    if (const auto* start = std::get_if<chat::BlockStart>(&event))
      ids.push_back(std::get<chat::ToolCall>(start->block.value).id);
  }
  REQUIRE(ids.size() == 4);
  CHECK(ids[1] == "x");
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CHECK(ids[i].find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
          std::string::npos);
    for (std::size_t j = 0; j < i; ++j) CHECK(ids[i] != ids[j]);
  }
}

TEST_CASE("ollama: a ping is a line its clients can parse") {
  const auto writer = ollama_chat().stream_writer({});
  std::string ping(writer->ping());
  REQUIRE(ping.ends_with('\n'));
  CHECK(json::is_valid(ping));
  CHECK_THAT(ping, Catch::Contains(R"("content":"")") && Catch::Contains(R"("done":false)"));
}

TEST_CASE("ollama: a negative count is nobody's, and of a fractional one the whole tokens count") {
  const chat::Reply reply = ollama_chat().peek_reply(
      R"({"model":"m","message":{"role":"assistant","content":"x"},"done":true,"prompt_eval_count":-5,"eval_count":2.9})");
  CHECK_FALSE(reply.usage.input_tokens);
  CHECK(reply.usage.output_tokens == 2);
}

TEST_CASE("ollama: a request of its own dialect keeps options and members this build does not know") {
  const std::string body =
      R"({"model":"m","keep_alive":"5m","options":{"num_ctx":8192,"temperature":0.5,"mirostat":1},)"
      R"("messages":[{"role":"user","content":"x"}]})";
  const auto request = ollama_chat().read_request(body);
  REQUIRE(request.ok());
  chat::LossNotes losses;
  Capabilities target;
  target.prefill = true;
  const auto written = ollama_chat().write_request(*request, target, losses);
  REQUIRE(written.ok());
  CHECK_THAT(*written, Catch::Contains(R"("num_ctx":8192)") && Catch::Contains(R"("mirostat":1)") &&
                           Catch::Contains(R"("keep_alive":"5m")") && !Catch::Contains("truncate"));
  CHECK(losses.empty());
}

TEST_CASE("ollama: what decisions read stands there once, in small letters") {
  const auto outline = [](const std::string& member) {
    return ollama_chat().outline(R"({"model":"m","messages":[{"role":"user","content":"hi"}],)" + member + "}");
  };
  REQUIRE_FALSE(outline(R"("Model":"other")").ok());
  CHECK(outline(R"("Model":"other")").error().message == "Model must be written model");
  CHECK_FALSE(outline(R"("OPTIONS":{"num_predict":9000})").ok());
  CHECK_FALSE(outline(R"("options":{"num_predict":1,"num_predict":9000})").ok());
  CHECK(outline(R"("Keep_Alive":5,"options":{"num_ctx":1,"num_ctx":2})").ok());
}
