#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "chat/event.h"
#include "dialect/dialect.h"

namespace {

using namespace ccrules;

chat::Reply read(std::string_view from, const std::string& body) {
  auto reply = dialect::by_name(from)->read_reply(body, {});
  INFO(from << ": " << body);
  REQUIRE(reply.ok());
  return *std::move(reply);
}

/// The same answer as its stream tells it.
chat::Reply collected(std::string_view from, const std::string& bytes) {
  const auto reader = dialect::by_name(from)->stream_reader({});
  std::vector<chat::Event> events;
  REQUIRE(reader->feed(bytes, events).ok());
  REQUIRE(reader->finish(events).ok());
  chat::Collector collector;
  for (const chat::Event& event : events) collector.add(event);
  REQUIRE(collector.complete());
  return collector.take();
}

std::string completion(const std::string& message, const std::string& finish = "stop") {
  return R"({"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant",)" + message +
         R"(},"finish_reason":")" + finish + R"("}]})";
}

std::string chunks(const std::vector<std::string>& deltas) {
  std::string bytes;
  for (const std::string& delta : deltas) bytes += R"(data: {"id":"c","choices":[{"index":0,"delta":{)" + delta + "}}]}\n\n";
  return bytes + R"(data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})" + "\n\ndata: [DONE]\n\n";
}

std::string text_of(const chat::Reply& reply) {
  std::string all;
  for (const chat::Block& block : reply.blocks) {
    if (const auto* text = std::get_if<chat::Text>(&block.value)) all += text->text.view();
  }
  return all;
}

}  // namespace

TEST_CASE("the words of a spoken answer are its text, streamed or not, once") {
  const std::string audio = R"("audio":{"id":"a","data":"AAAA","transcript":"spoken words"})";
  const chat::Reply whole = read("openai_chat", completion(R"("content":null,)" + audio));
  CHECK(text_of(whole) == "spoken words");
  CHECK(whole.losses.header_value() == "audio");
  CHECK(text_of(read("openai_chat", completion(R"("content":"said",)" + audio))) == "said");
  const chat::Reply streamed = collected(
      "openai_chat", chunks({R"("audio":{"id":"a"})", R"("audio":{"transcript":"spoken "})", R"("audio":{"data":"AA"})", R"("audio":{"transcript":"words"})"}));
  CHECK(text_of(streamed) == "spoken words");
  CHECK(streamed.losses.header_value() == "audio");
}

TEST_CASE("a refusal ends an answer as one in completions as in responses, streamed or not") {
  const std::string refused = completion(R"("content":null,"refusal":"no")");
  CHECK(read("openai_chat", refused).reason == chat::StopReason::kRefusal);
  CHECK(text_of(read("openai_chat", refused)) == "no");
  CHECK(dialect::openai_chat().peek_reply(refused).reason == chat::StopReason::kRefusal);
  CHECK(read("openai_chat", completion(R"("content":[{"type":"refusal","refusal":"no"}])")).reason == chat::StopReason::kRefusal);
  CHECK(collected("openai_chat", chunks({R"("refusal":"n")", R"("refusal":"o")"})).reason == chat::StopReason::kRefusal);
  CHECK(read("openai_chat", completion(R"("content":"yes","refusal":null)")).reason == chat::StopReason::kEndTurn);
  CHECK(read("openai_chat", completion(R"("content":"ye","refusal":"no")", "length")).reason == chat::StopReason::kMaxTokens);
  const std::string response =
      R"({"object":"response","id":"resp_1","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"refusal","refusal":"no"}]}]})";
  CHECK(read("openai_responses", response).reason == chat::StopReason::kRefusal);
  CHECK(dialect::openai_responses().peek_reply(response).reason == chat::StopReason::kRefusal);
}

TEST_CASE("parts of an answer that have no place are named, and only when they are there") {
  CHECK(read("openai_chat", completion(R"("content":"hi","annotations":[],"audio":null)")).losses.empty());
  CHECK(read("openai_chat", completion(R"("content":"hi","annotations":[{"type":"url_citation"}])")).losses.header_value() == "annotations");
  const std::string two = R"({"id":"c","choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"},)"
                          R"({"index":1,"message":{"content":"b","annotations":[{}]},"finish_reason":"stop"}]})";
  CHECK(read("openai_chat", two).losses.header_value() == "choices[1]");
  CHECK(text_of(read("openai_chat", two)) == "a");

  const auto response = [](const std::string& members, const std::string& annotations) {
    return R"({"object":"response","id":"resp_1","status":"completed","output":[{"type":"message","role":"assistant",)" + members +
           R"("content":[{"type":"output_text","text":"hi","annotations":)" + annotations + "}]}]}";
  };
  CHECK(read("openai_responses", response("", "[]")).losses.empty());
  CHECK(read("openai_responses", response(R"("phase":"commentary",)", "[]")).losses.header_value() == "phase");
  CHECK(read("openai_responses", response("", R"([{"type":"url_citation"}])")).losses.header_value() == "annotations");
  const std::string item = R"({"type":"message","role":"assistant","id":"msg_1","phase":"final_answer","content":[{"type":"output_text","text":"hi"}]})";
  const chat::Reply streamed =
      collected("openai_responses", R"(data: {"type":"response.output_item.done","output_index":0,"item":)" + item +
                                        "}\n\n" R"(data: {"type":"response.completed","response":{"id":"resp_1","status":"completed"}})" "\n\n");
  CHECK(streamed.losses.header_value() == "phase");

  const auto candidates = [](const std::string& members, const std::string& more) {
    return R"({"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP")" + members + "}" + more + "]}";
  };
  CHECK(read("gemini", candidates(R"(,"groundingMetadata":{})", "")).losses.empty());
  CHECK(read("gemini", candidates(R"(,"groundingMetadata":{"webSearchQueries":["q"]},"citationMetadata":{"citations":[{"uri":"u"}]})", ""))
            .losses.header_value() == "groundingMetadata, citationMetadata");
  CHECK(read("gemini", candidates("", R"(,{"index":1,"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"})")).losses.header_value() ==
        "candidates[1]");
}

TEST_CASE("how an answer of Anthropic's ended is named where it cannot be said") {
  const std::string refused =
      R"({"id":"m","type":"message","content":[{"type":"text","text":"no"}],"stop_reason":"refusal",)"
      R"("stop_details":{"type":"refusal","category":"cyber","explanation":"why"}})";
  const std::string stopped = R"({"id":"m","type":"message","content":[{"type":"text","text":"a"}],"stop_reason":"stop_sequence","stop_sequence":"END"})";
  const std::string filtered = completion(R"("content":"so far")", "content_filter");
  for (const std::string_view to : {"anthropic", "openai_chat", "openai_responses", "gemini", "ollama"}) {
    CAPTURE(to);
    const auto losses = [to](const chat::Reply& reply) {
      chat::LossNotes notes;
      (void)dialect::by_name(to)->write_reply(reply, {}, notes);
      return notes.header_value();
    };
    CHECK(losses(read("anthropic", refused)) == (to == "anthropic" ? "" : "stop_details"));
    CHECK(losses(read("anthropic", stopped)) == (to == "anthropic" ? "" : "stop_sequence"));
    CHECK(losses(read("openai_chat", filtered)).empty());  // our own words of a filter say no more than the reason
  }
}
