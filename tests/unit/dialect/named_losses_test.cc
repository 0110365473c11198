#include <catch2/catch.hpp>
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/dialect.h"

namespace {

using namespace ccrules;

struct Sent {
  std::string body, losses, error;
};

Sent sent(std::string_view from, std::string_view to, const std::string& body) {
  INFO(from << " -> " << to << ": " << body);
  const auto request = dialect::by_name(from)->read_request(body);
  REQUIRE(request.ok());
  dialect::Capabilities target;
  target.provider = "p";
  target.model = "m";
  chat::LossNotes losses;
  auto written = dialect::by_name(to)->write_request(*request, target, losses);
  if (!written.ok()) return {{}, losses.header_value(), written.error().message};
  return {*written, losses.header_value(), {}};
}

const std::vector<std::string_view> kAll = {"anthropic", "openai_chat", "openai_responses", "gemini", "ollama"};

/// The word KEY of the body is gone, and the losses say so by this name, in all dialects but the client's own.
void check_named(std::string_view from, const std::string& body, const std::string& said) {
  for (const std::string_view to : kAll) {
    if (to == from) continue;
    const std::string name = said == "content.weird" && to == "anthropic" ? "block_weird" : said;
    const Sent out = sent(from, to, body);
    CAPTURE(from, to, body, out.body, out.losses);
    CHECK(out.error.empty());
    CHECK(out.body.find("KEY") == std::string::npos);
    CHECK((", " + out.losses + ",").find(", " + name + ",") != std::string::npos);
  }
}

std::string anthropic(const std::string& messages, const std::string& rest = {}) {
  return R"({"model":"m","max_tokens":9,"messages":[)" + messages + "]" + rest + "}";
}
std::string completions(const std::string& messages) { return R"({"model":"m","messages":[)" + messages + "]}"; }
std::string responses(const std::string& items) { return R"({"model":"m","input":[)" + items + "]}"; }

const std::string kHi = R"({"role":"user","content":"hi"})";

}  // namespace

TEST_CASE("blocks of a role that cannot have them are named by every other dialect") {
  const std::string call = R"({"type":"tool_use","id":"x","name":"f","input":{"a":"KEY"}})";
  const std::string thought = R"({"type":"thinking","thinking":"KEY","signature":"s"})";
  const std::string text = R"({"type":"text","text":"hi"})";
  check_named("anthropic", anthropic(R"({"role":"user","content":[)" + call + "," + text + "]}"), "user.tool_call");
  check_named("anthropic", anthropic(R"({"role":"user","content":[)" + thought + "," + text + "]}"), "user.thinking");
  check_named("anthropic",
              anthropic(kHi + R"(,{"role":"assistant","content":[)" + text +
                        R"(,{"type":"tool_result","tool_use_id":"x","content":"KEY"}]},)" + kHi),
              "assistant.tool_result");
  check_named("anthropic", anthropic(kHi, R"(,"system":[)" + text + "," + call + "]"), "system.tool_call");
  check_named("anthropic", anthropic(kHi + R"(,{"role":"system","content":[)" + text + "," + call + "]}," + kHi), "system.tool_call");
}

TEST_CASE("calls and reasoning in messages that are not the assistant's are named by every other dialect and stay in their own") {
  const std::string calls = R"("tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":"{\"a\":\"KEY\"}"}}])";
  const std::string asked = R"({"role":"assistant","tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":"{}"}}]})";
  for (const std::string& member : {calls, std::string(R"("reasoning_content":"KEY")")}) {
    const std::string user = completions(R"({"role":"user","content":"hi",)" + member + "}");
    check_named("openai_chat", user, "messages[]_members");
    CHECK(sent("openai_chat", "openai_chat", user).body.find(member) != std::string::npos);
    check_named("openai_chat", completions("{" + member + R"(,"content":"hi","role":"user"})"), "messages[]_members");
    check_named("openai_chat", completions(kHi + "," + asked + R"(,{"role":"tool","tool_call_id":"x","content":"r",)" + member + "}"),
                "tool_result_members");
  }
  check_named("ollama", completions(R"({"role":"user","content":"hi","thinking":"KEY"})"), "messages[]_members");
  check_named("ollama", completions(R"({"role":"user","content":"hi","tool_calls":[{"function":{"name":"f","arguments":{"a":"KEY"}}}]})"),
              "messages[]_members");
}

TEST_CASE("what a system message says of itself is named wherever it does not go") {
  for (const std::string_view from : {"openai_chat", "ollama"}) {
    const std::string_view member = from == "ollama" ? R"("thinking":"KEY")" : R"("reasoning_content":"KEY")";
    const std::string body = completions(R"({"role":"system","content":"s",)" + std::string(member) + "}," + kHi);
    for (const std::string_view to : kAll) {
      if (to == from) continue;
      CAPTURE(from, to);
      CHECK(sent(from, to, body).losses == (to == "anthropic" ? "system_block_members" : "system.members"));
    }
  }
  const Sent own = sent("openai_chat", "openai_chat", completions(R"({"role":"system","content":"s","weird":"KEY"},)" + kHi));
  CHECK(own.body.find(R"({"role":"system","content":"s","weird":"KEY"})") != std::string::npos);
  CHECK(own.losses.empty());
}

TEST_CASE("a call of an unknown kind is named, not made up") {
  const std::string body = completions(
      kHi + R"(,{"role":"assistant","content":"c","tool_calls":[{"id":"x","type":"custom","custom":{"name":"g","input":"kept"}},)"
            R"({"id":"y","type":"weird","weird":{"z":"KEY"}}]},{"role":"tool","tool_call_id":"x","content":"r"})");
  check_named("openai_chat", body, "content.weird");
}

TEST_CASE("members that only the client's dialect knows are named by every other, wherever they stand") {
  check_named("openai_responses", responses(R"({"role":"user","content":"hi","weird":"KEY"})"), "messages[]_members");
  check_named("openai_responses", responses(R"({"role":"user","content":[{"type":"input_text","text":"hi","weird":"KEY"}]})"),
              "messages[].content_members");
  const std::string output = R"({"type":"function_call_output","call_id":"x","output":"r"})";
  const std::string called = responses(
      kHi + R"(,{"type":"function_call","call_id":"x","name":"f","arguments":"{}","weird":"KEY"},)" + output);
  check_named("openai_responses", called, "tool_use_members");
  CHECK(sent("openai_responses", "openai_responses", called).body.find(R"("weird":"KEY")") != std::string::npos);
  check_named("openai_responses",
              responses(kHi + R"(,{"type":"function_call","call_id":"x","name":"f","arguments":"{}"},)"
                              R"({"type":"function_call_output","call_id":"x","output":"r","weird":"KEY"})"),
              "tool_result_members");
  check_named("openai_chat",
              completions(kHi + R"(,{"role":"assistant","tool_calls":[{"id":"x","type":"function","weird":"KEY",)"
                         R"("function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"x","content":"r"})"),
              "tool_use_members");
  check_named("ollama",
              completions(kHi + R"(,{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{},"weird":"KEY"}}]},)"
                         R"({"role":"tool","tool_name":"f","content":"r"})"),
              "tool_use_members");
  check_named("anthropic", anthropic(R"({"role":"user","content":[{"type":"text","text":"hi","weird":"KEY"}]})"),
              "messages[].content_members");
  // The mark of a custom call is none of them.
  const Sent custom = sent("openai_responses", "openai_chat",
                           responses(kHi + R"(,{"type":"custom_tool_call","call_id":"x","name":"g","input":"i"},)"
                                           R"({"type":"custom_tool_call_output","call_id":"x","output":"r"})"));
  CHECK(custom.losses.empty());
}

TEST_CASE("ollama names a tool's members that it does not have, and pictures of the assistant's") {
  const std::string tool = R"(,"tools":[{"name":"f","input_schema":{"type":"object"},"weird":1}])";
  CHECK(sent("anthropic", "ollama", anthropic(kHi, tool)).losses == "tools[].weird");
  const std::string pictured = responses(
      kHi + R"(,{"role":"assistant","content":[{"type":"input_image","image_url":"https://e/x"},{"type":"input_text","text":"t"}]},)" + kHi);
  CHECK(sent("openai_responses", "ollama", pictured).losses == "assistant.image");
}

TEST_CASE("the names of participants, and searches that are asked for with no more words, are named by every other dialect") {
  check_named("openai_chat", completions(R"({"role":"user","name":"KEY","content":"hi"})"), "messages[].name");
  const std::string search = R"({"model":"m","messages":[)" + kHi + R"(],"web_search_options":{}})";
  check_named("openai_chat", search, "web_search_options");
  CHECK(sent("openai_chat", "openai_chat", search).body.find(R"("web_search_options":{})") != std::string::npos);
}

TEST_CASE("what stands beside the schema of an answer goes where it is known, and is named elsewhere") {
  const std::string settings = R"("name":"n","strict":true,"description":"KEY","schema":{"type":"object"})";
  const std::string chat = R"({"model":"m","messages":[)" + kHi + R"(],"response_format":{"type":"json_schema","json_schema":{)" + settings + "}}}";
  const std::string responses = R"({"model":"m","input":"hi","text":{"format":{"type":"json_schema",)" + settings + "}}}";
  for (const auto& [from, body] : {std::pair("openai_chat", chat), std::pair("openai_responses", responses)}) {
    for (const std::string_view to : {"openai_chat", "openai_responses"}) {
      const Sent out = sent(from, to, body);
      CAPTURE(from, to, out.body);
      CHECK(out.body.find(R"("strict":true,"description":"KEY")") != std::string::npos);
      CHECK(out.losses.empty());
    }
    for (const std::string_view to : {"anthropic", "gemini", "ollama"}) {
      CHECK(sent(from, to, body).losses == "response_format.json_schema.description");
    }
  }
}
