#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"
#include "support/validators.h"

using namespace ccrules;

namespace {

Result<chat::Request> try_read(const std::string& body) {
  const std::string padded = body + std::string(json::kPadding, ' ');
  return dialect::openai_chat().read_request(std::string_view(padded).substr(0, body.size()));
}
chat::Request read(const std::string& body) {
  auto request = try_read(body);
  if (!request) FAIL(request.error().message);
  return *std::move(request);
}
/// A request with these members beside the model and one message.
chat::Request read_with(const std::string& members) {
  return read(R"({"model":"m","messages":[{"role":"user","content":"hi"}],)" + members + "}");
}
chat::Request read_messages(const std::string& messages) {
  return read(R"({"model":"m","messages":[)" + messages + "]}");
}

std::string error_of(const std::string& body) {
  const auto request = try_read(body);
  const std::string padded = body + std::string(json::kPadding, ' ');
  const auto outline = dialect::openai_chat().outline(std::string_view(padded).substr(0, body.size()));
  REQUIRE_FALSE(request.ok());
  CHECK_FALSE(outline.ok());
  CHECK(request.error().http_status == 400);
  return request.error().message;
}

template <class T>
const T& as(const chat::Block& block) {
  REQUIRE(std::holds_alternative<T>(block.value));
  return std::get<T>(block.value);
}

/// Body -> neutral -> body, for the same dialect.
std::string round_trip(const std::string& body) {
  const chat::Request request = read(body);
  dialect::Capabilities target;
  target.model = request.model;
  chat::LossNotes losses;
  const auto written = dialect::openai_chat().write_request(request, target, losses);
  if (!written) FAIL(written.error().message);
  CHECK(losses.header_value() == "");
  return *written;
}

}  // namespace

TEST_CASE("a chat request's plain fields are read") {
  const chat::Request request = read(
      R"({"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":5,"max_completion_tokens":7,)"
      R"("temperature":0.5,"top_p":1,)"
      R"("stop":"END","stream":true,"stream_options":{"include_usage":true},"user":"u","n":1,"parallel_tool_calls":false,)"
      R"("store":null})");
  CHECK(request.dialect == "openai_chat");
  CHECK(request.model == "m");
  CHECK(request.max_tokens == 7);
  CHECK(request.temperature == 0.5);
  CHECK(request.top_p == 1.0);
  CHECK(request.stop_sequences == std::vector<std::string>{"END"});
  CHECK(request.stream);
  CHECK(request.include_usage);
  CHECK(request.user_id == "u");
  REQUIRE(request.tool_choice);
  CHECK(request.tool_choice->parallel_tool_calls == false);
  CHECK(request.extra_json.empty());
}

TEST_CASE("a stream reports usage only when asked, a whole reply always") {
  CHECK_FALSE(read_with(R"("stream":true)").include_usage);
  CHECK(read_with(R"("stream":false)").include_usage);
}

TEST_CASE("leading system and developer messages are the system prompt, later ones stay in their place") {
  const chat::Request request = read_messages(
      R"({"role":"system","content":"A"},{"role":"developer","content":[{"type":"text","text":"B"}]},{"role":"user",)"
      R"("content":"hi"},)"
      R"({"role":"system","content":"C"})");
  REQUIRE(request.system.size() == 2);
  CHECK(as<chat::Text>(request.system[1]).text == "B");
  REQUIRE(request.messages.size() == 2);
  CHECK(request.messages[0].role == chat::Role::kUser);
  CHECK(request.messages[0].plain_string);
  CHECK(request.messages[1].role == chat::Role::kSystem);
}

TEST_CASE("content parts become blocks: data URIs are decoded into type and base64, unknown parts are kept") {
  const chat::Request request = read_messages(
      R"({"role":"user","name":"bob","content":[{"type":"text","text":"see"},{"type":"image_url",)"
      R"("image_url":{"url":"data:image/png;base64,QUJD","detail":"low"}},)"
      R"({"type":"image_url","image_url":{"url":"https://x/y"}},{"type":"file","file":{"filename":"a.pdf",)"
      R"("file_data":"data:application/pdf;base64,UERG"}},)"
      R"({"type":"file","file":{"file_id":"file-1"}},{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]})");
  const chat::Message& message = request.messages.at(0);
  CHECK(message.name == "bob");
  REQUIRE(message.blocks.size() == 6);
  const auto& image = as<chat::Image>(message.blocks[1]);
  CHECK(image.kind == chat::SourceKind::kBase64);
  CHECK(image.media_type == "image/png");
  CHECK(image.data == "QUJD");
  CHECK(image.detail == "low");
  CHECK(as<chat::Image>(message.blocks[2]).kind == chat::SourceKind::kUrl);
  const auto& pdf = as<chat::Document>(message.blocks[3]);
  CHECK(pdf.title == "a.pdf");
  CHECK(pdf.media_type == "application/pdf");
  CHECK(pdf.data == "UERG");
  CHECK(as<chat::Document>(message.blocks[4]).kind == chat::SourceKind::kFile);
  const auto& audio = as<chat::Opaque>(message.blocks[5]);
  CHECK(audio.type == "input_audio");
  CHECK(audio.json == R"({"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}})");
}

TEST_CASE(
    "an assistant's reasoning, text and calls are read in that order; arguments stay as they were written") {
  const chat::Request request = read_messages(
      R"({"role":"user","content":"hi"},{"role":"assistant","content":"Looking","tool_calls":[{"id":"c1","type":"function",)"
      R"("function":{"name":"f","arguments":"{ \"a\": 1.10 } oops"}}],"reasoning_content":"hm","refusal":null,)"
      R"("annotations":[]})");
  const chat::Message& message = request.messages.at(1);
  REQUIRE(message.blocks.size() == 3);
  CHECK(as<chat::Thinking>(message.blocks[0]).text == "hm");
  CHECK(as<chat::Text>(message.blocks[1]).text == "Looking");
  CHECK(as<chat::ToolCall>(message.blocks[2]).arguments_json == "{ \"a\": 1.10 } oops");
  CHECK(message.extra_json.empty());
}

TEST_CASE("consecutive tool messages become one user message of results") {
  const chat::Request request = read_messages(
      R"({"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",)"
      R"("function":{"name":"f","arguments":"{}"}},)"
      R"({"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1",)"
      R"("content":"1"},)"
      R"({"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":"2"}]},{"role":"user","content":"go"})");
  REQUIRE(request.messages.size() == 4);
  REQUIRE(request.messages[2].blocks.size() == 2);
  CHECK(as<chat::ToolResult>(request.messages[2].blocks[1]).call_id == "c2");
  CHECK(as<chat::Text>(as<chat::ToolResult>(request.messages[2].blocks[1]).content.at(0)).text == "2");
}

TEST_CASE("legacy functions, function_call and function messages are tools, calls and results") {
  const chat::Request request = read(
      R"({"model":"m","functions":[{"name":"f","description":"d","parameters":{"type":"object"}}],)"
      R"("function_call":{"name":"f"},"messages":[)"
      R"({"role":"user","content":"hi"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},)"
      R"({"role":"function","name":"f","content":"42"}]})");
  REQUIRE(request.tools.size() == 1);
  CHECK(request.tools[0].description == "d");
  REQUIRE(request.tool_choice);
  CHECK(request.tool_choice->name == "f");
  CHECK(as<chat::ToolCall>(request.messages.at(1).blocks.at(0)).id ==
        as<chat::ToolResult>(request.messages.at(2).blocks.at(0)).call_id);
}

TEST_CASE("tools and tool_choice are read; what this build does not model is kept") {
  const chat::Request request = read_with(
      R"("tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},)"
      R"({"type":"custom","custom":{"name":"raw","format":{"type":"text"}}}],"tool_choice":{"type":"allowed_tools",)"
      R"("allowed_tools":{"mode":"auto","tools":[]}})");
  REQUIRE(request.tools.size() == 2);
  CHECK(request.tools[0].schema_json == R"({"type":"object"})");
  CHECK(request.tools[0].strict == true);
  CHECK(request.tools[1].type == "openai_custom");
  CHECK(request.tools[1].name == "raw");
  CHECK(request.tools[1].original_json ==
        R"({"type":"custom","custom":{"name":"raw","format":{"type":"text"}}})");
  CHECK_FALSE(request.tool_choice);
  CHECK(request.extra_json.find("allowed_tools") != std::string::npos);
  const auto kind = [](const std::string& choice) {
    return read_with("\"tool_choice\":" + choice).tool_choice->kind;
  };
  CHECK(kind("\"auto\"") == chat::ToolChoiceKind::kAuto);
  CHECK(kind("\"required\"") == chat::ToolChoiceKind::kAny);
  CHECK(kind("\"any\"") == chat::ToolChoiceKind::kAny);
  CHECK(kind("\"none\"") == chat::ToolChoiceKind::kNone);
  CHECK(kind(R"({"type":"function","function":{"name":"f"}})") == chat::ToolChoiceKind::kTool);
}

TEST_CASE("reasoning is asked for in four ways") {
  CHECK(read_with(R"("reasoning_effort":"high")").thinking.kind == chat::ThinkingKind::kAdaptive);
  CHECK(read_with(R"("reasoning_effort":"high")").effort == "high");
  CHECK(read_with(R"("reasoning_effort":"none")").thinking.kind == chat::ThinkingKind::kDisabled);
  CHECK(read_with(R"("thinking":{"type":"enabled"})").thinking.kind == chat::ThinkingKind::kEnabled);
  CHECK(read_with(R"("reasoning":{"max_tokens":2000})").thinking.budget_tokens == 2000);
  CHECK(read_with(R"("reasoning":{"effort":"low"})").effort == "low");
}

TEST_CASE("a structured answer is read with its name, JSON mode as a flag") {
  const chat::Request request = read_with(
      R"("response_format":{"type":"json_schema","json_schema":{"name":"A","strict":true,"schema":{"type":"object"}}})");
  CHECK(request.response_schema_json == R"({"type":"object"})");
  CHECK(request.response_schema_name == "A");
  CHECK(request.response_schema_extra_json == R"({"strict":true})");
  CHECK(read_with(R"("response_format":{"type":"json_object"})").json_object_mode);
  CHECK_FALSE(read_with(R"("response_format":{"type":"text"})").json_object_mode);
}

TEST_CASE("unknown members are kept verbatim and go back out to the same dialect") {
  const chat::Request request =
      read_with(R"("seed":7,"n":2,"logit_bias":{"1":-1.50},"provider":{"order":["x"]},"top_k":3)");
  CHECK(request.extra_json == R"({"seed":7,"n":2,"logit_bias":{"1":-1.50},"provider":{"order":["x"]}})");
  const std::string body =
      R"({"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA==",)"
      R"("format":"wav"}}]}],"top_k":3,"seed":7})";
  CHECK(round_trip(body) == body);
}

TEST_CASE("a conversation survives the way through the neutral request") {
  const std::string body =
      R"({"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","content":"hi"},)"
      R"({"role":"assistant","content":"Looking","tool_calls":[{"id":"c1","type":"function","function":{"name":"f",)"
      R"("arguments":"{\"a\":1}"}}]},)"
      R"({"role":"tool","tool_call_id":"c1","content":"42"},{"role":"user","content":[{"type":"text","text":"see"},)"
      R"({"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD","detail":"low"}}]}],)"
      R"("tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}}],)"
      R"("tool_choice":"auto","max_tokens":5,"temperature":0.5,"reasoning_effort":"low","user":"u","seed":7})";
  CHECK(round_trip(body) == body);
}

TEST_CASE("bad requests get one clear sentence") {
  CHECK(error_of(R"({"messages":[{"role":"user","content":"hi"}]})") ==
        "model is missing: send the name of a model");
  CHECK(error_of(R"({"model":"","messages":[{"role":"user","content":"hi"}]})") ==
        "model is missing: send the name of a model");
  CHECK(error_of(R"({"model":"m"})") == "messages is missing or empty: send at least one message");
  CHECK(error_of(R"({"model":"m","messages":[]})") ==
        "messages is missing or empty: send at least one message");
  for (const std::string body :
       {"", "[]", "{", "{\"model\":\"m\",\"messages\":{}}", "{\"model\":5,\"messages\":[]}",
        "{\"model\":\"m\",\"messages\":[5]}", R"({"model":"m","messages":[{"role":"user","content":5}]})",
        R"({"model":"m","messages":[{"role":"user"}]} x)"}) {
    CAPTURE(body);
    CHECK_FALSE(error_of(body).empty());
  }
}

TEST_CASE("a message with an unknown role is refused by name") {
  const auto request =
      try_read(R"({"model":"m","messages":[{"role":"user","content":"a"},{"role":"robot","content":"b"}]})");
  REQUIRE_FALSE(request.ok());
  CHECK(request.error().message ==
        "messages[1] has an unknown role: use system, developer, user, assistant or tool");
}

TEST_CASE("the outline finds what rules decide on, with the sizes as escaped bytes") {
  const std::string body =
      R"({"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":9,)"
      R"("user":"{\"session_id\":\"s-1\"}","reasoning_effort":"high",)"
      R"("response_format":{"type":"json_schema","json_schema":{}},"messages":[{"role":"system","content":"S\n"},)"
      R"({"role":"user","content":"one"},)"
      R"({"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f",)"
      R"("arguments":"{}"}}]},)"
      R"({"role":"tool","tool_call_id":"c1","content":"42"},{"role":"user","content":[{"type":"text","text":"a"},)"
      R"({"type":"text","text":"last"},)"
      R"({"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}},{"type":"file",)"
      R"("file":{"file_data":"data:application/pdf;base64,UERG"}}]}],)"
      R"("tools":[{"type":"function","function":{"name":"f","parameters":{}}},{"type":"custom","custom":{"name":"g"}}]})";
  const std::string padded = body + std::string(json::kPadding, ' ');
  const auto outline = dialect::openai_chat().outline(std::string_view(padded).substr(0, body.size()));
  if (!outline) FAIL(outline.error().message);
  CHECK(outline->model == "m");
  CHECK(outline->stream);
  CHECK(outline->include_usage);
  CHECK(outline->max_tokens == 9);
  CHECK(outline->effort == "high");
  CHECK(outline->thinking.kind == chat::ThinkingKind::kAdaptive);
  CHECK(outline->session_id == "s-1");
  CHECK(outline->json_schema_answer);
  CHECK(outline->messages == 5);
  CHECK(outline->images == 1);
  CHECK(outline->documents == 1);
  CHECK(outline->tools == 2);
  CHECK(outline->tool_results == 1);
  CHECK(outline->tool_names == std::vector<std::string_view>{"f", "g"});
  CHECK(outline->system_json == std::vector<std::string_view>{R"("S\n")"});
  CHECK(outline->first_user_json == "\"one\"");
  CHECK(outline->last_user_json == "\"last\"");
  CHECK(outline->last_role == "user");
  CHECK(outline->media_bytes > 60);
  CHECK(outline->text_bytes > 100);
}

TEST_CASE("the outline refuses members that decide and are sent twice") {
  const std::string body = R"({"model":"a","model":"b","messages":[{"role":"user","content":"hi"}]})" +
                           std::string(json::kPadding, ' ');
  const auto outline =
      dialect::openai_chat().outline(std::string_view(body).substr(0, body.size() - json::kPadding));
  REQUIRE_FALSE(outline.ok());
  CHECK(outline.error().message == "model is sent twice: send it once");
}

TEST_CASE("the outline takes the larger of two limits") {
  const auto outline = [](const std::string& members) {
    const std::string body = R"({"model":"a","messages":[{"role":"user","content":"hi"}],)" + members + "}";
    return dialect::openai_chat().outline(body + std::string(json::kPadding, ' '));
  };
  CHECK(outline(R"("max_tokens":9000,"max_completion_tokens":5)")->max_tokens == 9000);
  CHECK(outline(R"("max_completion_tokens":9000,"max_tokens":5)")->max_tokens == 9000);
  CHECK(outline(R"("max_completion_tokens":null,"max_tokens":5)")->max_tokens == 5);
  CHECK_FALSE(outline(R"("n":1,"n":4)").ok());
}
