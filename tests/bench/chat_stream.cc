// What the chat completions dialect costs: facts, both requests and every event of a stream. With a file name
// as argument, that Anthropic body is translated instead of an invented one.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <sstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/json.h"
#include "dialect/dialect.h"

using namespace ccrules;

namespace {

/// CPU time of one call, the median of 31 rounds of about 5 ms.
template <class Work>
void measure(const char* name, std::size_t bytes, Work&& work) {
  const auto once = [&](std::size_t count) {
    const std::clock_t began = std::clock();
    for (std::size_t i = 0; i < count; ++i) work();
    return static_cast<double>(std::clock() - began) * 1e6 / CLOCKS_PER_SEC;
  };
  once(3);
  const auto count = static_cast<std::size_t>(std::max(1.0, 5000.0 / std::max(0.001, once(100) / 100)));
  std::vector<double> rounds;
  for (int round = 0; round < 31; ++round) rounds.push_back(once(count) / static_cast<double>(count));
  std::nth_element(rounds.begin(), rounds.begin() + 15, rounds.end());
  std::printf("%-46s %7zu bytes %10.3f us\n", name, bytes, rounds[15]);
}

void check(bool holds) {
  if (!holds) std::abort();
}

/// Turns of tool calls whose results are source code: many quotes, tabs and newlines to unescape.
std::string agent_request(std::size_t wanted) {
  std::string body =
      R"({"model":"claude-sonnet-5-5","max_tokens":32000,"stream":true,"system":[{"type":"text",)"
      R"("text":"You are a coding agent."}],)"
      R"("tools":[{"name":"Read","description":"Reads a file","input_schema":{"type":"object",)"
      R"("properties":{"path":{"type":"string"}}}}],)"
      R"("messages":[{"role":"user","content":"Find out why the build fails."})";
  std::string code;
  for (int line = 0; code.size() < 5500; ++line) {
    code += std::to_string(line) +
            R"(\tstatic int read_token(const std::string& text,)"
            R"( size_t n) {\n\tif (text.find(\"x\\n\") == npos) { log(\"no x in %s\", n); return -1; }\n)";
  }
  for (int turn = 0; body.size() + 6000 < wanted; ++turn) {
    const std::string id = "toolu_" + std::to_string(1000 + turn);
    body +=
        R"(,{"role":"assistant","content":[{"type":"text","text":"Let me look."},{"type":"tool_use","id":")" +
        id +
        R"(","name":"Read","input":{"path":"/srv/web/main.cc","offset":17}}]},{"role":"user",)"
        R"("content":[{"type":"tool_result","tool_use_id":")" +
        id + R"(","content":[{"type":"text","text":")" + code + R"("}]}]})";
  }
  return body + "]}";
}

void bench_requests(std::string body) {
  const std::string_view padded = json::padded(body);
  const dialect::Dialect& anthropic = dialect::anthropic();
  const dialect::Dialect& chat = dialect::openai_chat();
  measure("anthropic: read_request", body.size(), [&] { check(anthropic.read_request(padded).ok()); });
  const auto request = anthropic.read_request(padded);
  check(request.ok());
  std::string written;
  measure("openai_chat: write_request", body.size(), [&] {
    chat::LossNotes losses;
    auto one = chat.write_request(*request, dialect::Capabilities{}, losses);
    check(one.ok());
    written = *std::move(one);
  });
  measure("both: translated", body.size(), [&] {
    chat::LossNotes losses;
    const auto read = anthropic.read_request(padded);
    check(read.ok() && chat.write_request(*read, dialect::Capabilities{}, losses).ok());
  });
  const std::string_view padded_chat = json::padded(written);
  measure("openai_chat: outline", written.size(), [&] { check(chat.outline(padded_chat).ok()); });
  measure("openai_chat: read_request", written.size(), [&] { check(chat.read_request(padded_chat).ok()); });
}

void bench_stream() {
  const std::string event =
      R"(data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk","created":1741570283,)"
      R"("model":"gpt-6.1-sol",)"
      R"("service_tier":"default","system_fingerprint":"fp_fc9f1d7035","choices":[{"index":0,)"
      R"("delta":{"content":" quick brown"},"logprobs":null,)"
      R"("finish_reason":null}],"usage":null,"obfuscation":"Xk1"})"
      "\n\n";
  std::vector<chat::Event> events;
  const auto reader = dialect::openai_chat().stream_reader(dialect::ReaderOptions{});
  check(reader->feed(event, events).ok());
  measure("stream: read one text delta", event.size(), [&] {
    events.clear();
    check(reader->feed(event, events).ok());
  });
  const auto listener = dialect::openai_chat().stream_listener();
  std::vector<chat::Event> heard;
  check(listener->feed(event, heard).ok());
  measure("stream: listen to one text delta", event.size(), [&] {
    heard.clear();
    check(listener->feed(event, heard).ok());
  });
  dialect::StreamWriterOptions options;
  options.model = "claude-sonnet-5-5";
  std::string out;
  for (const dialect::Dialect* dialect : {&dialect::anthropic(), &dialect::openai_chat()}) {
    const auto writer = dialect->stream_writer(options);
    writer->write(chat::MessageStart{}, out);
    writer->write(chat::BlockStart{0, chat::Block{chat::Text{}}}, out);
    const std::string name = "stream: write one text delta, " + std::string(dialect->name());
    measure(name.c_str(), event.size(), [&] {
      out.clear();
      for (const chat::Event& one : events) writer->write(one, out);
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    std::ifstream file(argv[1], std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    bench_requests(text.str());
  } else {
    bench_requests(agent_request(149000));
  }
  bench_stream();
}
