#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"

using namespace ccrules;

namespace {

chat::Outline outline_of(const dialect::Dialect& spoken, std::string body) {
  auto outline = spoken.outline(json::padded(body));
  INFO(body);
  REQUIRE(outline.ok());
  return *std::move(outline);
}

}  // namespace

TEST_CASE("how many answers are asked for is known of every dialect that can ask for several") {
  const auto& completions = dialect::openai_completions();
  CHECK(outline_of(completions, R"({"model":"m","prompt":"a"})").choices == 1);
  CHECK(outline_of(completions, R"({"model":"m","prompt":[1,2,3],"n":2})").choices == 2);
  CHECK(outline_of(completions, R"({"model":"m","prompt":["a","b"],"n":2,"best_of":5})").choices == 10);
  CHECK(outline_of(completions, R"({"model":"m","prompt":[[1,2],[3]]})").choices == 2);
  CHECK(outline_of(completions, R"({"model":"m","prompt":[],"n":"many"})").choices == 1);
  CHECK(outline_of(dialect::openai_chat(), R"({"model":"m","messages":[{"role":"user","content":"a"}],"n":3})").choices == 3);
  CHECK(outline_of(dialect::openai_chat(), R"({"model":"m","messages":[{"role":"user","content":"a"}],"n":-3})").choices == 1);
  CHECK(outline_of(dialect::gemini_dialect(), R"({"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"candidateCount":4}})").choices == 4);
}

TEST_CASE("of completions the model, the stream, its usage and the limit are read, and each only once") {
  const chat::Outline asked = outline_of(dialect::openai_completions(),
                                         R"({"model":"m","prompt":"abc","stream":true,"stream_options":{"include_usage":true},"max_tokens":7})");
  CHECK(asked.model == "m");
  CHECK(asked.stream);
  CHECK(asked.include_usage);
  CHECK(asked.max_tokens == 7);
  CHECK(asked.text_bytes == 5);
  CHECK_FALSE(outline_of(dialect::openai_completions(), R"({"model":"m","prompt":"a","stream":true})").include_usage);
  CHECK_FALSE(dialect::openai_completions().outline(R"({"model":"m","prompt":"a","prompt":"b"})").ok());
  CHECK_FALSE(dialect::openai_completions().outline(R"({"prompt":"a"})").ok());
}

TEST_CASE("embeddings neither stream nor answer with tokens") {
  const chat::Outline asked = outline_of(dialect::openai_embeddings(), R"({"model":"m","input":["a","b"],"stream":true})");
  CHECK_FALSE(asked.stream);
  CHECK(asked.max_tokens == 0);
  const chat::Reply reply = dialect::openai_embeddings().peek_reply(R"({"object":"list","data":[],"model":"m","usage":{"prompt_tokens":8}})");
  CHECK(reply.usage.input_tokens == 8);
  CHECK(reply.usage.output_tokens == 0);
  CHECK(dialect::openai_embeddings().peek_reply(R"({"detail":"not found"})").id.empty());
}

TEST_CASE("a chunk that repeats its delta as text counts once, and text alone is the answer's") {
  for (const auto& [chunk, text] : std::vector<std::pair<std::string, std::string>>{
           {R"({"choices":[{"index":0,"text":"ab","delta":{"content":"ab"}}]})", "ab"}, {R"({"choices":[{"index":0,"text":"cd"}]})", "cd"}}) {
    const auto reader = dialect::openai_chat().stream_reader(dialect::ReaderOptions{});
    std::vector<chat::Event> events;
    REQUIRE(reader->feed("data: " + chunk + "\n\n", events).ok());
    std::string seen;
    for (const chat::Event& event : events) {
      if (const auto* delta = std::get_if<chat::BlockDelta>(&event)) seen += delta->text;
    }
    CHECK(seen == text);
  }
}
