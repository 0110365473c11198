#include <string>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"

using namespace ccrules;

namespace {

/// An outline with the body its views point into.
struct Outlined {
  std::string body;
  Result<chat::Outline> result;
  explicit Outlined(std::string text)
      : body(std::move(text)), result(dialect::anthropic().outline(json::padded(body))) {}
  const chat::Outline& operator*() const { return *result; }
  const chat::Outline* operator->() const { return &*result; }
};

std::string error_of(const std::string& text) {
  const Outlined outlined(text);
  return outlined.result.ok() ? "" : outlined.result.error().message;
}

std::string with(const std::string& members) {
  return R"({"model":"m","messages":[{"role":"user","content":"Hi"}],)" + members + "}";
}

}  // namespace

TEST_CASE("an outline finds everything rules decide on in one pass") {
  const Outlined outline(R"({"model":"claude-x","max_tokens":32000,"stream":true,
    "system":[{"type":"text","text":"one"},{"type":"text","text":"tw\no","cache_control":{"type":"ephemeral"}}],
    "thinking":{"type":"enabled","budget_tokens":2048,"display":"omitted"},
    "output_config":{"effort":"high","format":{"type":"json_schema","schema":{}}},
    "tools":[{"name":"Read","input_schema":{}},{"type":"bash_20250124","name":"bash"}],
    "metadata":{"user_id":"{\"device_id\":\"d\",\"session_id\":\"s-1\"}"},
    "messages":[{"role":"user","content":"first"},
      {"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Task","input":{"prompt":"p"}},{"type":"tool_use","id":"t2","name":"Read","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"abc"},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]},
        {"type":"tool_result","tool_use_id":"t2","content":"plain"},
        {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"BBBBBB"}},
        {"type":"text","text":"last"}]}]})");
  REQUIRE(outline.result.ok());
  CHECK(outline->model == "claude-x");
  CHECK(outline->model_json == "\"claude-x\"");
  CHECK(outline->stream);
  CHECK(outline->max_tokens == 32000);
  CHECK(outline->system_json == std::vector<std::string_view>{"\"one\"", "\"tw\\no\""});
  CHECK(outline->thinking.kind == chat::ThinkingKind::kEnabled);
  CHECK(outline->thinking.budget_tokens == 2048);
  CHECK(outline->thinking.display == "omitted");
  CHECK(outline->effort == "high");
  CHECK(outline->json_schema_answer);
  CHECK(outline->tools == 2);
  CHECK(outline->tool_names == std::vector<std::string_view>{"Read", "bash"});
  CHECK(outline->session_id == "s-1");
  CHECK(outline->messages == 3);
  CHECK(outline->images == 1);
  CHECK(outline->documents == 1);
  CHECK(outline->tool_results == 2);
  CHECK(outline->media_bytes == 10);
  CHECK(outline->last_role == "tool");
  CHECK(outline->first_user_json == "\"first\"");
  CHECK(outline->last_user_json == "\"last\"");
  CHECK(outline->spawn_inputs_json == std::vector<std::string_view>{R"({"prompt":"p"})"});
}

TEST_CASE("text is counted in escaped bytes, base64 apart") {
  CHECK(Outlined(R"({"model":"m","messages":[{"role":"user","content":"a\nb"}]})")->text_bytes == 4);
  CHECK(
      Outlined(
          R"({"model":"m","messages":[{"role":"user","content":[{"text":"abc","type":"text"}]}],"system":"de"})")
          ->text_bytes == 5);
  const Outlined text(
      R"({"model":"m","messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","data":"abcd"}}]}]})");
  CHECK(text->text_bytes == 4);
  CHECK(text->media_bytes == 0);
}

TEST_CASE("the session is found in both forms of Claude Code's user_id, and nowhere else") {
  CHECK(Outlined(with(R"("metadata":{"user_id":"user_abc_account_def_session_0a-1b"})"))->session_id ==
        "0a-1b");
  CHECK(Outlined(with(R"("metadata":{"user_id":"{\"session_id\":\"s\"}"})"))->session_id == "s");
  CHECK(Outlined(with(R"("metadata":{"user_id":"someone"})"))->session_id.empty());
  CHECK(Outlined(with(R"("metadata":{"user_id":"{broken"})"))->session_id.empty());
}

TEST_CASE("only assistants spawn agents, and a system message is the last role when it is last") {
  const Outlined outline(R"({"model":"m","messages":[
    {"content":[{"type":"tool_use","name":"Agent","input":{"a":1}}],"role":"user"},
    {"content":[{"type":"tool_use","name":"Agent","input":{"b":1}}],"role":"assistant"},
    {"role":"system","content":"be brief"}]})");
  REQUIRE(outline.result.ok());
  CHECK(outline->spawn_inputs_json == std::vector<std::string_view>{R"({"b":1})"});
  CHECK(outline->last_role == "system");
  CHECK(outline->last_user_json.empty());
}

TEST_CASE("a request without model or messages is refused with what is missing") {
  CHECK(error_of("{}") == "model is missing: send the name of a model");
  CHECK(error_of(R"({"model":"","messages":[{"role":"user","content":"x"}]})") ==
        "model is missing: send the name of a model");
  CHECK(error_of(R"({"model":"m"})") == "messages is missing or empty: send at least one message");
  CHECK(error_of(R"({"model":"m","messages":[]})") ==
        "messages is missing or empty: send at least one message");
  CHECK(error_of(R"({"model":5,"messages":[]})") == "model must be a string, not a number");
  CHECK(error_of(R"({"model":"m","messages":{}})") == "messages must be an array, not an object");
  CHECK(error_of(R"({"model":"m","messages":[{"role":"user","content":5}]})") ==
        "messages[0].content must be a string or an array");
  CHECK(error_of(R"([1])") == "the body must be an object, not an array");
  CHECK(error_of(with(R"("stream":"yes")")) == "stream must be true or false, not a string");
  CHECK(error_of(with(R"("max_tokens":1.5)")) == "max_tokens must be a whole number");
}

TEST_CASE("what is routed on may be sent only once") {
  for (const char* name : {"model", "messages", "stream", "max_tokens", "system", "tools", "thinking"}) {
    const std::string value = std::string(name) == "model" ? "\"m\"" : "null";
    const std::string member = std::string("\"") + name + "\":" + value;
    const std::string body =
        R"({"model":"m","messages":[{"role":"user","content":"Hi"}],)" + member + "," + member + "}";
    INFO(name);
    CHECK(error_of(body) == std::string(name) + " is sent twice: send it once");
  }
  CHECK(error_of(with(R"("x":1,"x":2)")) == "");
  CHECK(error_of(with(R"("thinking":{"type":"enabled","budget_tokens":1024,"budget_tokens":64000})")) ==
        "budget_tokens is sent twice: send it once");
  CHECK(error_of(with(R"("output_config":{"effort":"low","effort":"max"})")) == "effort is sent twice: send it once");
  CHECK(error_of(with(R"("output_config":{},"output_config":{})")) == "output_config is sent twice: send it once");
}

TEST_CASE("malformed JSON is refused wherever it is") {
  const std::string good =
      R"({"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"x":{"y":[1,2]}})";
  REQUIRE(error_of(good) == "");
  CHECK_FALSE(error_of(good + "x").empty());
  for (std::size_t size = 0; size < good.size(); ++size) CHECK_FALSE(error_of(good.substr(0, size)).empty());
  CHECK_FALSE(error_of(with(R"("x":[1 2])")).empty());
  CHECK_FALSE(error_of(with(R"("x":{"a"})")).empty());
}

TEST_CASE("unknown members, blocks and types pass") {
  CHECK(error_of(with(R"("safeguards":{"a":1},"tags":[1],"thinking":{"type":"new_kind"})")) == "");
  CHECK(
      error_of(
          R"({"model":"m","messages":[{"role":"user","content":[{"type":"new","content":{"a":[{}]}},7,null]}]})") ==
      "");
  CHECK(
      error_of(
          R"({"model":"m","messages":[{"role":"user","content":null},{"role":"user"}],"system":null,"tools":null})") ==
      "");
}
