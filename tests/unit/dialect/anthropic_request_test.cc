#include <string>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"
#include "support/validators.h"

using namespace ccrules;

namespace {

dialect::Capabilities claude() {
  dialect::Capabilities target;
  target.provider = "anthropic";
  target.model = "claude-x";
  target.max_output_tokens = 64000;
  return target;
}

chat::Request read(std::string body) {
  auto request = dialect::anthropic().read_request(json::padded(body));
  REQUIRE(request.ok());
  return *std::move(request);
}

struct Written {
  std::string json;
  chat::LossNotes losses;
};

Written write(const chat::Request& request, const dialect::Capabilities& target = claude()) {
  Written written;
  auto json = dialect::anthropic().write_request(request, target, written.losses);
  REQUIRE(json.ok());
  written.json = *std::move(json);
  INFO(written.json);
  REQUIRE(json::is_valid(written.json));
  CHECK(test::check_anthropic_request(written.json) == std::vector<std::string>{});
  return written;
}

/// The `messages` array of a request as it goes out.
std::string messages_of(const Written& written) {
  auto document = json::Document::open(written.json);
  auto root = document->root_object();
  while (root->next()) {
    if (root->key() == "messages") return std::string(*root->value().raw());
  }
  return {};
}

std::string member_of(const Written& written, const std::string& name) {
  auto document = json::Document::open(written.json);
  auto root = document->root_object();
  while (root->next()) {
    if (root->key() == name) return std::string(*root->value().raw());
  }
  return {};
}

chat::Block text(const std::string& words) {
  chat::Text block;
  block.text = words;
  return chat::Block{block};
}
chat::Block call(const std::string& id, const std::string& arguments = "{}") {
  chat::ToolCall block;
  block.id = id;
  block.name = "Read";
  block.arguments_json = arguments;
  return chat::Block{block};
}
chat::Block result(const std::string& id, const std::string& words) {
  chat::ToolResult block;
  block.call_id = id;
  block.content = {text(words)};
  return chat::Block{block};
}
chat::Message message(chat::Role role, std::vector<chat::Block> blocks) {
  chat::Message one;
  one.role = role;
  one.blocks = std::move(blocks);
  return one;
}
/// A request as the reader of another dialect would give it.
chat::Request foreign(std::vector<chat::Message> messages) {
  chat::Request request;
  request.dialect = "openai_chat";
  request.model = "x";
  request.messages = std::move(messages);
  return request;
}
constexpr auto kUser = chat::Role::kUser;
constexpr auto kAssistant = chat::Role::kAssistant;

}  // namespace

TEST_CASE("every member of an Anthropic request survives reading and writing") {
  const std::string body =
      R"({"model":"a","max_tokens":100,"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}],)"
      R"("messages":[{"role":"user","content":"Hi"},)"
      R"({"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"sig"},{"type":"redacted_thinking","data":"d"},)"
      R"({"type":"tool_use","id":"toolu_1","name":"Read","input":{"big":9007199254740993,"z":1.50},"caller":{"type":"direct"}}]},)"
      R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"ok"},)"
      R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},{"type":"tool_reference","tool_name":"X"}],"is_error":true},)"
      R"({"type":"document","source":{"type":"url","url":"https://x"},"title":"T","citations":{"enabled":true}},)"
      R"({"type":"search_result","source":"s","title":"t","content":[]},)"
      R"({"type":"text","text":"go","cache_control":{"type":"ephemeral","ttl":"1h"}}]},)"
      R"({"role":"system","content":"brief"}],)"
      R"("tools":[{"name":"Read","description":"d","input_schema":{"type":"object"},"strict":true,"defer_loading":true,"input_examples":[{}]},)"
      R"({"type":"web_search_20250305","name":"web_search","max_uses":3}],)"
      R"("tool_choice":{"type":"auto","disable_parallel_tool_use":true},)"
      R"("thinking":{"type":"adaptive","display":"omitted","x":1},)"
      R"("output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"object"}},"task_budget":{"total":5}},)"
      R"("temperature":1,"top_k":5,"stop_sequences":["END"],"metadata":{"user_id":"u","y":2},"stream":true,)"
      R"("context_management":{"edits":[]},"service_tier":"auto"})";
  const Written written = write(read(body));
  CHECK(written.losses.empty());
  CHECK(messages_of(written) ==
        body.substr(body.find("[{\"role\""), body.find(",\"tools\"") - body.find("[{\"role\"")));
  for (
      const char* kept :
      {R"("model":"claude-x")", R"("max_tokens":100)", R"("cache_control":{"type":"ephemeral"})",
       R"("strict":true)", R"("defer_loading":true)", R"("input_examples":[{}])",
       R"({"type":"web_search_20250305","name":"web_search","max_uses":3})",
       R"("disable_parallel_tool_use":true)", R"("thinking":{"type":"adaptive","display":"omitted","x":1})",
       R"("output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"object"}},"task_budget":{"total":5}})",
       R"("temperature":1)", R"("top_k":5)", R"("stop_sequences":["END"])",
       R"("metadata":{"user_id":"u","y":2})", R"("stream":true)", R"("context_management":{"edits":[]})",
       R"("service_tier":"auto")"}) {
    INFO(kept);
    CHECK(written.json.find(kept) != std::string::npos);
  }
}

TEST_CASE("a second trip writes the same bytes: what goes out reads back as it is") {
  const std::string body =
      R"({"model":"a","max_tokens":5,"system":"S","messages":[{"role":"user","content":[{"type":"text","text":"a\u2028\"é"}]}]})";
  const Written once = write(read(body));
  CHECK(write(read(once.json)).json == once.json);
}

TEST_CASE("reading names what is wrong and where") {
  const auto error = [](std::string body) {
    const auto request = dialect::anthropic().read_request(json::padded(body));
    return request.ok() ? std::string() : request.error().message;
  };
  CHECK(error(R"({"model":"m","messages":[{"content":"x"}]})") == "messages[0] has no role");
  CHECK(error(R"({"model":"m","messages":[{"role":"user"}]})") == "messages[0] has no content");
  CHECK(error(R"({"model":"m","messages":[{"role":"robot","content":"x"}]})") ==
        "messages[0].role must be user, assistant or system");
  CHECK(error(R"({"model":"m","messages":[{"role":"user","content":[5]}]})") ==
        "messages[0].content[0] must be an object with a type");
  CHECK(error(R"({"model":"m","messages":[{"role":"user","content":[{"type":"text","text":5}]}]})") ==
        "messages[0].content[0].text must be a string, not a number");
  CHECK(error(R"({"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"input_schema":{}}]})") ==
        "tools[0] has no name");
}

TEST_CASE("a message thread is refused with the code that makes the SDK send everything") {
  std::string body = R"({"model":"m","thread":{"type":"create"},"messages":[{"role":"user","content":"x"}]})";
  const auto request = dialect::anthropic().read_request(json::padded(body));
  REQUIRE_FALSE(request.ok());
  CHECK(
      dialect::anthropic().write_error(request.error(), "req_1") ==
      R"({"type":"error","error":{"type":"invalid_request_error","message":"thread is not supported here: send the whole conversation in messages",)"
      R"("details":{"error_code":"thread_unsupported_request","unsupported":[]}},"request_id":"req_1"})");
}

TEST_CASE("tool results stand at the start of the user message right after the calls (G-5)") {
  const Written written =
      write(foreign({message(kUser, {text("go")}), message(kAssistant, {call("a"), call("b")}),
                     message(kUser, {text("interrupted")}), message(kUser, {result("b", "2")}),
                     message(kUser, {result("a", "1")})}));
  CHECK(
      messages_of(written) ==
      R"([{"role":"user","content":[{"type":"text","text":"go"}]},)"
      R"({"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Read","input":{}},{"type":"tool_use","id":"b","name":"Read","input":{}}]},)"
      R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"b","content":"2"},{"type":"tool_result","tool_use_id":"a","content":"1"},)"
      R"({"type":"text","text":"interrupted"}]}])");
}

TEST_CASE("results that stand where they belong stay there, and the others follow them (G-5)") {
  const Written written =
      write(foreign({message(kUser, {text("go")}), message(kAssistant, {call("a"), call("b"), call("c")}),
                     message(kUser, {result("b", "2"), text("interrupted"), result("a", "1")})}));
  CHECK(messages_of(written).find(
            R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"b","content":"2"},{"type":"tool_result","tool_use_id":"a","content":"1"},)"
            R"({"type":"tool_result","tool_use_id":"c","content":"[no result]"},{"type":"text","text":"interrupted"}]})") != std::string::npos);
}

TEST_CASE("a call without a result gets one, a result without a call becomes text (G-5)") {
  const Written missing = write(foreign(
      {message(kUser, {text("go")}), message(kAssistant, {call("a")}), message(kUser, {text("stop")})}));
  CHECK(
      messages_of(missing).find(
          R"([{"type":"tool_result","tool_use_id":"a","content":"[no result]"},{"type":"text","text":"stop"}])") !=
      std::string::npos);
  const Written orphan =
      write(foreign({message(kUser, {text("go")}), message(kUser, {result("z", "late")})}));
  CHECK(messages_of(orphan).find("tool_result") == std::string::npos);
  CHECK(messages_of(orphan).find("late") != std::string::npos);
}

TEST_CASE("empty and blank texts and messages that become empty are left out (G-13)") {
  CHECK(messages_of(write(foreign({message(kUser, {text(""), text("Hi"), text(" \n")}),
                                   message(kAssistant, {text("")}), message(kUser, {text("there")})}))) ==
        R"([{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"text","text":"there"}]}])");
  chat::LossNotes losses;
  CHECK_FALSE(
      dialect::anthropic().write_request(foreign({message(kUser, {text("")})}), claude(), losses).ok());
}

TEST_CASE("a history that starts with the assistant gets a user turn first (G-14)") {
  CHECK(messages_of(write(foreign({message(kAssistant, {text("Hello")}), message(kUser, {text("Hi")})})))
            .starts_with(R"([{"role":"user","content":[{"type":"text","text":"…"}]},{"role":"assistant")"));
}

TEST_CASE("a system message in the middle stays, or becomes a reminder where it is not known (G-15)") {
  const auto request = foreign({message(kUser, {text("Hi")}), message(chat::Role::kSystem, {text("brief")}),
                                message(kUser, {text("go")})});
  CHECK(messages_of(write(request)).find(R"({"role":"system","content":[{"type":"text","text":"brief"}]})") !=
        std::string::npos);
  auto target = claude();
  target.mid_system = false;
  const Written wrapped = write(request, target);
  CHECK(messages_of(wrapped).find("<system-reminder>\\nbrief\\n</system-reminder>") != std::string::npos);
  CHECK(messages_of(wrapped).find("\"system\"") == std::string::npos);
}

TEST_CASE("a prefill loses its trailing white space, a blank one goes (G-16)") {
  CHECK(messages_of(write(foreign({message(kUser, {text("Hi")}), message(kAssistant, {text("It is \n")})})))
            .ends_with(R"({"role":"assistant","content":[{"type":"text","text":"It is"}]}])"));
  CHECK(messages_of(write(foreign({message(kUser, {text("Hi")}), message(kAssistant, {text("  ")})})))
            .find("assistant") == std::string::npos);
}

TEST_CASE("tool arguments become the object they mean (G-7)") {
  const auto input = [](const std::string& arguments) {
    const std::string all =
        messages_of(write(foreign({message(kUser, {text("go")}), message(kAssistant, {call("a", arguments)}),
                                   message(kUser, {result("a", "x")})})));
    const std::size_t at = all.find("\"input\":") + 8;
    return all.substr(at, all.find("}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\"") - at);
  };
  CHECK(input("") == "{}");
  CHECK(input("null") == "{}");
  CHECK(input(R"({"n":9007199254740993})") == R"({"n":9007199254740993})");
  CHECK(input(R"("{\"a\":1}")") == R"({"a":1})");
  CHECK(input(R"({"a":)") == R"({"_raw":"{\"a\":"})");
  CHECK(input("[1]") == R"({"_raw":"[1]"})");
  CHECK(input("not json") == R"({"_raw":"not json"})");
  CHECK(input("null and void") == R"({"_raw":"null and void"})");
  CHECK(input("true") == R"({"_raw":"true"})");
  CHECK(input("\"null\"") == "{}");
  CHECK(input("\"words\"") == R"({"_raw":"words"})");
}

TEST_CASE(
    "ids that Anthropic refuses are mapped so that results still pair up, repeated ones get a suffix "
    "(G-23)") {
  const std::string odd =
      messages_of(write(foreign({message(kUser, {text("go")}), message(kAssistant, {call("call:1|x")}),
                                 message(kUser, {result("call:1|x", "1")})})));
  CHECK(odd.find("call:1") == std::string::npos);
  const std::size_t at = odd.find("\"id\":\"") + 6;
  const std::string id = odd.substr(at, odd.find('"', at) - at);
  CHECK(odd.find("\"tool_use_id\":\"" + id + "\"") != std::string::npos);

  const std::string repeated = messages_of(
      write(foreign({message(kUser, {text("go")}), message(kAssistant, {call("call_0")}),
                     message(kUser, {result("call_0", "1")}), message(kAssistant, {call("call_0")}),
                     message(kUser, {result("call_0", "2")})})));
  CHECK(repeated.find(R"("tool_use_id":"call_0","content":"1")") != std::string::npos);
  CHECK(repeated.find(R"("id":"call_0_2")") != std::string::npos);
  CHECK(repeated.find(R"("tool_use_id":"call_0_2","content":"2")") != std::string::npos);
}

TEST_CASE("reasoning of another provider is not replayed to Anthropic (G-8)") {
  chat::Thinking ours;
  ours.text = "hm";
  ours.signature = "ccr1.groq,qwen:";
  chat::Thinking unsigned_one;
  unsigned_one.text = "hm";
  const Written written =
      write(foreign({message(kUser, {text("Hi")}),
                     message(kAssistant, {chat::Block{ours}, chat::Block{unsigned_one}, text("Hello")}),
                     message(kUser, {text("go")})}));
  CHECK(written.json.find("thinking") == std::string::npos);
  CHECK(written.losses.header_value().find("thinking") != std::string::npos);
}

TEST_CASE(
    "max_tokens that nobody gave is the model's own limit, else 4096; a given one is at most what the model writes") {
  auto request = foreign({message(kUser, {text("Hi")})});
  CHECK(member_of(write(request), "max_tokens") == "64000");
  auto unknown = claude();
  unknown.max_output_tokens.reset();
  CHECK(member_of(write(request, unknown), "max_tokens") == "4096");
  request.max_tokens = 128000;
  CHECK(member_of(write(request, unknown), "max_tokens") == "128000");
  const auto lowered = write(request);
  CHECK(member_of(lowered, "max_tokens") == "64000");
  CHECK(lowered.losses.header_value() == "max_tokens");
  auto window = claude();
  window.context_tokens = 200000;
  window.estimated_input_tokens = 190000;
  CHECK(member_of(write(request, window), "max_tokens") == "64000");  // what the window leaves is Anthropic's to say (G-2)

  request.thinking = {chat::ThinkingKind::kEnabled, 100000, {}};
  const auto both = write(request);
  CHECK(member_of(both, "thinking") == R"({"type":"enabled","budget_tokens":63999})");
  CHECK(both.losses.header_value() == "max_tokens, thinking.budget_tokens");
}

TEST_CASE("no thinking and thinking between tools stand in for each other where a model takes only one") {
  auto request = foreign({message(kUser, {text("Hi")})});
  request.max_tokens = 9000;
  const auto sent = [&request](const dialect::Capabilities& target) {
    const auto written = write(request, target);
    return member_of(written, "thinking") + member_of(written, "output_config") + " " + written.losses.header_value();
  };
  auto sonnet_55 = claude();
  sonnet_55.thinking_enabled = sonnet_55.thinking_disabled = false;
  sonnet_55.thinking_between_tools = true;
  auto opus_55 = sonnet_55;
  opus_55.thinking_between_tools = false;

  request.thinking = {chat::ThinkingKind::kBetweenTools, {}, {}};
  CHECK(sent(sonnet_55) == R"({"type":"between_tools"} )");
  CHECK(sent(claude()) == R"({"type":"disabled"} thinking.between_tools)");
  CHECK(sent(opus_55) == R"({"effort":"low"} thinking.between_tools)");
  request.thinking = {chat::ThinkingKind::kDisabled, {}, {}};
  CHECK(sent(sonnet_55) == R"({"type":"between_tools"} thinking.disabled)");
}

TEST_CASE("beside disabled thinking stands an effort that the model takes there, or none (G-11)") {
  auto request = foreign({message(kUser, {text("Hi")})});
  request.thinking = {chat::ThinkingKind::kDisabled, {}, {}};
  const auto sent = [&request](const std::string& effort, const dialect::Capabilities& target) {
    request.effort = effort;
    const auto written = write(request, target);
    CHECK(member_of(written, "thinking") == R"({"type":"disabled"})");
    return member_of(written, "output_config") + " " + written.losses.header_value();
  };
  auto opus_5 = claude();
  opus_5.effort_when_disabled = "high";
  auto deepseek = claude();
  deepseek.effort_when_disabled = "none";
  CHECK(sent("max", claude()) == R"({"effort":"max"} )");
  CHECK(sent("xhigh", opus_5) == R"({"effort":"high"} effort)");
  CHECK(sent("high", opus_5) == R"({"effort":"high"} )");
  CHECK(sent("high", deepseek) == " effort");
  CHECK(sent("", deepseek) == " ");
}

TEST_CASE("each Claude model gets the kind of thinking it takes (G-10)") {
  auto request = foreign({message(kUser, {text("Hi")})});
  request.max_tokens = 32000;
  auto newest = claude();
  newest.thinking_enabled = false;
  newest.thinking_disabled = false;
  auto older = claude();
  older.thinking_adaptive = false;

  request.thinking.kind = chat::ThinkingKind::kEnabled;
  request.thinking.budget_tokens = 16000;
  CHECK(member_of(write(request, newest), "thinking") == R"({"type":"adaptive"})");
  CHECK(member_of(write(request, newest), "output_config") == R"({"effort":"high"})");
  CHECK(member_of(write(request, older), "thinking") == R"({"type":"enabled","budget_tokens":16000})");

  request.thinking = {chat::ThinkingKind::kAdaptive, {}, {}};
  request.effort = "low";
  CHECK(member_of(write(request, newest), "thinking") == R"({"type":"adaptive"})");
  CHECK(member_of(write(request, newest), "output_config") == R"({"effort":"low"})");
  CHECK(member_of(write(request, older), "thinking") == R"({"type":"enabled","budget_tokens":4096})");

  request.thinking = {chat::ThinkingKind::kDisabled, {}, {}};
  request.effort = "";
  CHECK(member_of(write(request, newest), "thinking").empty());
  CHECK(member_of(write(request, newest), "output_config") == R"({"effort":"low"})");
  CHECK(member_of(write(request, older), "thinking") == R"({"type":"disabled"})");
}

TEST_CASE("a thinking budget stays below max_tokens, and goes when there is no room (G-2)") {
  auto request = foreign({message(kUser, {text("Hi")})});
  request.thinking = {chat::ThinkingKind::kEnabled, 31999, {}};
  request.max_tokens = 8000;
  CHECK(member_of(write(request), "thinking") == R"({"type":"enabled","budget_tokens":7999})");
  request.max_tokens = 1000;
  CHECK(member_of(write(request), "thinking").empty());
}

TEST_CASE("a tool call made without thinking is continued without it where a budget would be refused") {
  auto request = foreign(
      {message(kUser, {text("go")}), message(kAssistant, {call("a")}), message(kUser, {result("a", "x")})});
  request.thinking = {chat::ThinkingKind::kEnabled, 2000, {}};
  CHECK(member_of(write(request), "thinking").empty());
}

TEST_CASE("a forced tool becomes a choice where the model refuses force (G-10)") {
  auto request = foreign({message(kUser, {text("Hi")})});
  chat::Tool tool;
  tool.name = "Read";
  request.tools = chat::Tools({tool});
  request.tool_choice = chat::ToolChoice{chat::ToolChoiceKind::kTool, "Read", false};
  CHECK(member_of(write(request), "tool_choice") ==
        R"({"type":"tool","name":"Read","disable_parallel_tool_use":true})");
  auto target = claude();
  target.forced_tool_choice = false;
  CHECK(member_of(write(request, target), "tool_choice") ==
        R"({"type":"auto","disable_parallel_tool_use":true})");
}

TEST_CASE("sampling goes where the model refuses it, and is kept in Anthropic's range elsewhere (G-18)") {
  auto request = foreign({message(kUser, {text("Hi")})});
  request.temperature = 1.6;
  request.top_p = 0.5;
  const Written written = write(request);
  CHECK(member_of(written, "temperature") == "1");
  CHECK(member_of(written, "top_p").empty());
  auto target = claude();
  target.sampling = false;
  CHECK(member_of(write(request, target), "temperature").empty());
  CHECK(write(request, target).losses.header_value().find("sampling") != std::string::npos);
}

TEST_CASE("a tool's schema always has type object") {
  auto request = foreign({message(kUser, {text("Hi")})});
  for (const char* schema : {"", "{}", R"({"properties":{"a":{"type":"string"}}})", "true"}) {
    chat::Tool tool;
    tool.name = "T" + std::to_string(request.tools.size());
    tool.schema_json = schema;
    request.tools.edit().push_back(tool);
  }
  CHECK(
      member_of(write(request), "tools") ==
      R"([{"name":"T0","input_schema":{"type":"object","properties":{}}},{"name":"T1","input_schema":{"type":"object"}},)"
      R"({"name":"T2","input_schema":{"properties":{"a":{"type":"string"}},"type":"object"}},{"name":"T3","input_schema":{"type":"object","properties":{}}}])");
}

TEST_CASE("what Anthropic cannot take is named, not dropped silently") {
  auto request = foreign({message(kUser, {text("Hi")})});
  request.extra_json = R"({"n":2,"seed":1})";
  request.messages[0].name = "bob";
  request.json_object_mode = true;
  chat::Opaque audio;
  audio.dialect = "openai_chat";
  audio.type = "input_audio";
  audio.json = "{}";
  request.messages[0].blocks.push_back(chat::Block{audio});
  const std::string losses = write(request).losses.header_value();
  INFO(losses);
  for (const char* what : {"n", "seed", "messages[].name", "json_object", "input_audio"})
    CHECK(losses.find(what) != std::string::npos);
}

TEST_CASE("an image for a model without vision becomes a note") {
  chat::Image image;
  image.media_type = "image/png";
  image.data = "AAAA";
  auto target = claude();
  target.vision = false;
  const Written written = write(foreign({message(kUser, {chat::Block{image}})}), target);
  CHECK(messages_of(written).find("[image omitted: model has no vision]") != std::string::npos);
}

TEST_CASE("the attribution line stays for Anthropic, block by block") {
  const Written written = write(read(
      R"({"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}],"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=1;"},{"type":"text","text":"P"}]})"));
  CHECK(member_of(written, "system") ==
        R"([{"type":"text","text":"x-anthropic-billing-header: cc_version=1;"},{"type":"text","text":"P"}])");
}
