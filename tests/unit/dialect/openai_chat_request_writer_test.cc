#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "dialect/dialect.h"
#include "dialect/signature.h"
#include "support/validators.h"

using namespace ccrules;

namespace {

dialect::Capabilities plain_target() {
  dialect::Capabilities target;
  target.provider = "vendor";
  target.model = "m";
  return target;
}

chat::Block text(const std::string& words, const std::string& cache_control = "") {
  return {chat::Text{words, cache_control, {}}};
}
chat::Block call(const std::string& id, const std::string& name, const std::string& arguments) {
  return {chat::ToolCall{id, name, arguments, {}, {}}};
}
chat::Block result(const std::string& id, std::vector<chat::Block> content, bool is_error = false) {
  chat::ToolResult block;
  block.call_id = id;
  block.content = std::move(content);
  block.is_error = is_error;
  return {std::move(block)};
}
chat::Block image() {
  chat::Image block;
  block.media_type = "image/png";
  block.data = "QUJD";
  return {std::move(block)};
}
chat::Block opaque(const std::string& type, const std::string& json) {
  return {chat::Opaque{"anthropic", type, json}};
}

chat::Message message(chat::Role role, std::vector<chat::Block> blocks) {
  chat::Message message;
  message.role = role;
  message.blocks = std::move(blocks);
  return message;
}
chat::Message user(std::vector<chat::Block> blocks) {
  return message(chat::Role::kUser, std::move(blocks));
}
chat::Message assistant(std::vector<chat::Block> blocks) {
  return message(chat::Role::kAssistant, std::move(blocks));
}

chat::Tool tool(const std::string& name) {
  chat::Tool tool;
  tool.name = name;
  tool.schema_json = R"({"type":"object"})";
  return tool;
}

chat::Request request(std::vector<chat::Message> messages) {
  chat::Request request;
  request.dialect = "anthropic";
  request.model = "claude";
  request.messages = std::move(messages);
  return request;
}

struct Written {
  std::string body;
  std::string losses;
  std::string error;
};

Written write(const chat::Request& request, const dialect::Capabilities& target = plain_target()) {
  chat::LossNotes losses;
  auto body = dialect::openai_chat().write_request(request, target, losses);
  Written written;
  written.losses = losses.header_value();
  if (!body) {
    written.error = body.error().message;
    CHECK(body.error().http_status == 400);
    return written;
  }
  written.body = *body;
  const std::vector<std::string> faults = test::check_openai_chat_request(written.body);
  CAPTURE(written.body, faults);
  CHECK(faults.empty());
  return written;
}

/// The text between the brackets of messages.
std::string messages_of(const std::string& body) {
  const std::size_t begin = body.find("\"messages\":[") + 12;
  int depth = 1;
  bool in_string = false;
  for (std::size_t at = begin; at < body.size(); ++at) {
    if (in_string) {
      if (body[at] == '\\')
        ++at;
      else if (body[at] == '"')
        in_string = false;
    } else if (body[at] == '"') {
      in_string = true;
    } else if (body[at] == '[') {
      ++depth;
    } else if (body[at] == ']' && --depth == 0) {
      return body.substr(begin, at - begin);
    }
  }
  return body;
}
std::string messages(std::vector<chat::Message> list, const dialect::Capabilities& target = plain_target()) {
  return messages_of(write(request(std::move(list)), target).body);
}

const std::string kHi = R"({"role":"user","content":"hi"})";

}  // namespace

TEST_CASE("a plain question becomes one user message with a string") {
  CHECK(write(request({user({text("hi")})})).body ==
        R"({"model":"m","messages":[{"role":"user","content":"hi"}]})");
}

TEST_CASE(
    "the system prompt is the first message, its blocks joined by blank lines, without the attribution "
    "line") {
  chat::Request asked = request({user({text("hi")})});
  asked.system = {text("x-anthropic-billing-header: cc_version=2.1;"), text("You are X."),
                  text("Be brief.", R"({"type":"ephemeral"})")};
  const Written written = write(asked);
  CHECK(messages_of(written.body) == R"({"role":"system","content":"You are X.\n\nBe brief."},)" + kHi);
  CHECK(written.losses == "system.attribution, cache_control");
  dialect::Capabilities target = plain_target();
  target.developer_role = true;
  CHECK(messages_of(write(asked, target).body).starts_with(R"({"role":"developer",)"));
}

TEST_CASE("cache breakpoints stay for providers that understand them (G-25)") {
  chat::Request asked = request({user({text("hi", R"({"type":"ephemeral"})")})});
  asked.system = {text("S", R"({"type":"ephemeral"})")};
  dialect::Capabilities target = plain_target();
  target.cache_control = true;
  chat::LossNotes losses;
  const auto body = dialect::openai_chat().write_request(asked, target, losses);
  REQUIRE(body.ok());
  CHECK(messages_of(*body) ==
        R"({"role":"system","content":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}]},)"
        R"({"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]})");
  CHECK(losses.empty());
}

TEST_CASE(
    "G-15: a system message inside the conversation keeps its place, or becomes a reminder of the user") {
  const std::vector<chat::Message> list = {user({text("hi")}), message(chat::Role::kSystem, {text("note")}),
                                           user({text("go")})};
  CHECK(messages(list) == kHi + R"(,{"role":"system","content":"note"},{"role":"user","content":"go"})");
  dialect::Capabilities target = plain_target();
  target.mid_system = false;
  CHECK(
      messages(list, target) ==
      kHi +
          R"(,{"role":"user","content":"<system-reminder>\n\nnote\n\n</system-reminder>"},{"role":"user","content":"go"})");
}

TEST_CASE(
    "G-5: tool results come right after their calls, before the user's text and system messages between "
    "them") {
  const std::string expected =
      kHi + R"(,{"role":"assistant","content":"Looking","tool_calls":[{"id":"toolu_1","type":"function",)"
            R"("function":{"name":"f","arguments":"{\"a\":1}"}}]},)"
            R"({"role":"tool","tool_call_id":"toolu_1","content":"42"})";
  const chat::Message asks = assistant({text("Looking"), call("toolu_1", "f", R"({"a":1})")});
  CHECK(messages({user({text("hi")}), asks, user({text("wait"), result("toolu_1", {text("42")})})}) ==
        expected + R"(,{"role":"user","content":"wait"})");
  CHECK(messages({user({text("hi")}), asks, message(chat::Role::kSystem, {text("note")}),
                  user({result("toolu_1", {text("42")})})}) ==
        expected + R"(,{"role":"system","content":"note"})");
}

TEST_CASE("G-5: redacted thinking next to the call changes nothing") {
  chat::Thinking redacted;
  redacted.redacted = true;
  redacted.text = "xxx";
  const Written written =
      write(request({user({text("hi")}), assistant({{redacted}, call("toolu_1", "f", "{}")}),
                     user({result("toolu_1", {text("1")})})}));
  CHECK(messages_of(written.body) ==
        kHi + R"(,{"role":"assistant","content":null,"tool_calls":[{"id":"toolu_1","type":"function",)"
              R"("function":{"name":"f","arguments":"{}"}}]},)"
              R"({"role":"tool","tool_call_id":"toolu_1","content":"1"})");
  CHECK(written.losses == "thinking");
}

TEST_CASE("G-5: a call without a result gets a synthetic one, unless it ends the conversation") {
  const chat::Message asks = assistant({call("toolu_1", "f", "{}"), call("toolu_2", "g", "{}")});
  const Written written =
      write(request({user({text("hi")}), asks, user({result("toolu_2", {text("2")}), text("go")})}));
  CHECK(messages_of(written.body)
            .find(R"({"role":"tool","tool_call_id":"toolu_2","content":"2"},{"role":"tool",)"
                  R"("tool_call_id":"toolu_1","content":"[no result]"},{"role":"user","content":"go"})") !=
        std::string::npos);
  CHECK(written.losses == "tool_result.missing");
  chat::LossNotes losses;
  const auto last =
      dialect::openai_chat().write_request(request({user({text("hi")}), asks}), plain_target(), losses);
  REQUIRE(last.ok());
  CHECK(last->find("[no result]") == std::string::npos);
}

TEST_CASE("G-5: a result without its call becomes user text") {
  const Written written = write(request({user({text("hi"), result("toolu_9", {text("42")})})}));
  CHECK(messages_of(written.body) ==
        R"({"role":"user","content":"hi\n\n[result of a tool call that is not in this conversation]\n42"})");
  CHECK(written.losses == "tool_result.orphan");
}

TEST_CASE("neighbouring assistant messages are one turn") {
  CHECK(messages({user({text("hi")}), assistant({text("a")}),
                  assistant({text("b"), call("toolu_1", "f", "{}")}), user({result("toolu_1", {text("1")})})})
            .find(R"({"role":"assistant","content":"a\n\nb","tool_calls")") != std::string::npos);
}

TEST_CASE("tool results: texts are joined by newlines, errors are marked, references are announced") {
  const auto content_of = [](std::vector<chat::Block> content, bool is_error = false) {
    const std::string body = messages({user({text("hi")}), assistant({call("toolu_1", "f", "{}")}),
                                       user({result("toolu_1", std::move(content), is_error)})});
    const std::size_t at = body.rfind("\"content\":") + 10;
    return body.substr(at, body.size() - at - 1);
  };
  CHECK(content_of({text("a"), text("b")}) == R"("a\nb")");
  CHECK(content_of({text("null")}) == R"("null")");
  CHECK(content_of({}) == R"("")");
  CHECK(content_of({text("broken")}, true) == R"("Error: broken")");
  CHECK(content_of({opaque("tool_reference", R"({"type":"tool_reference","tool_name":"grep"})")}) ==
        R"("Tool grep is now available")");
  CHECK(
      content_of({opaque(
          "search_result",
          R"({"type":"search_result","title":"T","source":"S","content":[{"type":"text","text":"C"}]})")}) ==
      R"("Search result: T\nS\n\nC")");
}

TEST_CASE("G-12: an image in a tool result follows all tool messages in a user message") {
  const std::vector<chat::Message> list = {
      user({text("hi")}), assistant({call("toolu_1", "f", "{}"), call("toolu_2", "g", "{}")}),
      user({result("toolu_1", {text("shot"), image()}), result("toolu_2", {text("2")}), text("see?")})};
  CHECK(messages(list).ends_with(
      R"({"role":"tool","tool_call_id":"toolu_1","content":"shot\n[image attached below]"},)"
      R"({"role":"tool","tool_call_id":"toolu_2","content":"2"},)"
      R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,)"
      R"(QUJD"}},{"type":"text","text":"see?"}]})"));
  dialect::Capabilities target = plain_target();
  target.tool_message_images = true;
  chat::LossNotes losses;
  const auto inside = dialect::openai_chat().write_request(request(list), target, losses);
  REQUIRE(inside.ok());
  CHECK(
      inside->find(
          R"({"role":"tool","tool_call_id":"toolu_1","content":[{"type":"text","text":"shot"},{"type":"image_url")") !=
      std::string::npos);
  target.vision = false;
  chat::LossNotes blind;
  const auto omitted = dialect::openai_chat().write_request(request(list), target, blind);
  REQUIRE(omitted.ok());
  CHECK(omitted->find("QUJD") == std::string::npos);
  CHECK(omitted->find("shot\\n[image omitted: model has no vision]") != std::string::npos);
  CHECK(blind.header_value() == "image");
}

TEST_CASE("images go as data URIs and URLs, documents as files or text, each with a note when it cannot") {
  chat::Image by_url;
  by_url.kind = chat::SourceKind::kUrl;
  by_url.data = "https://x/y.png";
  by_url.detail = "low";
  CHECK(messages({user({text("see"), {by_url}})}) ==
        R"({"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url",)"
        R"("image_url":{"url":"https://x/y.png","detail":"low"}}]})");
  chat::Document pdf;
  pdf.media_type = "application/pdf";
  pdf.data = "UERG";
  pdf.title = "Report.pdf";
  CHECK(messages({user({{pdf}})}) ==
        R"({"role":"user","content":[{"type":"file","file":{"filename":"Report.pdf",)"
        R"("file_data":"data:application/pdf;base64,UERG"}}]})");
  dialect::Capabilities target = plain_target();
  target.documents = false;
  const Written omitted = write(request({user({{pdf}})}), target);
  CHECK(messages_of(omitted.body) ==
        R"({"role":"user","content":[{"type":"text","text":"[document omitted: Report.pdf]"}]})");
  CHECK(omitted.losses == "document");
  chat::Document plain;
  plain.kind = chat::SourceKind::kText;
  plain.title = "Notes";
  plain.data = "one\ntwo";
  CHECK(messages({user({{plain}})}) ==
        R"({"role":"user","content":[{"type":"text","text":"Document: Notes\n\none\ntwo"}]})");
}

TEST_CASE("G-13: empty texts and empty messages are not sent") {
  CHECK(messages({user({text("hi")}), assistant({text("")}), user({text("")}),
                  user({text(""), text("go")})}) == kHi + R"(,{"role":"user","content":"go"})");
}

TEST_CASE(
    "G-16: a prefilled answer is refused, dropped when empty, kept and trimmed where it is understood") {
  const std::vector<chat::Message> list = {user({text("hi")}), assistant({text("Sure, ")})};
  CHECK(write(request(list)).error.find("does not support assistant message prefill") != std::string::npos);
  CHECK(messages({user({text("hi")}), assistant({text(" \n")})}) == kHi);
  dialect::Capabilities target = plain_target();
  target.prefill = true;
  CHECK(messages_of(write(request(list), target).body) == kHi + R"(,{"role":"assistant","content":"Sure,"})");
}

TEST_CASE("G-8, G-11: reasoning goes back to the provider it came from and to nobody else") {
  const auto think = [](const std::string& provider, const std::string& model,
                        const std::string& payload = "") {
    return chat::Block{chat::Thinking{"hm", dialect::signature::encode({provider, model, payload}), false}};
  };
  const auto turn = [&](chat::Block thinking) {
    return std::vector<chat::Message>{user({text("hi")}),
                                      assistant({std::move(thinking), call("toolu_1", "f", "{}")}),
                                      user({result("toolu_1", {text("1")})})};
  };
  dialect::Capabilities target = plain_target();
  CHECK(messages(turn(think("vendor", "m")), target).find("hm") == std::string::npos);
  target.reasoning_replay = "reasoning_content";
  const auto written = [&](chat::Block thinking) {
    chat::LossNotes losses;
    const auto body =
        dialect::openai_chat().write_request(request(turn(std::move(thinking))), target, losses);
    REQUIRE(body.ok());
    return *body;
  };
  CHECK(written(think("vendor", "m")).find(R"("content":null,"reasoning_content":"hm","tool_calls")") !=
        std::string::npos);
  // DeepSeek refuses tool turns without the member, so a lost one is empty.
  CHECK(written(think("other", "m")).find(R"("reasoning_content":"")") != std::string::npos);
  CHECK(written({chat::Thinking{"hm", "EqQBCgIYAhIk", false}}).find(R"("reasoning_content":"")") !=
        std::string::npos);
  target.reasoning_replay = "reasoning_details";
  CHECK(written(think("vendor", "m", R"([{"type":"reasoning.encrypted","data":"X"}])"))
            .find(R"("reasoning_details":[{"type":"reasoning.encrypted","data":"X"}])") != std::string::npos);
  CHECK(written(think("vendor", "n", R"([{"type":"reasoning.encrypted","data":"X"}])")).find("encrypted") ==
        std::string::npos);
}

TEST_CASE(
    "G-23: ids that are too long, odd or used twice are mapped so that calls and results still pair up") {
  const std::string odd = "functions.get_weather:0";
  const std::string body =
      messages({user({text("hi")}), assistant({call(odd, "f", "{}")}), user({result(odd, {text("1")})}),
                assistant({call(odd, "f", "{}")}), user({result(odd, {text("2")})})});
  CHECK(body.find("functions.get") == std::string::npos);
  const auto id_after = [&](const std::string& mark, std::size_t from) {
    const std::size_t at = body.find(mark, from) + mark.size();
    return body.substr(at, body.find('"', at) - at);
  };
  const std::string first = id_after("\"tool_calls\":[{\"id\":\"", 0);
  CHECK(first.size() <= 40);
  CHECK(id_after("\"tool_call_id\":\"", 0) == first);
  const std::size_t later = body.find("\"tool_call_id\"") + 20;
  const std::string second = id_after("\"tool_calls\":[{\"id\":\"", later);
  CHECK(second != first);
  CHECK(id_after("\"tool_call_id\":\"", later) == second);
  dialect::Capabilities mistral = plain_target();
  mistral.nine_character_tool_ids = true;
  const std::string short_ids = messages(
      {user({text("hi")}), assistant({call("toolu_1", "f", "{}")}), user({result("toolu_1", {text("1")})})},
      mistral);
  const std::size_t at = short_ids.find("\"tool_call_id\":\"") + 16;
  CHECK(short_ids.find('"', at) - at == 9);
}

TEST_CASE("in its own format a request keeps its tool ids and all members of its schema") {
  const std::string sent =
      R"({"model":"m","response_format":{"type":"json_schema","json_schema":{"name":"A","schema":{"type":"object"},)"
      R"("strict":true,"description":"d"}},"messages":[{"role":"user","content":"hi"},)"
      R"({"role":"assistant","tool_calls":[{"id":"functions.f:0","type":"function","function":{"name":"f","arguments":"{}"}}]},)"
      R"({"role":"tool","tool_call_id":"functions.f:0","content":"1"},)"
      R"({"role":"assistant","tool_calls":[{"id":"functions.f:0","type":"function","function":{"name":"f","arguments":"{}"}}]},)"
      R"({"role":"tool","tool_call_id":"functions.f:0","content":"2"}]})";
  const auto request = dialect::openai_chat().read_request(sent);
  REQUIRE(request.ok());
  const Written written = write(*request);
  CHECK(written.body.find(R"({"name":"A","schema":{"type":"object"},"strict":true,"description":"d"})") !=
        std::string::npos);
  std::size_t kept = 0;
  for (auto at = written.body.find("\"functions.f:0\""); at != std::string::npos;
       at = written.body.find("\"functions.f:0\"", at + 1)) {
    ++kept;
  }
  CHECK(kept == 4);
  CHECK(written.losses.empty());
}

TEST_CASE("arguments are a compact string; empty ones are {}") {
  const std::string body = messages(
      {user({text("hi")}),
       assistant({call("a", "f", "{\"x\": 1.10, \"y\": [ 12345678901234567890 ]}"), call("b", "f", "")}),
       user({result("a", {text("1")}), result("b", {text("1")})})});
  CHECK(body.find(R"("arguments":"{\"x\":1.10,\"y\":[12345678901234567890]}")") != std::string::npos);
  CHECK(body.find(R"("arguments":"{}")") != std::string::npos);
}

TEST_CASE("tools become functions; a missing description is empty") {
  chat::Request asked = request({user({text("hi")})});
  asked.tools = chat::Tools({tool("f")});
  asked.tools.edit()[0].cache_control_json = R"({"type":"ephemeral"})";
  asked.tools.edit()[0].strict = true;
  asked.tools.edit()[0].extra_json = R"({"eager_input_streaming":true})";
  const Written written = write(asked);
  CHECK(
      written.body.find(
          R"("tools":[{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object"}}}])") !=
      std::string::npos);
  CHECK(written.losses == "cache_control, tools[].strict, tools[].eager_input_streaming");
}

TEST_CASE(
    "Anthropic's client tools are described as functions, its server tools are left out, those without a "
    "form are refused") {
  const auto typed = [](const std::string& name, const std::string& type) {
    chat::Request asked = request({user({text("hi")})});
    chat::Tool one;
    one.name = name;
    one.type = type;
    one.original_json = "{}";
    asked.tools = chat::Tools({tool("f"), one});
    return write(asked);
  };
  const Written bash = typed("bash", "bash_20250124");
  CHECK(bash.body.find(R"("name":"bash","description":"Runs a command)") != std::string::npos);
  CHECK(bash.body.find(R"("command":{"type":"string")") != std::string::npos);
  CHECK(typed("str_replace_based_edit_tool", "text_editor_20250728").body.find("\"old_str\"") !=
        std::string::npos);
  CHECK(typed("memory", "memory_20250818").body.find("\"rename\"") != std::string::npos);
  const Written search = typed("web_search", "web_search_20250305");
  CHECK(search.body.find("web_search") == std::string::npos);
  CHECK(search.losses == "tools[].web_search_20250305");
  CHECK(typed("computer", "computer_20250124").error ==
        "the tool \"computer\" (computer_20250124) cannot be offered to provider \"vendor\", which speaks "
        "chat completions; remove the tool or route "
        "the request to Anthropic");
}

TEST_CASE(
    "deferred tools are sent once a tool search has found them, or when only Anthropic could have searched") {
  chat::Request asked = request(
      {user({text("hi")}), assistant({call("t1", "ToolSearch", "{}")}),
       user({result("t1", {opaque("tool_reference", R"({"type":"tool_reference","tool_name":"found"})")})})});
  asked.tools = chat::Tools({tool("ToolSearch"), tool("found"), tool("hidden")});
  asked.tools.edit()[1].defer_loading = asked.tools.edit()[2].defer_loading = true;
  const Written written = write(asked);
  CHECK(written.body.find(R"("name":"found")") != std::string::npos);
  CHECK(written.body.find(R"("name":"hidden")") == std::string::npos);
  CHECK(written.losses == "tools[].defer_loading");
  chat::Tool search;
  search.name = "tool_search_tool_regex";
  search.type = "tool_search_tool_regex_20251119";
  asked.tools.edit().push_back(search);
  CHECK(write(asked).body.find(R"("name":"hidden")") != std::string::npos);
}

TEST_CASE(
    "G-33: a tool name beyond 64 characters is shortened alike in tools, history and tool_choice, and can be "
    "mapped back") {
  const std::string name = "mcp__" + std::string(80, 'x') + ".search";
  chat::Request asked =
      request({user({text("hi")}), assistant({call("t1", name, "{}")}), user({result("t1", {text("1")})})});
  asked.tools = chat::Tools({tool(name), tool("f")});
  asked.tool_choice = chat::ToolChoice{chat::ToolChoiceKind::kTool, name, std::nullopt};
  const auto renamed = dialect::openai_chat().renamed_tools(asked);
  REQUIRE(renamed.size() == 1);
  CHECK(renamed[0].original == name);
  CHECK(renamed[0].sent.size() == 64);
  const std::string body = write(asked).body;
  CHECK(body.find(name) == std::string::npos);
  std::size_t uses = 0;
  for (std::size_t at = body.find(renamed[0].sent); at != std::string::npos;
       at = body.find(renamed[0].sent, at + 1))
    ++uses;
  CHECK(uses == 3);
}

TEST_CASE("tool_choice auto, any, tool, none and the parallel flag have their counterparts") {
  chat::Request asked = request({user({text("hi")})});
  asked.tools = chat::Tools({tool("f")});
  const auto with = [&](chat::ToolChoice choice, const dialect::Capabilities& target = plain_target()) {
    asked.tool_choice = std::move(choice);
    return write(asked, target).body;
  };
  CHECK(with({chat::ToolChoiceKind::kAuto, {}, false})
            .find(R"("tool_choice":"auto","parallel_tool_calls":false)") != std::string::npos);
  CHECK(with({chat::ToolChoiceKind::kAny, {}, {}}).find(R"("tool_choice":"required")") != std::string::npos);
  CHECK(with({chat::ToolChoiceKind::kNone, {}, {}}).find(R"("tool_choice":"none")") != std::string::npos);
  CHECK(with({chat::ToolChoiceKind::kTool, "f", {}})
            .find(R"("tool_choice":{"type":"function","function":{"name":"f"}})") != std::string::npos);
  dialect::Capabilities target = plain_target();
  target.forced_tool_choice = false;
  target.parallel_tool_calls = false;
  CHECK(with({chat::ToolChoiceKind::kAny, {}, false}, target).find(R"("tool_choice":"auto")") !=
        std::string::npos);
  CHECK(write(asked, target).losses == "tool_choice, disable_parallel_tool_use");
}

TEST_CASE(
    "G-2: max_tokens is clamped to the model and its window and never below 1, in the field the provider "
    "knows") {
  chat::Request asked = request({user({text("hi")})});
  asked.max_tokens = 32000;
  dialect::Capabilities target = plain_target();
  CHECK(write(asked, target).body.find(R"("max_tokens":32000)") != std::string::npos);
  target.max_output_tokens = 16384;
  const Written clamped = write(asked, target);
  CHECK(clamped.body.find(R"("max_tokens":16384)") != std::string::npos);
  CHECK(clamped.losses == "max_tokens");
  target.context_tokens = 32768;
  target.estimated_input_tokens = 30000;
  CHECK(write(asked, target).body.find(R"("max_tokens":1912)") != std::string::npos);
  // A prompt that does not fit at all is the provider's to refuse: its words make the client compact.
  target.estimated_input_tokens = 40000;
  CHECK(write(asked, target).body.find(R"("max_tokens":16384)") != std::string::npos);
  asked.max_tokens = 0;
  CHECK(write(asked, target).body.find(R"("max_tokens":1)") != std::string::npos);
  target.max_completion_tokens = true;
  CHECK(write(asked, target).body.find(R"("max_completion_tokens":1)") != std::string::npos);
}

TEST_CASE("G-18, G-24: sampling goes where it is accepted, top_k nowhere, four stop sequences") {
  chat::Request asked = request({user({text("hi")})});
  asked.temperature = 0.5;
  asked.top_p = 0.25;
  asked.top_k = 40;
  asked.stop_sequences = {"a", "b", "", "c", "d", "e"};
  const Written written = write(asked);
  CHECK(written.body.find(R"("temperature":0.5,"top_p":0.25,"stop":["a","b","c","d"])") != std::string::npos);
  CHECK(written.losses == "top_k, stop_sequences");
  dialect::Capabilities target = plain_target();
  target.sampling = false;
  const Written without = write(asked, target);
  CHECK(without.body.find("temperature") == std::string::npos);
  CHECK(without.losses == "sampling, top_k, stop_sequences");
}

TEST_CASE("thinking becomes an effort the model takes") {
  const auto effort = [](chat::ThinkingMode thinking, const std::string& word,
                         std::vector<std::string> accepted = {}) {
    chat::Request asked = request({user({text("hi")})});
    asked.thinking = std::move(thinking);
    asked.effort = word;
    dialect::Capabilities target = plain_target();
    target.efforts = std::move(accepted);
    const std::string body = write(asked, target).body;
    const std::size_t at = body.find("\"reasoning_effort\":\"");
    return at == std::string::npos ? std::string() : body.substr(at + 20, body.find('"', at + 20) - at - 20);
  };
  using Kind = chat::ThinkingKind;
  CHECK(effort({Kind::kEnabled, 1024, {}}, "") == "low");
  CHECK(effort({Kind::kEnabled, 7999, {}}, "") == "low");
  CHECK(effort({Kind::kEnabled, 8000, {}}, "") == "medium");
  CHECK(effort({Kind::kEnabled, 31999, {}}, "") == "high");
  CHECK(effort({Kind::kEnabled, 64000, {}}, "", {"low", "high", "xhigh"}) == "xhigh");
  CHECK(effort({Kind::kEnabled, 64000, {}}, "", {"low", "high"}) == "high");
  CHECK(effort({Kind::kAdaptive, {}, {}}, "") == "");
  CHECK(effort({Kind::kAdaptive, {}, {}}, "max", {"low", "medium", "high"}) == "high");
  CHECK(effort({Kind::kAdaptive, {}, {}}, "low", {"none", "high", "max"}) == "high");
  CHECK(effort({Kind::kDisabled, {}, {}}, "high", {"none", "low"}) == "none");
  CHECK(effort({Kind::kDisabled, {}, {}}, "", {"minimal", "low"}) == "minimal");
  CHECK(effort({Kind::kDisabled, {}, {}}, "", {"low", "high"}) == "");
  CHECK(effort({Kind::kAbsent, {}, {}}, "") == "");
  chat::Request asked = request({user({text("hi")})});
  asked.effort = "high";
  asked.thinking.kind = Kind::kAdaptive;
  asked.thinking.display = "summarized";
  dialect::Capabilities target = plain_target();
  target.reasoning_effort = false;
  CHECK(write(asked, target).losses == "thinking.display, effort");
}

TEST_CASE("reasoning is asked for and switched off in the words of its vendor") {
  using Kind = chat::ThinkingKind;
  struct Wish {
    chat::ThinkingMode thinking;
    std::string effort;
    bool takes_effort = true;
    bool takes_off = true;
  };
  /// What follows max_tokens in the body, and the losses.
  const auto sent = [](const std::string& style, const Wish& wish, std::vector<std::string> accepted = {}) {
    chat::Request asked = request({user({text("hi")})});
    asked.max_tokens = 30000;
    asked.thinking = wish.thinking;
    asked.effort = wish.effort;
    dialect::Capabilities target = plain_target();
    target.reasoning_style = style;
    target.efforts = std::move(accepted);
    target.reasoning_effort = wish.takes_effort;
    target.thinking_disabled = wish.takes_off;
    const Written written = write(asked, target);
    constexpr std::string_view kBefore = R"("max_tokens":30000)";
    const std::size_t at = written.body.find(kBefore) + kBefore.size();
    return written.body.substr(at, written.body.size() - at - 1) + " " + written.losses;
  };
  const Wish off{{Kind::kDisabled, {}, {}}, ""};
  CHECK(sent("", off) == R"(,"reasoning_effort":"none" )");
  CHECK(sent("effort", off) == R"(,"reasoning_effort":"none" )");
  CHECK(sent("thinking", off) == R"(,"thinking":{"type":"disabled"} )");
  CHECK(sent("thinking_kept", off) == R"(,"thinking":{"type":"disabled"} )");
  CHECK(sent("enable_thinking", off) == R"(,"enable_thinking":false )");
  CHECK(sent("reasoning", off) == R"(,"reasoning":{"enabled":false} )");
  CHECK(sent("reasoning_enabled", off) == R"(,"reasoning":{"enabled":false} )");
  CHECK(sent("chat_template", off) == R"(,"chat_template_kwargs":{"enable_thinking":false} )");
  // Disabled thinking and an effort together are refused by DeepSeek: only the switch is said.
  CHECK(sent("thinking", {{Kind::kDisabled, {}, {}}, "high"}) == R"(,"thinking":{"type":"disabled"} )");

  const Wish budget{{Kind::kEnabled, 20000, {}}, ""};
  CHECK(sent("thinking", budget, {"high", "max"}) == R"(,"thinking":{"type":"enabled"},"reasoning_effort":"high" thinking.budget_tokens)");
  CHECK(sent("enable_thinking", budget) == R"(,"enable_thinking":true,"thinking_budget":20000 )");
  CHECK(sent("reasoning", budget) == R"(,"reasoning":{"max_tokens":20000} )");
  CHECK(sent("reasoning", {{Kind::kEnabled, 40000, {}}, ""}) == R"(,"reasoning":{"max_tokens":29999} thinking.budget_tokens)");
  CHECK(sent("reasoning_enabled", budget) == R"(,"reasoning":{"enabled":true},"reasoning_effort":"high" thinking.budget_tokens)");
  CHECK(sent("chat_template", budget) ==
        R"(,"chat_template_kwargs":{"enable_thinking":true},"reasoning_effort":"high" thinking.budget_tokens)");

  const Wish effort{{Kind::kAdaptive, {}, {}}, "medium"};
  CHECK(sent("thinking", effort, {"high", "max"}) == R"(,"thinking":{"type":"enabled"},"reasoning_effort":"high" effort)");
  CHECK(sent("thinking_kept", effort) == R"(,"thinking":{"type":"enabled","clear_thinking":false},"reasoning_effort":"medium" )");
  CHECK(sent("thinking_kept", {{Kind::kAdaptive, {}, {}}, "high", false}) == R"(,"thinking":{"type":"enabled","clear_thinking":false} effort)");
  CHECK(sent("enable_thinking", effort) == R"(,"enable_thinking":true effort)");
  CHECK(sent("reasoning", effort) == R"(,"reasoning":{"effort":"medium"} )");
  CHECK(sent("reasoning", {{Kind::kEnabled, {}, {}}, ""}) == R"(,"reasoning":{"enabled":true} )");
  CHECK(sent("reasoning", {{Kind::kAdaptive, {}, {}}, "high", false}) == " effort");

  for (const char* style : {"", "thinking", "enable_thinking", "reasoning", "chat_template"}) {
    CHECK(sent(style, {{Kind::kAdaptive, {}, {}}, ""}) == " ");  // as the model sees fit
    CHECK(sent(style, {{Kind::kBetweenTools, {}, {}}, ""}) == " thinking.between_tools");
  }
  const Wish never_off{{Kind::kDisabled, {}, {}}, "", true, false};
  CHECK(sent("reasoning", never_off) == R"(,"reasoning":{"effort":"low"} thinking.disabled)");
  CHECK(sent("", never_off) == R"(,"reasoning_effort":"low" thinking.disabled)");
}

TEST_CASE("a structured answer, a stream and the user's id") {
  chat::Request asked = request({user({text("hi")})});
  asked.response_schema_json = R"({"type":"object"})";
  asked.stream = true;
  asked.include_usage = false;
  asked.user_id = "{\"session_id\":\"s\"}";
  const Written written = write(asked);
  CHECK(
      written.body.find(
          R"("response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"}}})") !=
      std::string::npos);
  CHECK(written.body.find(R"("stream":true,"stream_options":{"include_usage":true})") != std::string::npos);
  CHECK(written.losses == "metadata.user_id");
  dialect::Capabilities target = plain_target();
  target.user_identifiers = true;
  target.stream_usage = false;
  const std::string body = write(asked, target).body;
  CHECK(body.find("session_id") == std::string::npos);
  CHECK(body.find(R"("safety_identifier":")") != std::string::npos);
  CHECK(body.find(R"("prompt_cache_key":")") != std::string::npos);
  CHECK(body.find("stream_options") == std::string::npos);
}

TEST_CASE("members of Anthropic's format are named when dropped; those that change the meaning are refused") {
  chat::Request asked = request({user({text("hi")})});
  asked.extra_json = R"({"context_management":{"edits":[]},"container":"c","service_tier":"auto"})";
  CHECK(write(asked).losses == "context_management, container, service_tier");
  asked.extra_json = R"({"thread":{"type":"create"}})";
  CHECK(write(asked).error.find("message threads") != std::string::npos);
  asked.extra_json = R"({"safeguards":{}})";
  CHECK(write(asked).error.find("safeguards") != std::string::npos);
}

TEST_CASE("blocks that nobody else has are left out and named") {
  const Written written = write(request(
      {user({text("hi")}), assistant({opaque("server_tool_use", R"({"type":"server_tool_use"})"), text("a")}),
       user({text("go"), opaque("container_upload", "{}")})}));
  CHECK(written.losses == "content.server_tool_use, content.container_upload");
}

TEST_CASE("G-40: text that is not UTF-8 is made valid") {
  CHECK(messages({user({text("a\xff"
                             "b")})}) ==
        "{\"role\":\"user\",\"content\":\"a\xEF\xBF\xBD"
        "b\"}");
}
