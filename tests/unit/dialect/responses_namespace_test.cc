#include <catch2/catch.hpp>
#include <string>
#include <string_view>

#include "dialect/dialect.h"
#include "dialect/spent_request.h"
#include "dialect/tools.h"

namespace {

using namespace ccrules;
using Catch::Contains;

const std::string kTools =
    R"("tools":[{"type":"function","name":"spawn","parameters":{"type":"object"}},{"type":"namespace","name":"team","tools":[)"
    R"({"type":"function","name":"spawn","parameters":{"type":"object"}},{"type":"custom","name":"note"}]}])";
const std::string kCalled =
    R"({"model":"m","input":[{"role":"user","content":"go"},{"type":"function_call","call_id":"c","namespace":"team","name":"spawn","arguments":"{}"},)"
    R"({"type":"function_call_output","call_id":"c","output":"ok"}],)" +
    kTools + "}";

struct Sent {
  std::string body, losses;
  std::vector<dialect::RenamedTool> renamed;
};

Sent sent(std::string_view to, const std::string& body) {
  auto request = dialect::openai_responses().read_request(body);
  REQUIRE(request.ok());
  const dialect::Dialect& upstream = *dialect::by_name(to);
  Sent out;
  out.renamed = upstream.renamed_tools(*request);
  dialect::Capabilities target;
  target.model = "m";
  chat::LossNotes losses;
  auto written = dialect::write_spent_request(upstream, *std::move(request), target, losses);
  REQUIRE(written.ok());
  out.body = *written;
  out.losses = losses.header_value();
  return out;
}

}  // namespace

TEST_CASE("each function of a namespace has one name that every provider takes, the same in the tools and in the history") {
  for (const std::string_view to : {"anthropic", "openai_chat", "gemini", "ollama"}) {
    const Sent out = sent(to, kCalled);
    CAPTURE(to, out.body);
    CHECK(out.losses.empty());
    REQUIRE(out.renamed.size() == 2);
    const std::string& name = out.renamed[0].sent;
    CHECK(dialect::is_tool_name(name));
    CHECK(out.renamed[0].original == dialect::spaced_name("team", "spawn"));
    const std::string literal = "\"name\":\"" + name + "\"";
    const std::size_t first = out.body.find(literal);
    REQUIRE(first != std::string::npos);
    CHECK(out.body.find(literal, first + 1) != std::string::npos);
    CHECK_THAT(out.body, Contains(R"("name":"spawn")") && Contains("\"name\":\"" + out.renamed[1].sent + "\""));
    CHECK_THAT(out.body, !Contains("namespace"));
  }
}

TEST_CASE("a namespace and the calls of its functions go back out to responses as they came") {
  const Sent out = sent("openai_responses", kCalled);
  CHECK_THAT(out.body, Contains(R"({"type":"namespace","name":"team","tools":[{"type":"function","name":"spawn","parameters":{"type":"object"}},)"));
  CHECK_THAT(out.body, Contains(R"("call_id":"c","name":"spawn","namespace":"team")"));
  CHECK(out.losses.empty());
}

TEST_CASE("a namespace's long names are cut to what providers take, and stay apart") {
  const std::string space(60, 's');
  const std::string body = R"({"model":"m","input":"go","tools":[{"type":"namespace","name":")" + space +
                           R"(","description":"what they are for","tools":[{"type":"function","name":"one"},{"type":"function","name":"two"}]}]})";
  for (const std::string_view to : {"anthropic", "openai_chat", "gemini", "ollama"}) {
    const Sent out = sent(to, body);
    CAPTURE(to);
    REQUIRE(out.renamed.size() == 2);
    CHECK(out.renamed[0].sent != out.renamed[1].sent);
    CHECK(out.renamed[0].sent.size() <= 128);
    if (to != "gemini") CHECK(dialect::is_tool_name(out.renamed[0].sent));
    CHECK(out.losses == "tools[].namespace.description");
  }
}

TEST_CASE("a tool that is called with a text is known by its namespace, too") {
  const auto outline = dialect::openai_responses().outline(kCalled);
  REQUIRE(outline.ok());
  CHECK(outline->custom_tools == std::vector<std::string>{dialect::spaced_name("team", "note")});
  dialect::StreamWriterOptions options;
  options.custom_tools = outline->custom_tools;
  chat::Reply reply;
  chat::ToolCall call;
  call.id = "c";
  call.name = dialect::spaced_name("team", "note");
  call.arguments_json = R"({"input":"words"})";
  reply.blocks.push_back({call});
  chat::LossNotes losses;
  CHECK_THAT(dialect::openai_responses().write_reply(reply, options, losses),
             Contains(R"("type":"custom_tool_call")") && Contains(R"("input":"words","call_id":"c","name":"note","namespace":"team"})"));
}

TEST_CASE("tools that an item of the input brings are offered, and the item is not sent") {
  const std::string body = R"({"model":"m","input":[{"type":"additional_tools","role":"developer","tools":[{"type":"function","name":"later"}]},)"
                           R"({"role":"user","content":"go"}]})";
  for (const std::string_view to : {"anthropic", "openai_chat", "gemini", "ollama"}) {
    const Sent out = sent(to, body);
    CAPTURE(to);
    CHECK_THAT(out.body, Contains(R"("name":"later")"));
    CHECK(out.losses.empty());
  }
  const Sent own = sent("openai_responses", body);
  CHECK_THAT(own.body, Contains("additional_tools") && !Contains(R"("strict")"));
}

TEST_CASE("a namespace stands in the name of each of its tools: a long one is refused, and there is none inside another") {
  const auto read = [](const std::string& name, const std::string& inside) {
    const std::string body = R"({"model":"m","input":"x","tools":[{"type":"namespace","name":")" + name + R"(","tools":[)" + inside + "]}]}";
    REQUIRE(dialect::openai_responses().outline(body).ok());
    return dialect::openai_responses().read_request(body);
  };
  const auto refused = read(std::string(300, 'n'), R"({"type":"custom","name":"a"})");
  REQUIRE_FALSE(refused.ok());
  CHECK_THAT(refused.error().message, Contains("too long") && Contains("namespace"));
  const auto nested = read("a", R"({"type":"namespace","name":"b","tools":[{"type":"function","name":"f"}]},{"type":"function","name":"g"})");
  REQUIRE(nested.ok());
  int functions = 0;
  for (const chat::Tool& tool : nested->tools) functions += tool.type.empty() ? 1 : 0;
  CHECK(functions == 1);
}
