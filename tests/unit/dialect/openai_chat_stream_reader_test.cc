#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "dialect/dialect.h"
#include "dialect/signature.h"
#include "support/stream_cuts.h"

using namespace ccrules;

namespace {

std::string chunk(const std::string& choice) {
  return R"(data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[)" + choice +
         "]}\n\n";
}
std::string delta(const std::string& members) {
  return chunk(R"({"index":0,"delta":{)" + members + R"(},"finish_reason":null})");
}
std::string finish(const std::string& reason) {
  return chunk(R"({"index":0,"delta":{},"finish_reason":")" + reason + "\"}");
}
std::string usage_chunk(const std::string& usage) {
  return R"(data: {"id":"c1","model":"m","choices":[],"usage":)" + usage + "}\n\n";
}
const std::string kDone = "data: [DONE]\n\n";
const std::string kRole = delta(R"("role":"assistant","content":"")");

/// One event a line, as support/stream_cuts.h writes them; the same for every cut of the bytes.
std::string read(const std::string& bytes) {
  return test::to_text(test::read_every_cut(dialect::openai_chat(), bytes));
}

std::string tool(const std::string& index, const std::string& id, const std::string& name,
                 const std::string& arguments) {
  std::string text = "{";
  if (!index.empty()) text += "\"index\":" + index + ",";
  if (!id.empty()) text += "\"id\":\"" + id + "\",";
  text += "\"type\":\"function\",\"function\":{";
  if (!name.empty()) text += "\"name\":\"" + name + "\",";
  std::string escaped;
  for (const char c : arguments) escaped += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return text + "\"arguments\":\"" + escaped + "\"}}";
}
std::string tools(const std::vector<std::string>& calls) {
  std::string text;
  for (const std::string& call : calls) text += (text.empty() ? "" : ",") + call;
  return delta("\"tool_calls\":[" + text + "]");
}

}  // namespace

TEST_CASE("a plain answer becomes one text block") {
  CHECK(read(kRole + delta(R"("content":"Hel")") + delta(R"("content":"lo")") + finish("stop") +
             usage_chunk(R"({"prompt_tokens":10,"completion_tokens":2,"total_tokens":12})") + kDone) ==
        "start c1 m\nopen 0 text\ntext 0 \"Hel\"\ntext 0 \"lo\"\nclose 0\nend end_turn in=10 out=2\n");
}

TEST_CASE("G-3: usage after finish_reason is read, and the reader says that it waits for it") {
  const auto reader = dialect::openai_chat().stream_reader(dialect::ReaderOptions{});
  std::vector<chat::Event> events;
  REQUIRE(reader->feed(delta(R"("content":"x")") + finish("stop"), events).ok());
  CHECK(reader->awaiting_usage());
  CHECK_FALSE(reader->ended());
  REQUIRE(reader->feed(usage_chunk(R"({"prompt_tokens":3,"completion_tokens":4})"), events).ok());
  REQUIRE(reader->finish(events).ok());
  CHECK(reader->ended());
  CHECK_FALSE(reader->awaiting_usage());
  CHECK(test::to_text(events.back()) == "end end_turn in=3 out=4");
}

TEST_CASE("G-3: an answer whose usage never comes ends when the bytes end after finish_reason") {
  CHECK(read(delta(R"("content":"x")") + finish("stop")) ==
        "start c1 m\nopen 0 text\ntext 0 \"x\"\nclose 0\nend end_turn\n");
}

TEST_CASE(
    "G-26: role and content, content and finish, tool and finish, usage and content in one chunk are all "
    "read") {
  CHECK(read(delta(R"("role":"assistant","content":"Hi")") +
             chunk(R"({"index":0,"delta":{"content":"!"},"finish_reason":"stop"})") + kDone) ==
        "start c1 m\nopen 0 text\ntext 0 \"Hi\"\ntext 0 \"!\"\nclose 0\nend end_turn\n");
  CHECK(read(chunk(R"({"index":0,"delta":{"role":"assistant","tool_calls":[)" +
                   tool("0", "call_1", "f", "{}") + R"(]},"finish_reason":"tool_calls"})") +
             kDone) == "start c1 m\nopen 0 tool call_1 f\narguments 0 \"{}\"\nclose 0\nend tool_use\n");
  CHECK(
      read(
          R"(data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],)"
          R"("usage":{"prompt_tokens":1,"completion_tokens":1}})"
          "\n\n" +
          kDone) == "start c1 m\nopen 0 text\ntext 0 \"x\"\nclose 0\nend end_turn in=1 out=1\n");
}

TEST_CASE("usage in every chunk is cumulative: the last one wins") {
  const auto with_usage = [](const std::string& text, const std::string& completion) {
    return R"(data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":")" + text +
           R"("},"finish_reason":null}],"usage":{"prompt_tokens":5,"completion_tokens":)" + completion +
           "}}\n\n";
  };
  CHECK(read(with_usage("a", "1") + with_usage("b", "2") + finish("stop") + kDone) ==
        "start c1 m\nopen 0 text\ntext 0 \"a\"\ntext 0 \"b\"\nclose 0\nend end_turn in=5 out=2\n");
}

TEST_CASE("usage is found in the choice and under x_groq, and llama.cpp's timings stand in for it") {
  const std::string text = "start c1 m\nopen 0 text\ntext 0 \"x\"\nclose 0\nend end_turn ";
  const std::string stop = R"(data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],)";
  CHECK(read(chunk(R"({"index":0,"delta":{"content":"x"},"finish_reason":"stop",)"
                   R"("usage":{"prompt_tokens":7,"completion_tokens":1,"cached_tokens":5}})") +
             kDone) == text + "in=2 out=1 read=5\n");
  CHECK(read(delta(R"("content":"x")") + stop +
             R"("x_groq":{"id":"r","usage":{"prompt_tokens":7,"completion_tokens":1}}})" + "\n\n" + kDone) ==
        text + "in=7 out=1\n");
  CHECK(read(delta(R"("content":"x")") + stop + R"("timings":{"prompt_n":7,"predicted_n":3,"cache_n":20}})" +
             "\n\n" + kDone) == text + "in=7 out=3 read=20\n");
}

TEST_CASE("prompt_tokens includes what the cache served: input excludes it and never goes below 0") {
  CHECK(
      read(delta(R"("content":"x")") + finish("stop") +
           usage_chunk(
               R"({"prompt_tokens":100,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":60,)"
               R"("cache_write_tokens":30},)"
               R"("completion_tokens_details":{"reasoning_tokens":4},"cost":0.00125})") +
           kDone) ==
      "start c1 m\nopen 0 text\ntext 0 \"x\"\nclose 0\nend end_turn in=10 out=9 read=60 write=30 reasoning=4 "
      "cost=1250000\n");
  CHECK(
      read(
          delta(R"("content":"x")") + finish("stop") +
          usage_chunk(
              R"({"prompt_tokens":10,"completion_tokens":-5,"prompt_cache_hit_tokens":60,"prompt_cache_miss_tokens":null})") +
          kDone) == "start c1 m\nopen 0 text\ntext 0 \"x\"\nclose 0\nend end_turn in=0 read=60\n");
}

TEST_CASE("a count above what any provider's can be is not believed") {
  CHECK(read(delta(R"("content":"x")") + finish("stop") + usage_chunk(R"({"prompt_tokens":9007199254740993,"completion_tokens":2})") +
             kDone) == "start c1 m\nopen 0 text\ntext 0 \"x\"\nclose 0\nend end_turn out=2\n");
}

TEST_CASE(
    "reasoning becomes a signed thinking block before the text, under each of the three names, and only "
    "once") {
  for (const std::string name : {"reasoning_content", "reasoning", "reasoning_text"}) {
    CHECK(
        read(kRole + delta("\"" + name + "\":\"hm\"") + delta("\"" + name + "\":\"m\"") +
             delta(R"("content":"Hi")") + finish("stop") + kDone) ==
        "start c1 m\nopen 0 thinking\nthinking 0 \"hm\"\nthinking 0 \"m\"\nsignature 0 \"ccr1.,:\"\nclose 0\n"
        "open 1 text\ntext 1 \"Hi\"\nclose 1\nend end_turn\n");
  }
  CHECK(read(delta(R"("reasoning":"hm","reasoning_content":"hm")") + delta(R"("content":"Hi")") +
             finish("stop") + kDone) ==
        "start c1 m\nopen 0 thinking\nthinking 0 \"hm\"\nsignature 0 \"ccr1.,:\"\nclose 0\nopen 1 text\ntext "
        "1 \"Hi\"\nclose 1\nend end_turn\n");
}

TEST_CASE("G-34: empty reasoning deltas open no thinking block") {
  CHECK(read(delta(R"("reasoning_content":"","content":"")") +
             delta(R"("reasoning":null,"reasoning_content":"","content":"Hi")") + finish("stop") + kDone) ==
        "start c1 m\nopen 0 text\ntext 0 \"Hi\"\nclose 0\nend end_turn\n");
}

TEST_CASE("Mistral's content parts with thinking become thinking and text") {
  CHECK(read(delta(R"("content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}])") +
             delta(R"("content":[{"type":"text","text":"Hi"}])") + finish("stop") + kDone) ==
        "start c1 m\nopen 0 thinking\nthinking 0 \"hm\"\nsignature 0 \"ccr1.,:\"\nclose 0\nopen 1 text\ntext "
        "1 \"Hi\"\nclose 1\nend end_turn\n");
}

TEST_CASE("G-8: OpenRouter's reasoning_details are merged, kept in the signature and name their provider") {
  dialect::ReaderOptions options;
  options.provider = "openrouter";
  options.model = "x/y";
  const auto reader = dialect::openai_chat().stream_reader(options);
  std::vector<chat::Event> events;
  const std::string bytes =
      delta(
          R"("reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a","format":"f","index":0}])") +
      delta(
          R"("reasoning":"b","reasoning_details":[{"type":"reasoning.text","text":"b","format":"f","index":0}])") +
      delta(R"("reasoning_details":[{"type":"reasoning.text","signature":"SIG","format":"f","index":0}])") +
      delta(R"("content":"Hi")") +
      delta(R"("reasoning_details":[{"type":"reasoning.encrypted","data":"XYZ","id":"r1","index":1}])") +
      finish("stop") + kDone;
  REQUIRE(reader->feed(bytes, events).ok());
  std::vector<std::string> payloads;
  for (const chat::Event& event : events) {
    const auto* piece = std::get_if<chat::BlockDelta>(&event);
    if (piece == nullptr || piece->kind != chat::DeltaKind::kSignature) continue;
    const auto origin = dialect::signature::decode(piece->text);
    REQUIRE(origin);
    CHECK(origin->provider == "openrouter");
    CHECK(origin->model == "x/y");
    payloads.push_back(origin->payload);
  }
  CHECK(payloads == std::vector<std::string>{
                        R"([{"type":"reasoning.text","text":"ab","signature":"SIG","format":"f","index":0}])",
                        R"([{"type":"reasoning.encrypted","data":"XYZ","id":"r1","index":1}])"});
  CHECK(test::order_fault(events) == "");
}

TEST_CASE("white space before a tool call or after reasoning opens no text block of its own") {
  CHECK(read(delta(R"("content":"\n\n")") + tools({tool("0", "call_1", "f", "{}")}) + finish("tool_calls") +
             kDone) == "start c1 m\nopen 0 tool call_1 f\narguments 0 \"{}\"\nclose 0\nend tool_use\n");
  CHECK(read(delta(R"("content":"\n\n")") + delta(R"("content":"Hi")") + finish("stop") + kDone) ==
        "start c1 m\nopen 0 text\ntext 0 \"\n\nHi\"\nclose 0\nend end_turn\n");
  CHECK(read(delta(R"("content":" ")") + finish("stop") + kDone) ==
        "start c1 m\nopen 0 text\ntext 0 \" \"\nclose 0\nend end_turn\n");
}

TEST_CASE("an answer that says nothing still gets one empty text block") {
  CHECK(read(kRole + finish("stop") + kDone) == "start c1 m\nopen 0 text\nclose 0\nend end_turn\n");
}

TEST_CASE("a tool call split over three chunks opens one block and closes it once") {
  CHECK(read(tools({tool("0", "call_1", "get", "")}) + tools({tool("0", "", "", "{\"a\"")}) +
             tools({tool("0", "", "", ":1}")}) + finish("tool_calls") + kDone) ==
        "start c1 m\nopen 0 tool call_1 get\narguments 0 \"{\"a\"\"\narguments 0 \":1}\"\nclose 0\nend "
        "tool_use\n");
}

TEST_CASE("parallel calls one after the other become one block each") {
  CHECK(read(tools({tool("0", "call_1", "f", "{\"a\":1}")}) + tools({tool("1", "call_2", "g", "")}) +
             tools({tool("1", "", "", "{}")}) + finish("tool_calls") + kDone) ==
        "start c1 m\nopen 0 tool call_1 f\narguments 0 \"{\"a\":1}\"\nclose 0\n"
        "open 1 tool call_2 g\narguments 1 \"{}\"\nclose 1\nend tool_use\n");
}

TEST_CASE("interleaved calls never interleave blocks: the second waits until the first is complete") {
  CHECK(read(tools({tool("0", "call_1", "f", ""), tool("1", "call_2", "g", "")}) +
             tools({tool("0", "", "", "{\"a\":")}) + tools({tool("1", "", "", "{\"b\":")}) +
             tools({tool("0", "", "", "1}")}) + tools({tool("1", "", "", "2}")}) + finish("tool_calls") +
             kDone) ==
        "start c1 m\nopen 0 tool call_1 f\narguments 0 \"{\"a\":\"\narguments 0 \"1}\"\nclose 0\n"
        "open 1 tool call_2 g\narguments 1 \"{\"b\":\"\narguments 1 \"2}\"\nclose 1\nend tool_use\n");
}

TEST_CASE("content after a tool call opens a new text block") {
  CHECK(read(delta(R"("content":"a")") + tools({tool("0", "call_1", "f", "{}")}) + delta(R"("content":"b")") +
             finish("tool_calls") + kDone) ==
        "start c1 m\nopen 0 text\ntext 0 \"a\"\nclose 0\nopen 1 tool call_1 f\narguments 1 \"{}\"\nclose 1\n"
        "open 2 text\ntext 2 \"b\"\nclose 2\nend tool_use\n");
}

TEST_CASE("content inside the arguments of a call waits for their end") {
  CHECK(read(tools({tool("0", "call_1", "f", "{\"a\":")}) + delta(R"("content":"b")") +
             tools({tool("0", "", "", "1}")}) + finish("tool_calls") + kDone) ==
        "start c1 m\nopen 0 tool call_1 f\narguments 0 \"{\"a\":\"\narguments 0 \"1}\"\nclose 0\n"
        "open 1 text\ntext 1 \"b\"\nclose 1\nend tool_use\n");
}

TEST_CASE(
    "G-6: calls without an index are told apart by their ids, and fragments without id continue the last "
    "one") {
  CHECK(read(tools({tool("", "call_1", "f", "{\"a\":")}) + tools({tool("", "", "", "1}")}) +
             tools({tool("", "call_2", "f", "{\"a\":2}")}) + finish("tool_calls") + kDone) ==
        "start c1 m\nopen 0 tool call_1 f\narguments 0 \"{\"a\":\"\narguments 0 \"1}\"\nclose 0\n"
        "open 1 tool call_2 f\narguments 1 \"{\"a\":2}\"\nclose 1\nend tool_use\n");
}

TEST_CASE("G-6: parallel calls that all have index 0 are told apart by their ids") {
  CHECK(read(tools({tool("0", "call_a", "f", "{\"a\":1}")}) + tools({tool("0", "call_b", "f", "{\"a\":2}")}) +
             finish("tool_calls") + kDone) ==
        "start c1 m\nopen 0 tool call_a f\narguments 0 \"{\"a\":1}\"\nclose 0\nopen 1 tool call_b "
        "f\narguments 1 \"{\"a\":2}\"\nclose 1\nend tool_use\n");
}

TEST_CASE("G-6: an id and a name repeated in every fragment open one call") {
  CHECK(read(tools({tool("0", "call_1", "f", "{\"a\"")}) + tools({tool("0", "call_1", "f", ":1")}) +
             tools({tool("0", "call_1", "f", "}")}) + finish("tool_calls") + kDone) ==
        "start c1 m\nopen 0 tool call_1 f\narguments 0 \"{\"a\"\"\narguments 0 \":1\"\narguments 0 "
        "\"}\"\nclose 0\nend tool_use\n");
  CHECK(read(tools({tool("", "call_1", "f", "{\"a\"")}) + tools({tool("", "call_1", "f", ":1}")}) +
             finish("tool_calls") + kDone) ==
        "start c1 m\nopen 0 tool call_1 f\narguments 0 \"{\"a\"\"\narguments 0 \":1}\"\nclose 0\nend "
        "tool_use\n");
}

TEST_CASE("G-6: calls in one delta without ids and indexes are separate calls, and get ids of their own") {
  const std::string text = read(tools({tool("", "", "f", "{\"a\":1}"), tool("", "", "f", "{\"a\":2}")}) +
                                finish("tool_calls") + kDone);
  CHECK(text.find("open 0 tool toolu_") != std::string::npos);
  CHECK(text.find("open 1 tool toolu_") != std::string::npos);
  const std::string first = text.substr(text.find("toolu_"), 30);
  CHECK(text.substr(text.rfind("toolu_"), 30) != first);
}

TEST_CASE("G-6: a complete object followed by another one is the next call") {
  const std::string expected =
      "start c1 m\nopen 0 tool call_1 f\narguments 0 \"{\"a\":1}\"\nclose 0\nopen 1 tool ";
  CHECK(read(tools({tool("0", "call_1", "f", "{\"a\":1}")}) + tools({tool("0", "", "", "{\"a\":2}")}) +
             finish("tool_calls") + kDone)
            .starts_with(expected));
  const std::string glued =
      read(tools({tool("0", "call_1", "f", "{\"a\":1} {\"a\":2}")}) + finish("tool_calls") + kDone);
  CHECK(glued.starts_with(expected));
  CHECK(glued.find("arguments 1 \"{\"a\":2}\"") != std::string::npos);
}

TEST_CASE("G-6: a name that comes after the first arguments is waited for") {
  CHECK(read(tools({tool("0", "call_1", "", "{\"a\":")}) + tools({tool("0", "", "f", "1}")}) +
             finish("tool_calls") + kDone) ==
        "start c1 m\nopen 0 tool call_1 f\narguments 0 \"{\"a\":\"\narguments 0 \"1}\"\nclose 0\nend "
        "tool_use\n");
}

TEST_CASE(
    "G-23: an id with characters that Anthropic's clients refuse is made fit, and an id used twice is made "
    "different") {
  const std::string text =
      read(tools({tool("0", "functions.f:0", "f", "{}")}) + finish("tool_calls") + kDone);
  CHECK(text.find("open 0 tool functions_f_0_") != std::string::npos);
  const std::string twice = read(tools({tool("0", "call_0", "f", "{}")}) +
                                 tools({tool("1", "call_0", "g", "{}")}) + finish("tool_calls") + kDone);
  CHECK(twice.find("open 0 tool call_0 f") != std::string::npos);
  CHECK(twice.find("open 1 tool call_0_") != std::string::npos);
}

TEST_CASE("G-7: arguments that are null, empty, an object or a string in a string come out as an object") {
  const std::string open = "start c1 m\nopen 0 tool call_1 f\n";
  const std::string end = "close 0\nend tool_use\n";
  CHECK(read(tools({tool("0", "call_1", "f", "null")}) + finish("tool_calls") + kDone) == open + end);
  CHECK(read(tools({tool("0", "call_1", "f", "")}) + finish("tool_calls") + kDone) == open + end);
  CHECK(read(tools({tool("0", "call_1", "f", "\"{\\\"a\\\":1}\"")}) + finish("tool_calls") + kDone) ==
        open + "arguments 0 \"{\"a\":1}\"\n" + end);
  CHECK(
      read(
          delta(
              R"("tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":{"a":12345678901234567890,)"
              R"("b":1.10}}}])") +
          finish("tool_calls") + kDone) ==
      open + "arguments 0 \"{\"a\":12345678901234567890,\"b\":1.10}\"\n" + end);
}

TEST_CASE("G-7: arguments cut by the token limit are handed out as they came, with stop reason max_tokens") {
  CHECK(read(tools({tool("0", "call_1", "f", "{\"a\":\"lo")}) + finish("length") + kDone) ==
        "start c1 m\nopen 0 tool call_1 f\narguments 0 \"{\"a\":\"lo\"\nclose 0\nend max_tokens\n");
}

TEST_CASE("the legacy function_call is a tool call") {
  const std::string text =
      read(delta(R"("function_call":{"name":"f","arguments":""})") +
           delta(R"("function_call":{"arguments":"{}"})") + finish("function_call") + kDone);
  CHECK(text.find(" f\narguments 0 \"{}\"\nclose 0\nend tool_use\n") != std::string::npos);
}

TEST_CASE("G-33: a tool name that was shortened for the provider comes back whole") {
  dialect::ReaderOptions options;
  options.renamed_tools = {{"short_1234", "mcp__a_very_long_name"}};
  const auto reader = dialect::openai_chat().stream_reader(options);
  std::vector<chat::Event> events;
  REQUIRE(
      reader->feed(tools({tool("0", "call_1", "short_1234", "{}")}) + finish("tool_calls") + kDone, events)
          .ok());
  CHECK(test::to_text(events).find("tool call_1 mcp__a_very_long_name") != std::string::npos);
}

TEST_CASE("every finish_reason has its stop reason; tool calls win over stop") {
  const auto end_of = [](const std::string& reason) {
    const std::string text = read(delta(R"("content":"x")") + finish(reason) + kDone);
    return text.substr(text.rfind("\nend ") + 5);
  };
  for (const std::string reason : {"stop", "eos", "eos_token", "stop_sequence", "STOP", "tool_calls"})
    CHECK(end_of(reason) == "end_turn\n");
  for (const std::string reason : {"length", "model_length", "max_tokens"})
    CHECK(end_of(reason) == "max_tokens\n");
  for (const std::string reason : {"content_filter", "sensitive", "safety"})
    CHECK(end_of(reason).starts_with("refusal {\"type\":\"refusal\""));
  CHECK(end_of("model_context_window_exceeded") == "context_exceeded\n");
  const auto with_tool = [](const std::string& last) {
    return read(tools({tool("0", "call_1", "f", "{}")}) + last + kDone);
  };
  for (const std::string reason : {"stop", "tool_calls", "function_call", "tool_use"})
    CHECK(with_tool(finish(reason)).ends_with("end tool_use\n"));
  CHECK(with_tool("").ends_with("end tool_use\n"));
}

TEST_CASE("finish reasons that mean failure end the stream with an error") {
  for (const std::string reason : {"error", "network_error"}) {
    CHECK(read(delta(R"("content":"x")") + finish(reason) + kDone).find("\nerror api_error: ") !=
          std::string::npos);
  }
  CHECK(read(delta(R"("content":"x")") + finish("insufficient_system_resource") + kDone)
            .find("\nerror overloaded_error: ") != std::string::npos);
}

TEST_CASE("a stop sequence is reported when the server names it") {
  CHECK(read(delta(R"("content":"x")") +
             chunk(R"({"index":0,"delta":{},"finish_reason":"stop","stop_reason":"END"})") + kDone)
            .ends_with("end stop_sequence \"END\"\n"));
  CHECK(read(delta(R"("content":"x")") +
             chunk(R"({"index":0,"delta":{},"finish_reason":"stop","stop_reason":151643})") + kDone)
            .ends_with("end end_turn\n"));
}

TEST_CASE("G-30: refusal deltas are text, a content filter is a refusal that keeps the text") {
  CHECK(read(delta(R"("refusal":"No")") + delta(R"("refusal":".")") + finish("stop") + kDone) ==
        "start c1 m\nopen 0 text\ntext 0 \"No\"\ntext 0 \".\"\nclose 0\nend refusal\n");
  CHECK(read(delta(R"("content":"So")") + finish("content_filter") + kDone)
            .starts_with("start c1 m\nopen 0 text\ntext 0 \"So\"\nclose 0\nend refusal {"));
}

TEST_CASE("Azure's first chunk without choices and id does not name the message") {
  CHECK(read("data: "
             "{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_"
             "results\":[{\"prompt_index\":0}]}\n\n" +
             delta(R"("content":"x")") + finish("stop") + kDone) ==
        "start c1 m\nopen 0 text\ntext 0 \"x\"\nclose 0\nend end_turn\n");
}

TEST_CASE("other choices than the first are not read") {
  CHECK(read(chunk(R"({"index":1,"delta":{"content":"other"},"finish_reason":"stop"})") +
             delta(R"("content":"x")") + finish("stop") + kDone) ==
        "start c1 m\nopen 0 text\ntext 0 \"x\"\nclose 0\nend end_turn\n");
}

TEST_CASE("Perplexity's message beside the delta is not read twice") {
  CHECK(
      read(
          chunk(R"({"index":0,"message":{"role":"assistant","content":"Hel"},"delta":{"content":"Hel"}})") +
          chunk(
              R"({"index":0,"delta":{"content":"lo"},"message":{"content":"Hello"},"finish_reason":"stop"})") +
          kDone)
          .starts_with("start c1 m\nopen 0 text\ntext 0 \"Hel\"\n"));
}

TEST_CASE("an error chunk before anything else is the only event") {
  CHECK(read("data: {\"error\":{\"message\":\"slow down\",\"code\":429}}\n\n") ==
        "error rate_limit_error: slow down\n");
  CHECK(read("data: {\"error\":\"model crashed\"}\n\n") == "error api_error: model crashed\n");
  CHECK(read("event: error\ndata: {\"message\":\"down\",\"type\":\"overloaded_error\"}\n\n") ==
        "error overloaded_error: down\n");
  CHECK(
      read(
          "data: {\"object\":\"error\",\"message\":\"bad\",\"type\":\"BadRequestError\",\"code\":400}\n\n") ==
      "error invalid_request_error: bad\n");
}

TEST_CASE("G-20: an error chunk in the middle ends the stream with the error, and nothing follows it") {
  CHECK(read(delta(R"("content":"x")") +
             "data: "
             "{\"id\":\"c1\",\"error\":{\"code\":502,\"message\":\"gone\"},\"choices\":[{\"index\":0,"
             "\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n" +
             delta(R"("content":"y")") + kDone) ==
        "start c1 m\nopen 0 text\ntext 0 \"x\"\nerror api_error: gone\n");
}

TEST_CASE("error:null is no error") {
  CHECK(read("data: "
             "{\"id\":\"c1\",\"model\":\"m\",\"error\":null,\"choices\":[{\"index\":0,\"delta\":{\"content\":"
             "\"x\"},\"finish_reason\":\"stop\"}]}\n\n" +
             kDone) == "start c1 m\nopen 0 text\ntext 0 \"x\"\nclose 0\nend end_turn\n");
}

TEST_CASE("a stream cut in the middle of its text is an error, never a clean end") {
  CHECK(read(delta(R"("content":"x")")) ==
        "start c1 m\nopen 0 text\ntext 0 \"x\"\nerror api_error: the provider's stream ended before its "
        "answer did\n");
  CHECK(read(delta(R"("content":"x")") + "data: {\"id\":\"c1\",\"choi") ==
        "start c1 m\nopen 0 text\ntext 0 \"x\"\nerror api_error: the provider's stream ended before its "
        "answer did\n");
  CHECK(read(kRole) == "start c1 m\nerror api_error: the provider ended its stream without an answer\n");
  CHECK(read("") == "error api_error: the provider ended its stream without an answer\n");
  CHECK(read(": keep-alive\n\n") == "error api_error: the provider ended its stream without an answer\n");
  CHECK(read(kDone) == "error api_error: the provider ended its stream without an answer\n");
}

TEST_CASE("a stream cut inside the arguments of a call is an error, after whole calls it is an end") {
  CHECK(read(tools({tool("0", "call_1", "f", "{\"a\":")})).find("\nerror api_error: ") != std::string::npos);
  CHECK(read(tools({tool("0", "call_1", "f", "{\"a\":")}) + kDone).find("\nerror api_error: ") !=
        std::string::npos);
  CHECK(read(tools({tool("0", "call_1", "f", "{\"a\":1}")}) + kDone).ends_with("end tool_use\n"));
  // Without finish_reason and [DONE] nobody knows whether a second call was to come.
  CHECK(read(tools({tool("0", "call_1", "f", "{\"a\":1}")})).find("\nerror api_error: ") !=
        std::string::npos);
}

TEST_CASE("[DONE] or a final usage chunk without finish_reason is a clean end") {
  CHECK(read(delta(R"("content":"x")") + kDone).ends_with("close 0\nend other\n"));
  CHECK(read(delta(R"("content":"x")") + usage_chunk(R"({"prompt_tokens":1,"completion_tokens":1})"))
            .ends_with("end other in=1 out=1\n"));
}

TEST_CASE("the last event counts without its closing blank line") {
  CHECK(
      read(delta(R"("content":"x")") + finish("stop") + "data: [DONE]").ends_with("close 0\nend end_turn\n"));
}

TEST_CASE("G-19: comments, CRLF, missing spaces and a byte order mark change nothing") {
  CHECK(read("\xEF\xBB\xBF: OPENROUTER "
             "PROCESSING\r\n\r\ndata:{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{"
             "\"content\":\"h\xC3\xA9\"}}]}\r\n\r\n"
             ": keep-alive\r\n\r\ndata: {\"choices\":[{\"index\":0,\ndata: "
             "\"finish_reason\":\"stop\"}]}\r\n\r\ndata:[DONE]\r\n\r\n") ==
        "start c1 m\nopen 0 text\ntext 0 \"h\xC3\xA9\"\nclose 0\nend end_turn\n");
}

TEST_CASE("G-19: a whole JSON reply instead of a stream is read as one") {
  CHECK(
      read(
          R"({"id":"c1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant",)"
          R"("content":"Hi"},)"
          R"("finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}})") ==
      "start c1 m\nopen 0 text\ntext 0 \"Hi\"\nclose 0\nend end_turn in=1 out=1\n");
  CHECK(read("{\n  \"error\": {\"message\": \"no\", \"type\": \"invalid_request_error\"}\n}") ==
        "error invalid_request_error: no\n");
  CHECK_THAT(read("<html><title>Bad gateway</title></html>"), Catch::Contains(R"(a page of HTML ("Bad gateway"))"));
  CHECK_THAT(read("{}"), Catch::Contains("the provider sent JSON where an answer was expected"));
  CHECK_THAT(read("{\"id\":"), Catch::Contains("ended before its JSON did"));
  CHECK_THAT(read("Service Unavailable\n\n"), Catch::Contains(R"(text ("Service Unavailable"))"));
}

TEST_CASE("an event that is not JSON is refused with a sentence, not a crash") {
  const auto reader = dialect::openai_chat().stream_reader(dialect::ReaderOptions{});
  std::vector<chat::Event> events;
  const auto fed = reader->feed("data: {\"id\":\n\n", events);
  REQUIRE_FALSE(fed.ok());
  CHECK(fed.error().http_status == 502);
  CHECK(fed.error().retry == Retry::kNextTarget);
}

TEST_CASE(
    "a listener beside a passthrough gives the same start, usage, end and errors without parsing every "
    "chunk") {
  const auto listen = [](const std::string& bytes) {
    const auto reader = dialect::openai_chat().stream_listener();
    std::vector<chat::Event> events;
    REQUIRE(reader->feed(bytes, events).ok());
    REQUIRE(reader->finish(events).ok());
    CHECK(test::order_fault(events) == "");
    return test::to_text(events);
  };
  const std::string text = kRole + delta(R"("content":"a")") + delta(R"("content":"\"usage\":{\"x\":1}")") +
                           delta(R"("content":"c")");
  CHECK(listen(text + finish("stop") + usage_chunk(R"({"prompt_tokens":9,"completion_tokens":3})") + kDone)
            .ends_with("close 0\nend end_turn in=9 out=3\n"));
  CHECK(listen(text + "data: {\"error\":{\"message\":\"gone\",\"code\":503}}\n\n")
            .ends_with("error overloaded_error: gone\n"));
  CHECK(listen(text).ends_with("error api_error: the provider's stream ended before its answer did\n"));
}

TEST_CASE("chunks that repeat but for one string are read like any other, escapes and odd strings included") {
  const auto piece = [](const std::string& literal) { return delta("\"content\":\"" + literal + "\""); };
  CHECK(read(piece("a") + piece("b") + piece(R"(\"q\"\n\\)") + piece(R"(\u00e9\ud83c\udf89)") +
             piece("\xC3\xA9") + piece("") + piece("c") + finish("stop") + kDone) ==
        "start c1 m\nopen 0 text\ntext 0 \"a\"\ntext 0 \"b\"\ntext 0 \"\"q\"\n\\\"\ntext 0 "
        "\"\xC3\xA9\xF0\x9F\x8E\x89\"\n"
        "text 0 \"\xC3\xA9\"\ntext 0 \"c\"\nclose 0\nend end_turn\n");
  const auto obfuscated = [](const std::string& text, const std::string& noise) {
    return R"(data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":")" + text +
           R"("},"finish_reason":null}],"obfuscation":")" + noise + "\"}\n\n";
  };
  CHECK(read(obfuscated("a", "xyz") + obfuscated("b", "") + obfuscated("c", "Q9") + finish("stop") + kDone) ==
        "start c1 m\nopen 0 text\ntext 0 \"a\"\ntext 0 \"b\"\ntext 0 \"c\"\nclose 0\nend end_turn\n");
  CHECK(read(tools({tool("0", "call_1", "f", "")}) + tools({tool("0", "", "", "{\"a\":")}) +
             tools({tool("0", "", "", "\"x\"")}) + tools({tool("0", "", "", "}")}) + finish("tool_calls") +
             kDone) ==
        "start c1 m\nopen 0 tool call_1 f\narguments 0 \"{\"a\":\"\narguments 0 \"\"x\"\"\narguments 0 "
        "\"}\"\nclose 0\nend tool_use\n");
  CHECK(read(delta(R"("reasoning":"a")") + delta(R"("reasoning":"b")") + delta(R"("content":"c")") +
             delta(R"("content":"d")") + finish("stop") + kDone) ==
        "start c1 m\nopen 0 thinking\nthinking 0 \"a\"\nthinking 0 \"b\"\nsignature 0 \"ccr1.,:\"\nclose 0\n"
        "open 1 text\ntext 1 \"c\"\ntext 1 \"d\"\nclose 1\nend end_turn\n");
}

TEST_CASE("a repeated chunk that is broken is refused like any other") {
  for (const std::string bad : {"b\xff", "b\x01"}) {
    const auto reader = dialect::openai_chat().stream_reader(dialect::ReaderOptions{});
    std::vector<chat::Event> events;
    REQUIRE(reader->feed(delta(R"("content":"a")"), events).ok());
    CHECK_FALSE(reader->feed(delta("\"content\":\"" + bad + "\""), events).ok());
  }
}

TEST_CASE("a body instead of a stream is read after a byte order mark and blanks, however they are cut") {
  const std::string answer =
      R"({"id":"c1","model":"m","choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]})";
  CHECK(read("\xEF\xBB\xBF" + answer) == read(answer));
  CHECK(read(std::string(20, '\n') + " \t" + answer) == read(answer));
  CHECK(read("\xEF\xBB\xBF{\"error\":{\"message\":\"no") ==
        "error api_error: the provider's answer ended before its JSON did\n");
}

TEST_CASE("a field name behind a blank is no field, however far the blank lines before it go") {
  CHECK(read(std::string(20, '\n') + "    data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n") ==
        read("\n"));
}

namespace {

/// The stream of a server that forgets the blank lines between its events.
std::string without_blank_lines(std::string stream) {
  for (std::size_t at = 0; (at = stream.find("\n\n", at)) != std::string::npos;) stream.erase(at, 1);
  return stream;
}

}  // namespace

TEST_CASE("events without blank lines between them are read one a line, and none is lost silently") {
  const std::string stream = kRole + delta(R"("content":"a")") + delta(R"("content":"b")") + finish("stop");
  CHECK(read(without_blank_lines(stream + kDone)) == read(stream + kDone));
  CHECK(read(without_blank_lines(stream) + "data: {\"choices\":[{\"del") == read(stream));
  const test::StreamRun run =
      test::read_every_cut(dialect::openai_chat(), kRole + "data: {\"choices\":[]}{\"choices\":[]}\n\n");
  REQUIRE(run.error);
  CHECK(run.error->http_status == 502);
}
