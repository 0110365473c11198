#include <algorithm>

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "core/text.h"
#include "dialect/dialect.h"
#include "support/stream_cuts.h"

/// What providers may send by mistake or on purpose. Whatever it is: the events keep their order in every
/// cut, texts are UTF-8, counts are not negative, and an answer that is not all there does not end like one.
using namespace ccrules;
using namespace ccrules::test;

namespace {

enum class End { kClean, kError };

struct Row {
  const char* name;
  std::string bytes;
  End end;
  std::string text;               ///< of all text blocks, when it ends clean
  std::vector<std::string> calls; ///< "name arguments"
};

struct Heard {
  End end = End::kError;
  std::string text;
  std::vector<std::string> calls;
};

Heard hear(const StreamRun& run) {
  Heard heard;
  std::string arguments;
  std::string name;
  for (const chat::Event& event : run.events) {
    if (const auto* start = std::get_if<chat::BlockStart>(&event)) {
      const auto* call = std::get_if<chat::ToolCall>(&start->block.value);
      name = call == nullptr ? std::string() : call->name;
      arguments = call == nullptr ? std::string() : call->arguments_json;
      if (call != nullptr) CHECK_FALSE(call->id.empty());
    } else if (const auto* delta = std::get_if<chat::BlockDelta>(&event)) {
      CHECK(text::is_valid_utf8(delta->text));
      if (delta->kind == chat::DeltaKind::kText) heard.text += delta->text;
      if (delta->kind == chat::DeltaKind::kArguments) arguments += delta->text;
    } else if (std::holds_alternative<chat::BlockEnd>(event) && !name.empty()) {
      heard.calls.push_back(name + " " + arguments);
      name.clear();
    } else if (const auto* end = std::get_if<chat::MessageEnd>(&event)) {
      if (!run.error) heard.end = End::kClean;
      for (const auto& count : {end->usage.input_tokens, end->usage.output_tokens, end->usage.cache_read_tokens}) {
        CHECK(count.value_or(0) >= 0);
        CHECK(count.value_or(0) <= limits::kUsageTokens);
      }
    } else if (const auto* start_of = std::get_if<chat::MessageStart>(&event)) {
      CHECK(start_of->usage.input_tokens.value_or(0) >= 0);
    }
  }
  return heard;
}

void check(const dialect::Dialect& dialect, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    INFO(dialect.name() << ": " << row.name);
    const StreamRun run = read_every_cut(dialect, row.bytes);
    INFO(to_text(run));
    const Heard heard = hear(run);
    CHECK((heard.end == row.end));
    if (row.end == End::kClean) CHECK(heard.text == row.text);
    if (!row.calls.empty()) CHECK(heard.calls == row.calls);
  }
}

std::string sse(const std::vector<std::string>& events) {
  std::string out;
  for (const std::string& event : events) out += "data: " + event + "\n\n";
  return out;
}

std::string lines(const std::vector<std::string>& all) {
  std::string out;
  for (const std::string& line : all) out += line + "\n";
  return out;
}

constexpr const char* kHtml = "<!doctype html><html><body>Sign in, please</body></html>\n";

}  // namespace

TEST_CASE("hostile bytes of an anthropic provider") {
  const auto start_with = [](const std::string& usage) {
    return R"({"type":"message_start","message":{"id":"m1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":)" +
           usage + "}}";
  };
  const auto end_with = [](const std::string& usage) {
    return R"({"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":)" + usage + "}";
  };
  const auto block = [](int at, const std::string& what) {
    return R"({"type":"content_block_start","index":)" + std::to_string(at) + R"(,"content_block":)" + what + "}";
  };
  const auto delta = [](int at, const std::string& what) {
    return R"({"type":"content_block_delta","index":)" + std::to_string(at) + R"(,"delta":)" + what + "}";
  };
  const auto close = [](int at) { return R"({"type":"content_block_stop","index":)" + std::to_string(at) + "}"; };
  const std::string start = start_with(R"({"input_tokens":1,"output_tokens":1})");
  const std::string text = block(0, R"({"type":"text","text":""})");
  const std::string hi = delta(0, R"({"type":"text_delta","text":"Hi"})");
  const std::string end = end_with(R"({"output_tokens":1})");
  const std::string stop = R"({"type":"message_stop"})";
  const auto call = [&](int at, const std::string& name) { return block(at, R"({"type":"tool_use","name":")" + name + R"(","input":{}})"); };
  const auto piece = [&](int at, const std::string& json) { return delta(at, R"({"type":"input_json_delta","partial_json":")" + json + "\"}"); };
  check(dialect::anthropic(),
        {
            {"as it should be", sse({start, text, hi, close(0), end, stop}), End::kClean, "Hi", {}},
            {"no beginning", sse({text, hi, close(0), end, stop}), End::kClean, "Hi", {}},
            {"counts below zero", sse({start_with(R"({"input_tokens":-5,"output_tokens":-1})"), text, hi, close(0), end_with(R"({"output_tokens":-9223372036854775808})"), stop}),
             End::kClean, "Hi", {}},
            {"counts beyond belief", sse({start_with(R"({"input_tokens":1e30})"), text, hi, close(0), end_with(R"({"output_tokens":99999999999999999999})"), stop}),
             End::kClean, "Hi", {}},
            {"counts that are no numbers", sse({start_with(R"({"input_tokens":"many"})"), text, hi, close(0), end_with("[]"), stop}), End::kClean, "Hi", {}},
            {"calls without ids", sse({start, call(0, "a"), piece(0, R"({\"x\":1})"), close(0), call(1, "b"), close(1), end, stop}), End::kClean, "",
             {R"(a {"x":1})", "b "}},
            {"two calls in pieces of each other", sse({start, call(0, "a"), call(1, "b"), piece(0, "{"), piece(1, "{"), piece(0, "}"), piece(1, "}"), end, stop}),
             End::kError, "", {}},
            {"a call of nothing", sse({start, call(0, ""), piece(0, R"({\"x\":1})"), close(0), end, stop}), End::kError, "", {}},
            {"the last event twice", sse({start, text, hi, close(0), end, stop, stop}), End::kClean, "Hi", {}},
            {"text behind the end", sse({start, text, hi, close(0), end, stop, hi}), End::kClean, "Hi", {}},
            {"no end", sse({start, text, hi, close(0)}), End::kError, "", {}},
            {"a web page", kHtml, End::kError, "", {}},
            {"nothing at all", "", End::kError, "", {}},
            {"an event that is a list", sse({start, "[1,2]"}), End::kError, "", {}},
            {"an event that is no JSON", sse({start, "{\"type\":"}), End::kError, "", {}},
            {"bytes that are no UTF-8", sse({start, text, "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\xff\xfe\"}}", close(0), end, stop}),
             End::kError, "", {}},
        });
}

TEST_CASE("hostile bytes of a chat provider") {
  const auto chunk = [](const std::string& delta, const std::string& reason = "null") {
    return R"({"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":)" + delta + R"(,"finish_reason":)" + reason + "}]}";
  };
  const auto counted = [](const std::string& usage) { return R"({"id":"c1","choices":[],"usage":)" + usage + "}"; };
  const std::string hi = chunk(R"({"role":"assistant","content":"Hi"})");
  const std::string stop = chunk("{}", R"("stop")");
  const std::string done = "[DONE]";
  const auto piece = [&](const std::string& call) { return chunk(R"({"tool_calls":[)" + call + "]}"); };
  const std::string calls_over = chunk("{}", R"("tool_calls")");
  check(dialect::openai_chat(),
        {
            {"as it should be", sse({hi, stop, counted(R"({"prompt_tokens":1,"completion_tokens":1})"), done}), End::kClean, "Hi", {}},
            {"usage before anything", sse({counted(R"({"prompt_tokens":1,"completion_tokens":1})"), hi, stop, done}), End::kClean, "Hi", {}},
            {"counts below zero", sse({hi, stop, counted(R"({"prompt_tokens":-5,"completion_tokens":-9223372036854775808})"), done}), End::kClean, "Hi", {}},
            {"counts beyond belief", sse({hi, stop, counted(R"({"prompt_tokens":1e30,"completion_tokens":99999999999999999999})"), done}), End::kClean, "Hi", {}},
            {"counts that are no numbers", sse({hi, stop, counted(R"({"prompt_tokens":"many","completion_tokens":[]})"), done}), End::kClean, "Hi", {}},
            {"two calls in pieces of each other",
             sse({piece(R"({"index":0,"id":"i0","function":{"name":"a","arguments":"{\"x\":"}},{"index":1,"id":"i1","function":{"name":"b","arguments":"{\"y\":"}})"),
                  piece(R"({"index":0,"function":{"arguments":"1}"}},{"index":1,"function":{"arguments":"2}"}})"), calls_over, done}),
             End::kClean, "", {R"(a {"x":1})", R"(b {"y":2})"}},
            {"calls without ids",
             sse({piece(R"({"index":0,"function":{"name":"a","arguments":"{}"}},{"index":1,"function":{"name":"b","arguments":"{}"}})"), calls_over, done}),
             End::kClean, "", {"a {}", "b {}"}},
            {"a call of nothing", sse({piece(R"({"index":0,"id":"i0","function":{"name":"","arguments":"{}"}})"), calls_over, done}), End::kError, "", {}},
            {"another answer in between", sse({hi, R"({"id":"c1","choices":[{"index":1,"delta":{"content":"Not me"}}]})", stop, done}), End::kClean, "Hi", {}},
            {"the end twice", sse({hi, stop, stop, done, done}), End::kClean, "Hi", {}},
            {"no end", sse({hi}), End::kError, "", {}},
            {"a web page", kHtml, End::kError, "", {}},
            {"nothing at all", "", End::kError, "", {}},
            {"an event that is a list", sse({hi, "[1,2]"}), End::kError, "", {}},
            {"an event that is no JSON", sse({hi, "{\"choices\":"}), End::kError, "", {}},
            {"bytes that are no UTF-8", sse({chunk("{\"content\":\"\xff\xfe\"}"), stop, done}), End::kError, "", {}},
        });
}

TEST_CASE("hostile bytes of a responses provider") {
  const std::string created = R"({"type":"response.created","response":{"id":"r1","model":"m","status":"in_progress","output":[]}})";
  const std::string item = R"({"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"m1","role":"assistant","content":[]}})";
  const std::string part =
      R"({"type":"response.content_part.added","item_id":"m1","output_index":0,"content_index":0,"part":{"type":"output_text","text":""}})";
  const std::string text = R"({"type":"response.output_text.delta","item_id":"m1","output_index":0,"content_index":0,"delta":"Hi"})";
  const auto completed = [](const std::string& usage) {
    return R"({"type":"response.completed","response":{"id":"r1","model":"m","status":"completed","output":[{"type":"message","id":"m1",)"
           R"("role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hi"}]}],"usage":)" + usage + "}}";
  };
  const std::string good = completed(R"({"input_tokens":1,"output_tokens":1})");
  const auto call = [](int at, const std::string& id, const std::string& name) {
    return R"({"type":"response.output_item.added","output_index":)" + std::to_string(at) + R"(,"item":{"type":"function_call","id":"f)" + id +
           R"(","call_id":"c)" + id + R"(","name":")" + name + R"(","arguments":""}})";
  };
  const auto piece = [](int at, const std::string& id, const std::string& json) {
    return R"({"type":"response.function_call_arguments.delta","item_id":"f)" + id + R"(","output_index":)" + std::to_string(at) +
           R"(,"delta":")" + json + "\"}";
  };
  const std::string empty_end = R"({"type":"response.completed","response":{"id":"r1","model":"m","status":"completed","output":[],"usage":null}})";
  check(dialect::openai_responses(),
        {
            {"as it should be", sse({created, item, part, text, good}), End::kClean, "Hi", {}},
            {"no beginning", sse({item, part, text, good}), End::kClean, "Hi", {}},
            {"text before its item", sse({created, text, item, part, good}), End::kClean, "Hi", {}},
            {"counts below zero", sse({created, item, part, text, completed(R"({"input_tokens":-5,"output_tokens":-9223372036854775808})")}), End::kClean, "Hi", {}},
            {"counts beyond belief", sse({created, item, part, text, completed(R"({"input_tokens":1e30,"output_tokens":99999999999999999999})")}), End::kClean, "Hi", {}},
            {"counts that are no numbers", sse({created, item, part, text, completed(R"({"input_tokens":"many","output_tokens":[]})")}), End::kClean, "Hi", {}},
            {"two calls in pieces of each other",
             sse({created, call(0, "1", "a"), call(1, "2", "b"), piece(0, "1", R"({\"x\":)"), piece(1, "2", R"({\"y\":)"), piece(0, "1", "1}"),
                  piece(1, "2", "2}"), empty_end}),
             End::kClean, "", {R"(a {"x":1})", R"(b {"y":2})"}},
            {"a call of nothing", sse({created, call(0, "1", ""), piece(0, "1", "{}"), empty_end}), End::kError, "", {}},
            {"the last event twice", sse({created, item, part, text, good, good}), End::kClean, "Hi", {}},
            {"text behind the end", sse({created, item, part, text, good, text}), End::kClean, "Hi", {}},
            {"an end and no more", sse({created, item, part, text}), End::kError, "", {}},
            {"a web page", kHtml, End::kError, "", {}},
            {"nothing at all", "", End::kError, "", {}},
            {"an event that is a list", sse({created, "[1,2]"}), End::kError, "", {}},
            {"an event that is no JSON", sse({created, "{\"type\":"}), End::kError, "", {}},
            {"bytes that are no UTF-8",
             sse({created, item, part, "{\"type\":\"response.output_text.delta\",\"item_id\":\"m1\",\"output_index\":0,\"content_index\":0,\"delta\":\"\xff\xfe\"}", good}),
             End::kError, "", {}},
        });
}

TEST_CASE("hostile bytes of a gemini provider") {
  const auto chunk = [](const std::string& parts, const std::string& more = {}) {
    return R"({"candidates":[{"index":0,"content":{"role":"model","parts":[)" + parts + "]}" + more + R"(}],"modelVersion":"m","responseId":"r"})";
  };
  const std::string stop = R"(,"finishReason":"STOP")";
  const std::string hi = R"({"text":"Hi"})";
  const auto counted = [&](const std::string& usage) {
    return R"({"candidates":[{"index":0,"content":{"role":"model","parts":[]},"finishReason":"STOP"}],"usageMetadata":)" + usage + "}";
  };
  check(dialect::gemini_dialect(),
        {
            {"as it should be", sse({chunk(hi), chunk("", stop)}), End::kClean, "Hi", {}},
            {"counts below zero", sse({chunk(hi), counted(R"({"promptTokenCount":-5,"candidatesTokenCount":-1,"cachedContentTokenCount":7})")}), End::kClean, "Hi", {}},
            {"counts beyond belief", sse({chunk(hi), counted(R"({"promptTokenCount":1e30,"candidatesTokenCount":99999999999999999999})")}), End::kClean, "Hi", {}},
            {"another candidate in between",
             sse({chunk(hi), R"({"candidates":[{"index":1,"content":{"parts":[{"text":"Not me"}]}}]})", chunk("", stop)}), End::kClean, "Hi", {}},
            {"calls without ids", sse({chunk(R"({"functionCall":{"name":"a","args":{"x":1}}},{"functionCall":{"name":"b","args":{"y":2}}})", stop)}), End::kClean, "",
             {R"(a {"x":1})", R"(b {"y":2})"}},
            {"a call of nothing", sse({chunk(R"({"functionCall":{"args":{"x":1}}},{"text":"Hi"})", stop)}), End::kError, "", {}},
            {"two calls with one id",
             sse({chunk(R"({"functionCall":{"id":"i","name":"a","args":{}}},{"functionCall":{"id":"i","name":"b","args":{}}})", stop)}), End::kClean, "",
             {"a {}", "b {}"}},
            {"no end", sse({chunk(hi)}), End::kError, "", {}},
            {"a web page", kHtml, End::kError, "", {}},
            {"nothing at all", "", End::kError, "", {}},
            {"an event that is no JSON", sse({chunk(hi), "{\"candidates\":"}), End::kError, "", {}},
            {"bytes that are no UTF-8", sse({chunk("{\"text\":\"\xff\xfe\"}"), chunk("", stop)}), End::kError, "", {}},
        });
}

TEST_CASE("hostile bytes of an ollama provider") {
  const std::string hi = R"({"model":"m","message":{"role":"assistant","content":"Hi"},"done":false})";
  const std::string done = R"({"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":1})";
  check(dialect::ollama_chat(),
        {
            {"as it should be", lines({hi, done}), End::kClean, "Hi", {}},
            {"no message in the last line", lines({hi, R"({"model":"m","done":true})"}), End::kClean, "Hi", {}},
            {"counts beyond belief", lines({hi, R"({"model":"m","done":true,"prompt_eval_count":1e30,"eval_count":-1})"}), End::kClean, "Hi", {}},
            {"calls without ids, in one message",
             lines({R"({"message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"a","arguments":{"x":1}}},{"function":{"name":"b","arguments":{}}}]},"done":false})", done}),
             End::kClean, "", {R"(a {"x":1})", "b {}"}},
            {"a call of nothing", lines({R"({"message":{"role":"assistant","tool_calls":[{"function":{"arguments":{}}}]},"done":false})", hi, done}), End::kError, "", {}},
            {"text behind the end", lines({hi, done, hi}), End::kClean, "Hi", {}},
            {"no end", lines({hi}), End::kError, "", {}},
            {"a web page", kHtml, End::kError, "", {}},
            {"nothing at all", "", End::kError, "", {}},
            {"a line that is cut", lines({hi, "{\"model\":"}), End::kError, "", {}},
            {"bytes that are no UTF-8", lines({"{\"message\":{\"role\":\"assistant\",\"content\":\"\xff\xfe\"},\"done\":false}", done}), End::kError, "", {}},
        });
}

TEST_CASE("a whole answer whose call names no tool is an error, in every format") {
  const std::pair<const dialect::Dialect*, std::string> kAnswers[] = {
      {&dialect::anthropic(), R"({"type":"message","role":"assistant","model":"m","content":[{"type":"tool_use","id":"i","input":{}}],"stop_reason":"tool_use"})"},
      {&dialect::openai_chat(), R"({"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"i","function":{"arguments":"{}"}}]},"finish_reason":"tool_calls"}]})"},
      {&dialect::openai_responses(), R"({"object":"response","status":"completed","output":[{"type":"function_call","call_id":"i","arguments":"{}"}]})"},
      {&dialect::gemini_dialect(), R"({"candidates":[{"content":{"parts":[{"functionCall":{"args":{}}}]},"finishReason":"STOP"}]})"},
      {&dialect::ollama_chat(), R"({"message":{"role":"assistant","tool_calls":[{"function":{"arguments":{}}}]},"done":true})"},
  };
  for (const auto& [dialect, body] : kAnswers) {
    INFO(dialect->name());
    const auto reply = dialect->read_reply(body, {});
    REQUIRE_FALSE(reply.ok());
    CHECK(reply.error().http_status >= 500);
    CHECK_THAT(reply.error().message, Catch::Contains("without naming it"));
  }
}

TEST_CASE("an event without an end is refused before it fills the memory, in every format") {
  for (const dialect::Dialect* dialect : {&dialect::anthropic(), &dialect::openai_chat(), &dialect::openai_responses(), &dialect::gemini_dialect(),
                                          &dialect::ollama_chat()}) {
    INFO(dialect->name());
    const auto reader = dialect->stream_reader(dialect::ReaderOptions{});
    std::vector<chat::Event> events;
    const std::string start = dialect->name() == "ollama" ? "{\"a\":\"" : "data: {\"a\":\"";
    auto fed = reader->feed(start, events);
    const std::string more(1024 * 1024, 'x');
    std::size_t bytes = 0;
    while (fed && bytes <= 2 * limits::kSseEventBytes) {
      fed = reader->feed(more, events);
      bytes += more.size();
    }
    CHECK_FALSE(fed.ok());
    CHECK(bytes <= limits::kSseEventBytes + 2 * more.size());
  }
}
