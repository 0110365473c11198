#include "dialect/refused_field.h"

#include <catch2/catch.hpp>

using namespace ccrules;

namespace {

/// "path", "path>instead" or "path=value" of what the answer refuses of `sent`; empty: nothing.
std::string refused(const std::string& answer, const std::string& sent, int status = 400) {
  dialect::UpstreamFailure failure;
  failure.status = status;
  failure.body = answer;
  const auto field = dialect::refused_field(failure, sent);
  if (!field) return {};
  if (field->value_json) return field->name() + "=" + *field->value_json;
  return field->instead.empty() ? field->name() : field->name() + ">" + field->instead;
}

std::string openai(const std::string& message) {
  return R"({"error":{"message":")" + message + R"(","type":"invalid_request_error","param":null,"code":null}})";
}

constexpr const char* kSent =
    R"({"model":"m","messages":[],"temperature":1,"top_p":1,"stream_options":{"include_usage":true},"reasoning_effort":"low",)"
    R"("parallel_tool_calls":true,"user":"u","max_tokens":5,"tool_choice":"auto","store":true,"thinking":{"type":"adaptive","display":"x"}})";

}  // namespace

TEST_CASE("refusals of a field are understood in each vendor's words") {
  CHECK(refused(openai("Unsupported parameter: 'temperature' is not supported with this model."), kSent) == "temperature");
  CHECK(refused(openai("Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported."), kSent) == "temperature");
  CHECK(refused(openai("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."), kSent) == "max_tokens>max_completion_tokens");
  CHECK(refused(openai("Unrecognized request argument supplied: parallel_tool_calls"), kSent) == "parallel_tool_calls");
  CHECK(refused(openai("Unknown parameter: 'store'."), kSent) == "store");
  CHECK(refused(openai("property 'reasoning_effort' is unsupported"), kSent) == "reasoning_effort");
  CHECK(refused(openai("`reasoning_effort` is not supported with this model"), kSent) == "reasoning_effort");
  CHECK(refused(openai("`temperature` and `top_p` cannot both be specified for this model. Please use only one."), kSent) == "top_p");
  CHECK(refused(R"({"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted","input":{}}]})", kSent, 422) == "stream_options");
  CHECK(refused(R"({"object":"error","message":"[{'type': 'extra_forbidden', 'loc': ('body', 'store'), 'msg': 'Extra inputs are not permitted'}]","code":400})", kSent) == "store");
  CHECK(refused(R"({"type":"error","error":{"type":"invalid_request_error","message":"thinking.display: Extra inputs are not permitted"}})", kSent) == "thinking.display");
  CHECK(refused(R"({"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"thinkingLevel\" at 'generation_config.thinking_config': Cannot find field.","status":"INVALID_ARGUMENT"}})",
                R"({"contents":[],"generationConfig":{"thinkingConfig":{"thinkingLevel":"LOW"}}})") == "generationConfig.thinkingConfig.thinkingLevel");
  CHECK(refused(R"({"error":"\"llama3.2\" does not support thinking"})", R"({"model":"llama3.2","messages":[],"think":true})") == "think");
}

TEST_CASE("what is no refusal of a field, or of none that was sent, is left alone") {
  CHECK(refused(openai("Unsupported parameter: 'seed' is not supported with this model."), kSent).empty());
  CHECK(refused(openai("The user's message is too long."), kSent).empty());
  CHECK(refused(openai("Streaming is not supported for this user, please contact sales"), kSent).empty());
  CHECK(refused(openai("Unsupported parameter: 'temperature' is not supported."), kSent, 500).empty());
  CHECK(refused("<html>temperature is not supported</html>", "not json").empty());
  CHECK(refused("", kSent).empty());
}

TEST_CASE("the conversation, the model, the tools and the form of the answer are never refused fields") {
  const std::string sent = R"({"model":"m","messages":[],"tools":[],"stream":true,"response_format":{},"max_tokens":1})";
  for (const char* field : {"model", "messages", "tools", "stream", "response_format", "max_tokens"})
    CHECK(refused(openai(std::string("Unsupported parameter: '") + field + "' is not supported."), sent).empty());
}

TEST_CASE("what the answer's form and the choice of tools are made of is kept, whatever a dialect calls it") {
  const std::string sent =
      R"({"messages":[],"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}},"output_format":{"type":"json_schema"},)"
      R"("functions":[],"tool_choice":{"type":"tool","name":"t"},"toolConfig":{"functionCallingConfig":{"mode":"ANY"}},)"
      R"("response_format":{"type":"json_schema","json_schema":{"strict":true}},"text":{"format":{"strict":true},"verbosity":"low"},)"
      R"("generationConfig":{"responseSchema":{"nullable":true},"seed":7}})";
  for (const char* field : {"output_config", "output_format", "functions", "tool_choice", "tool_config", "output_config.format",
                            "output_config.format.schema", "response_format.json_schema.strict", "text.format.strict",
                            "generation_config.response_schema.nullable"}) {
    INFO(field);
    CHECK(refused(openai(std::string(field) + ": Extra inputs are not permitted"), sent).empty());
    CHECK(refused(openai(std::string("'") + field + "' is not supported"), sent).empty());
  }
  CHECK(refused(openai("text.verbosity: Extra inputs are not permitted"), sent) == "text.verbosity");
  CHECK(refused(openai("generation_config.seed: Extra inputs are not permitted"), sent) == "generationConfig.seed");
}

TEST_CASE("a choice of tools that chooses nothing, and effort beside no schema, may go: with this value only") {
  CHECK(refused(openai("'tool_choice' is not supported with this model"), R"({"tool_choice":"auto"})") == "tool_choice=\"auto\"");
  CHECK(refused(openai("tool_choice: Extra inputs are not permitted"), R"({"tool_choice":{"type": "auto"}})") ==
        R"(tool_choice={"type": "auto"})");
  CHECK(refused(openai("'tool_choice' is not supported with this model"), R"({"tool_choice":"required"})").empty());
  CHECK(refused(openai("output_config: Extra inputs are not permitted"), R"({"output_config":{"effort":"high"}})") ==
        R"(output_config={"effort":"high"})");
}

TEST_CASE("the conversation and the form of the answer are not renamed either, and nothing becomes them; limits may be") {
  const std::string sent = R"({"messages":[],"tools":[],"system":"s","max_tokens":5,"temperature":1,"max_completion_tokens":6})";
  CHECK(refused(openai("'messages' is not supported. Use 'x' instead."), sent).empty());
  CHECK(refused(openai("'tools' is not supported. Use 'functions' instead."), sent).empty());
  CHECK(refused(openai("'temperature' is not supported with 'messages'. Use 'top_p' instead."), sent) == "temperature>top_p");
  CHECK(refused(openai("'temperature' is not supported. Use 'messages' instead."), sent).empty());
  CHECK(refused(openai("'max_completion_tokens' is not supported. Use 'max_tokens' instead."), sent) == "max_completion_tokens>max_tokens");
}

TEST_CASE("a value that is refused says nothing about other values, unless there is none but the default") {
  const auto value = [](const std::string& message) { return refused(openai(message), kSent); };
  CHECK(value("Unsupported value: 'reasoning_effort' does not support 'low' with this model. Supported values are: 'medium' and 'high'.") ==
        "reasoning_effort=\"low\"");
  CHECK(value("reasoning_effort: `low` is not supported by this model") == "reasoning_effort=\"low\"");
  CHECK(value("'top_p' does not support 1 with this model.") == "top_p=1");
  CHECK(value("Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.") == "temperature");
  CHECK(value("`reasoning_effort` is not supported with this model") == "reasoning_effort");
  const std::string longer = "{\"effort\":\"" + std::string(500, 'x') + "\"}";
  CHECK(refused(openai("Unsupported value: 'reasoning'"), "{\"reasoning\":" + longer + "}").empty());  // the client's to mend
}

TEST_CASE("a provider that cannot read back earlier reasoning is understood") {
  const auto refuses = [](const std::string& body, int status = 400) {
    dialect::UpstreamFailure failure;
    failure.status = status;
    failure.body = body;
    return dialect::refuses_reasoning(failure);
  };
  CHECK(refuses(R"({"error":{"message":"The encrypted content gAAA could not be verified.","code":"invalid_encrypted_content"}})"));
  CHECK(refuses(openai("Item 'rs_123' of type 'reasoning' was provided without its required following item. not found"), 404));
  CHECK(refuses(openai("Item with id 'rs_123' not found. Items are not persisted when `store` is set to false."), 404));
  CHECK(refuses(R"({"error":{"code":400,"message":"Thought signature is not valid","status":"INVALID_ARGUMENT"}})"));
  CHECK(refuses(R"({"error":{"code":400,"message":"Function call is missing a thought_signature in functionCall parts. This is required for )"
                R"(tools to work correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call )"
                R"(`default_api:now` , position 2.","status":"INVALID_ARGUMENT"}})"));
  CHECK_FALSE(refuses(openai("max_tokens is too large")));
  CHECK_FALSE(refuses(openai("The encrypted content could not be verified."), 500));
}
