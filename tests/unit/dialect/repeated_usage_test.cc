#include <catch2/catch.hpp>

#include "dialect/dialect.h"
#include "support/stream_cuts.h"

using namespace ccrules;

namespace {

std::string usage_of(const dialect::Dialect& spoken, const std::string& bytes) {
  const test::StreamRun run = test::read_every_cut(spoken, bytes);
  REQUIRE_FALSE(run.events.empty());
  const auto* end = std::get_if<chat::MessageEnd>(&run.events.back());
  REQUIRE(end != nullptr);
  return test::to_text(end->usage);
}

std::string chat_chunk(const std::string& choice, const std::string& usage) {
  return R"(data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[)" + choice + "]" +
         (usage.empty() ? "" : ",\"usage\":" + usage) + "}\n\n";
}

}  // namespace

TEST_CASE("tokens of the cache stay what they are when a stream's last usage does not tell them again") {
  const std::string detailed = R"({"prompt_tokens":50,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":5}})";
  const std::string text = R"({"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null})";
  const std::string stop = R"({"index":0,"delta":{},"finish_reason":"stop"})";
  const auto chat = [&](const std::string& first, const std::string& last) {
    return usage_of(dialect::openai_chat(), chat_chunk(text, first) + chat_chunk(stop, {}) + chat_chunk({}, last) + "data: [DONE]\n\n");
  };
  CHECK(chat(detailed, R"({"prompt_tokens":50,"completion_tokens":9})") == " in=15 out=9 read=30 write=5");
  CHECK(chat(R"({"prompt_tokens":50,"completion_tokens":1})", detailed) == " in=15 out=1 read=30 write=5");
  CHECK(chat(detailed, R"({"prompt_tokens":50,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0}})") ==
        " in=50 out=9 read=0 write=0");
  CHECK(chat(detailed, R"({"prompt_tokens":7,"completion_tokens":9})") == " in=0 out=9 read=30 write=5");
}

TEST_CASE("a Gemini stream's last usage may leave out thoughts and cached tokens that were told before") {
  const auto chunk = [](const std::string& more, const std::string& usage) {
    return R"(data: {"candidates":[{"content":{"parts":[{"text":"a"}],"role":"model"},"index":0)" + more + R"(}],"usageMetadata":)" + usage +
           ",\"modelVersion\":\"m\"}\n\n";
  };
  CHECK(usage_of(dialect::gemini_dialect(),
                 chunk({}, R"({"promptTokenCount":50,"cachedContentTokenCount":30,"candidatesTokenCount":1,"thoughtsTokenCount":7})") +
                     chunk(R"(,"finishReason":"STOP")", R"({"promptTokenCount":50,"candidatesTokenCount":9})")) == " in=20 out=16 read=30 reasoning=7");
}
