#include "dialect/endings.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "core/limits.h"

using namespace ccrules;
using chat::StopReason;
using dialect::endings;
using Ends = std::vector<StopReason>;

namespace {

const Ends kEnd = {StopReason::kEndTurn};

/// In any order.
bool same(Ends a, Ends b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

bool has_other(const Ends& ends) { return std::find(ends.begin(), ends.end(), StopReason::kOther) != ends.end(); }

const std::string kChunk = R"({"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]})";
const std::string kLast = R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})";

}  // namespace

TEST_CASE("the ends of an answer are read from a stream in whatever lines it comes") {
  for (const std::string line : {"\n", "\r\n", "\r"}) {
    const std::string start = "data: " + kChunk + line + line + ": ping" + line + line;
    CAPTURE(line);
    CHECK(endings("openai_chat", start + "data:" + kLast + line + line + "data: [DONE]" + line + line) == kEnd);
    CHECK(endings("openai_chat", start + "data: " + kLast) == kEnd);
    CHECK(endings("openai_chat", "\xEF\xBB\xBF" + start + "data: " + kLast + line) == kEnd);
  }
  CHECK(endings("openai_chat", "data: " + kChunk + "\ndata: " + kLast + "\n\n") == kEnd);  // blank lines forgotten
  const std::string named = "event: message_start\ndata: {\"message\":{}}\n\nevent: message_delta\n"
                            "data: {\"delta\":{\"stop_reason\":\"max_tokens\"}}\n\nevent: message_stop\ndata: {}\n\n";
  CHECK(endings("anthropic", named) == Ends{StopReason::kMaxTokens});
  CHECK(endings("openai_responses", "event: response.completed\ndata: {\"response\":{\"output\":[]}}\n\n") == kEnd);
  CHECK(has_other(endings("openai_responses", "event: response.done\ndata: {\"response\":{\"output\":[]}}\n\n")));
  CHECK(endings("ollama", "{\"done\":false}\n{\"done\":true,\"done_reason\":\"stop\"}\n") == kEnd);
}

TEST_CASE("a stream's type asked for and one JSON text sent: its ends are those of a whole answer") {
  CHECK(endings("openai_chat", R"( {"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]} )") == kEnd);
  CHECK(endings("ollama", "{\n \"done\": true,\n \"done_reason\": \"stop\"\n}") == kEnd);
  CHECK(endings("openai_embeddings", R"({"object":"list","data":[{"embedding":[0.1]}],"model":"m"})") == kEnd);
  CHECK(has_other(endings("openai_embeddings", R"({"object":"list","data":[],"model":"m"})")));
}

TEST_CASE("each choice has its end, and what an answer holds is told besides") {
  const std::string two = R"({"choices":[{"index":0,"finish_reason":"stop"},{"index":0,"finish_reason":)";
  CHECK(same(endings("openai_chat", two + "\"length\"}]}"), {StopReason::kEndTurn, StopReason::kMaxTokens}));
  CHECK(has_other(endings("openai_chat", two + "null}]}")));
  CHECK(same(endings("openai_chat", R"({"choices":[{"message":{"refusal":"no","tool_calls":[{}]},"finish_reason":"stop"}]})"),
             {StopReason::kEndTurn, StopReason::kRefusal, StopReason::kToolUse}));
  CHECK(endings("gemini", R"({"promptFeedback":{"blockReason":"SAFETY"}})") == Ends{StopReason::kRefusal});
}

TEST_CASE("what cannot be read, or has not come whole, has an end that is not known") {
  for (const std::string name : {"anthropic", "openai_chat", "openai_completions", "openai_embeddings", "openai_responses", "gemini", "ollama"}) {
    for (const std::string bytes : {"", " ", "null", "[]", "[{}]", "{}", "{", "<html>", "data: \n\n", "data: [DONE]\n\n", "data: nothing\n\n",
                                    "data: {\n\n", R"({"error":{"message":"no"}})", "data: {\"type\":\"error\",\"error\":{}}\n\n"}) {
      CAPTURE(name, bytes);
      CHECK(has_other(endings(name, bytes)));
    }
  }
  CHECK(has_other(endings("telepathy", R"({"choices":[{"finish_reason":"stop"}]})")));
  CHECK(has_other(endings("openai_chat", "data: " + kLast + "\n\ndata: {\"choices\":[{\"ind\n\n")));
  CHECK(has_other(endings("openai_chat", "data: " + kLast + "\n\ndata: {\"error\":{\"message\":\"late\"}}\n\n")));
  CHECK(has_other(endings("openai_chat", R"({"choices":[{"index":0,"finish_reason":"stop"}])")));
  CHECK(has_other(endings("openai_chat", "data: {\"choices\":[{\"index\":-1,\"finish_reason\":\"stop\"}]}\n\n")));
  CHECK(has_other(endings("openai_chat", "data: {\"choices\":[{\"index\":1e9,\"finish_reason\":\"stop\"}]}\n\n")));
}

TEST_CASE("a stream that is cut anywhere before its end has an end that is not known") {
  const std::string stream = "data: " + kChunk + "\n\ndata: " + kLast + "\n\n";
  const std::size_t last = stream.find("\"stop\"}") + 7;
  for (std::size_t size = 0; size < last; ++size) {
    CAPTURE(size);
    CHECK(has_other(endings("openai_chat", stream.substr(0, size))));
  }
}
